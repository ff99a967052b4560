"""What a person can get wrong ends with one line that says how to mend it, before anything is compiled or lost."""

import errno
import importlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from running import TINY, call, failed, rows, start, wait
from toy import Clock

from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import make
from rl_jax.errors import RLJaxError
from rl_jax.run.cli import commands
from rl_jax.run.devices import device_memory
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.failures import explanation, line
from rl_jax.run.report import plots
from rl_jax.run.storage import checkpoint_files
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.config import write_json
from rl_jax.run.training.folder import RunFolder
from rl_jax.spaces import Box

CARTPOLE = ["train", "ppo", "--env", "CartPole-v1"]


class WithoutStep:
    """An environment that lacks a method."""

    default_params = ()
    name, time_limit = "without_step", None

    def reset(self, key, params):
        return (), jnp.zeros(2)

    def observation_space(self, params):
        return Box.of(-1, 1, (2,))

    def action_space(self, params):
        return Box.of(-1, 1, (1,))


class WrongObs(Clock):
    """Its observations are not of its space."""

    def look(self, state):
        return jnp.zeros(3)


class VectorReward(Clock):
    """Its reward is not a scalar."""

    def step(self, key, state, action, params):
        step = super().step(key, state, action, params)
        return step._replace(reward=step.reward[None])


class OddSpace(Clock):
    """Its actions are of no known kind."""

    def action_space(self, params):
        return "left or right"


class Branching(Clock):
    """Its step cannot be traced."""

    def step(self, key, state, action, params):
        if state.time > 3:
            action = 1 - action
        return super().step(key, state, action, params)


def poisoned():
    """Its 601st reward is NaN."""
    return Clock(length=10**6, bad_time=600, ends="never")


class Blind(Clock):
    """Shows NaN in the middle of an episode, if its ``start`` is large."""

    def look(self, state):
        blind = (state.time == 3) & (state.start > 0.99)
        return jnp.where(blind, jnp.nan, super().look(state))


def broken():
    """Cannot be made."""
    raise RuntimeError("no licence\nfor this simulator")


@pytest.fixture
def uncompiled(monkeypatch):
    """Nothing may be compiled."""

    def compile(*args, **options):
        raise AssertionError("it was compiled")

    monkeypatch.setattr(CompiledRuns, "_compile", compile)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("bad") / "run"
    assert call("train", "ppo", *TINY, "--out", folder, "--quiet").status == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(trained, tmp_path / "run")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


CASES = {
    "no such environment": ("train ppo --env CartPol-v1", "no environment 'CartPol-v1'", "did you mean CartPole-v1?"),
    "no such brax environment": ("train ppo --env brax/antt", "did you mean", "brax/ant"),
    "no environment": ("train ppo", "--env NAME", "rl-jax list"),
    "no such option": ("train ppo --learnin-rate 1e-3", "unknown option --learnin-rate", "did you mean --learning-rate?"),
    "no such switch": ("train ppo --no-aneal", "did you mean --no-anneal or --anneal?"),
    "underscores are taken": ("train ppo --num_env 3", "did you mean --num-envs"),
    "capitals": ("train ppo --Env CartPole-v1", "did you mean --env?"),
    "short option": ("train ppo -n 3", "unknown option -n", "--help"),
    "a second value": (
        "train ppo --env CartPole-v1 --gamma 0.9 0.99",
        "and '0.99' is a second: give one; 'rl-jax sweep ppo'",
    ),
    "a second shape": (
        "sweep ppo --env CartPole-v1 --gamma 0.9 0.99 --num-envs 4 8",
        "--num-envs takes one value, and '8'",
    ),
    "a second environment": (
        "sweep ppo --env CartPole-v1 Acrobot-v1",
        "is a second: each is another program",
    ),
    "no option at all": ("train ppo CartPole-v1", "'CartPole-v1' belongs to no option"),
    "not a number": (
        "train ppo --learning-rate fast",
        "--learning-rate takes a number from 1e-30 to 1e30, such as 0.001, not 'fast'",
    ),
    "not whole": ("train ppo --steps 1.5", "--steps takes an integer from 1 to 1e15", "not '1.5'"),
    "not numbers": ("train ppo --hidden wide", "--hidden takes an integer", "not 'wide'"),
    "no choice": ("train ppo --memory lstm", "--memory takes 'none', 'gru' or 'transformer', not 'lstm'"),
    "no value": ("train ppo --env CartPole-v1 --steps", "--steps needs a value"),
    "no such agent": ("train pppo --env CartPole-v1", "unknown agent 'pppo'", "did you mean ppo?"),
    "agent forgotten": ("train --env CartPole-v1", "name the agent first: rl-jax train ppo --env CartPole-v1"),
    "no such command": ("trian ppo", "unknown command 'trian'", "did you mean train?"),
    "no folder": ("evaluate", "evaluate needs RUN, the run folder"),
    "batch not divisible": ("train ppo --env CartPole-v1 --minibatches 7", "2048 steps", "use --minibatches 8"),
    "environments not divisible": (
        "train ppo --env CartPole-v1 --memory gru --num-envs 6 --minibatches 4",
        "6 environments",
        "use --minibatches 3",
    ),
    "last seed beyond": (
        "train ppo --env CartPole-v1 --seed 4294967295 --seeds 2",
        "--seed takes 0 to 4294967294 with --seeds 2",
    ),
    "env args": ("train ppo --env CartPole-v1 --env-args fast", "--env-args takes NAME=VALUE, not 'fast'"),
    "env args without a name": ("train ppo --env CartPole-v1 --env-args =3", "--env-args takes NAME=VALUE, not '=3'"),
    "env args twice": ("train ppo --env CartPole-v1 --env-args time_limit=5 time_limit=6", "--env-args has time_limit twice"),
    "env args of no use": (f"train ppo --env CartPole-v1 --env-args a={'[' * 10**5}", "--env-args a is nested too deep"),
    "unknown env args": ("train ppo --env CartPole-v1 --env-args gravity=3", "CartPole-v1", "gravity"),
    "limit in words": (
        "train ppo --env CartPole-v1 --env-args time_limit=abc",
        "time_limit must be an integer from 1",
        "not 'abc'",
    ),
    "limit in parts": ("train ppo --env CartPole-v1 --env-args time_limit=1.5", "an integer from 1 to 2147483647, not 1.5"),
    "limit without end": (
        "train ppo --env CartPole-v1 --env-args time_limit=NaN",
        "time_limit must be an integer from 1",
        "not nan",
    ),
    "args of a wrong type": (
        "train ppo --env test_bad_input:Clock --env-args length=abc",
        "made with --env-args length=abc",
    ),
    "nothing learned": ("train dqn --env CartPole-v1 --steps 800", "leaves no learning step", "--learning-starts 796 or fewer"),
    "too short to learn": ("train dqn --env CartPole-v1 --steps 8 --updates-per-step 0.01", "use --steps 100 or more"),
    "a pool too large": ("train ppo --env CartPole-v1 --reset-pool 2147483647", "--reset-pool 2147483647 needs", "or fewer"),
    "a batch too large": ("train dqn --env CartPole-v1 --batch-size 2147483647", "--batch-size 2147483647 needs", "or fewer"),
    "resume and overwrite": ("train ppo --resume here --overwrite", "--overwrite deletes one", "leave out one"),
    "resume and config": ("train ppo --resume here --config there", "--config begins another", "leave out one"),
    "no module": ("train ppo --env nomodule:make", "there is no module 'nomodule'", "install it"),
    "no factory": ("train ppo --env test_bad_input:nothing", "has no 'nothing'", "poisoned"),
    "factory fails": ("train ppo --env test_bad_input:broken", "RuntimeError: no licence for this simulator"),
    "env lacks a method": ("train ppo --env test_bad_input:WithoutStep", "lacks step", "add"),
    "env's obs": ("train ppo --env test_bad_input:WrongObs", "obs after reset is float32[3], expected float32[2]"),
    "env's reward": ("train ppo --env test_bad_input:VectorReward", "reward is float32[1], expected float32[]", "reshape"),
    "env's actions": ("train ppo --env test_bad_input:OddSpace", "action_space", "left or right", "expected a Discrete"),
    "env cannot be traced": ("train ppo --env test_bad_input:Branching", "step cannot be traced", "jnp.where"),
    "nothing to sweep": ("sweep ppo --env CartPole-v1", "several values", "--learning-rate 3e-4 1e-3"),
    "bad point of a sweep": ("sweep ppo --env CartPole-v1 --gamma 0.9 1.9", "--gamma takes a number from 0 to 1", "not '1.9'"),
    "one value twice": ("sweep ppo --env CartPole-v1 --learning-rate 0.001 3e-4 1e-3", "--learning-rate has 0.001 twice"),
    "a sweep too long": (
        f"sweep ppo --env x --learning-rate {' '.join(map(str, range(1, 3000)))}",
        "1 to 1000 values, not 2999",
    ),
    "a grid too large": (
        f"sweep ppo --env x --gamma {' '.join(f'0.{i}' for i in range(101, 200))} --learning-rate {' '.join(map(str, range(1, 99)))}",
        "9702 settings times --seeds 4 is 38808 runs, and one program takes 10000",
    ),
    "empty sweep": ("sweep ppo --env CartPole-v1 --gamma", "--gamma needs at least one value"),
    "not a run": ("evaluate nowhere", "no run folder nowhere", "--out"),
    "resume nothing": ("train ppo --resume nowhere", "no run folder nowhere"),
    "config of nothing": ("train ppo --config nowhere.json", "there is no nowhere.json"),
    "plot nothing": ("plot", "name at least one run folder"),
    "no file name": ("plot nowhere --out /", "must be a .png file"),
    "plot no picture": ("plot nowhere --out curves.pdf", "must be a .png file"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case, uncompiled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(device_memory, "available", lambda: 3 * 10**9)
    arguments, *words = CASES[case]
    failed(call(*arguments.split()), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["environment", "option"])
def test_refused_as_a_process(kind, tmp_path):
    arguments, *words = CASES[f"no such {kind}"]
    failed(wait(start(*arguments.split(), cwd=tmp_path)), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--num-envs 1000000000", ("more steps than one rollout can hold", "use --num-envs", "or fewer")),
        ("--num-envs 20000000", ("20000000 environments of 32 steps need at least", "use --num-envs", "or fewer")),
        ("--seeds 1000000", ("times 1000000 runs", "such as --seeds")),
        ("--hidden 100000 100000", ("use a smaller --hidden",)),
        ("--eval-episodes 1000000000", ("an evaluation of 1000000000 episodes", "or fewer")),
    ],
)
def test_sizes_that_memory_cannot_hold(options, words, uncompiled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(device_memory, "available", lambda: 3 * 10**9)
    failed(call(*CARTPOLE, *options.split()), *words)
    assert list(tmp_path.iterdir()) == []


def test_the_size_that_is_offered_fits(monkeypatch):
    monkeypatch.setattr(device_memory, "available", lambda: 10**9)

    def check(num_envs):
        device_memory.check_memory(PPOConfig(num_envs=num_envs).trainer(make("CartPole-v1")), num_runs=3, eval_episodes=64)

    with pytest.raises(RLJaxError) as caught:
        check(2**22)
    offered = int(re.search(r"--num-envs (\d+)", str(caught.value))[1])
    check(offered)
    with pytest.raises(RLJaxError):
        check(2 * offered)


@pytest.mark.slow
def test_sizes_that_only_the_compiled_program_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(device_memory, "available", lambda: 20_000)
    failed(call("train", "ppo", *TINY, "--quiet", "--out", tmp_path / "run"), "0.02 MB are free", "use fewer --num-envs")


def test_what_memory_holds_is_measured():
    assert device_memory.available() > 10**8
    assert device_memory.human_bytes(3.21e9) == "3.21 GB"


def test_out_of_memory_is_one_line(tmp_path, monkeypatch):
    def advance(*args):
        raise MemoryError

    monkeypatch.setattr(CompiledRuns, "advance", advance)
    failed(call("train", "ppo", *TINY, "--quiet", "--out", tmp_path / "run"), "out of memory", "--num-envs")


@pytest.mark.slow
def test_an_existing_run_is_left_alone(trained, uncompiled):
    before = contents(trained)
    failed(call("train", "ppo", *TINY, "--out", trained), "exists already", "--overwrite", "--resume")
    assert contents(trained) == before


def test_overwrite_deletes_runs_only(uncompiled, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architectures": ["other"]}')
    (tmp_path / "file").write_text("work")
    before = contents(tmp_path)
    for name in ("thesis", "model", "file"):
        failed(call("train", "ppo", *TINY, "--overwrite", "--out", tmp_path / name), "is no run folder", "another --out")
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_overwrite_replaces_a_run(run):
    outcome = call("train", "ppo", *TINY, "--steps", 256, "--overwrite", "--out", run)
    assert outcome.status == 0 and outcome.result["steps"] == 256
    assert Checkpoints(run).steps() == [0, 128, 256]


def test_no_place_to_write(uncompiled, tmp_path):
    (tmp_path / "file").write_text("")
    failed(call("train", "ppo", *TINY, "--out", tmp_path / "file" / "run"), "cannot write to", "choose another --out")
    failed(call("train", "ppo", *TINY, "--out", "/proc/run"), "cannot write to /proc/run")


def test_resume_keeps_its_options(trained, uncompiled):
    before = contents(trained)
    failed(
        call("train", "ppo", "--resume", trained, "--learning-rate", "0.5"), "--learning-rate 0.5 (was 0.001)", "leave them out"
    )
    failed(call("train", "ppo", "--resume", trained, "--steps", "2048"), "--steps 2048 is fewer than the 4096", "4096 are done")
    failed(call("train", "ppo", "--resume", trained, "--eval-episodes", "9"), "--eval-episodes 9 (was 4)")
    failed(call("train", "ppo", "--resume", trained, "--out", "elsewhere"), "leave out --out")
    failed(call("sweep", "ppo", "--resume", trained), "is of 'rl-jax train ppo'")
    assert contents(trained) == before


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "is not a configuration"),
        ("{", "is not a configuration"),
        ("[1, 2]", "is not a configuration"),
        ('{"agent": "ppo"}', "lacks run, hyperparameters"),
        ('{"agent": "ppo", "run": [], "hyperparameters": {}}', "lacks run"),
        ('{"agent": "dreamer", "run": {}, "hyperparameters": {}}', "unknown agent 'dreamer'"),
        ('{"agent": "ppo", "run": {"env": "x", "stepz": 3}, "hyperparameters": {}}', "stepz"),
        ('{"agent": "ppo", "run": {"steps": "many"}, "hyperparameters": {}}', 'steps is "many"'),
        ('{"agent": "ppo", "run": {"steps": true}, "hyperparameters": {}}', "steps is true"),
        ('{"agent": "ppo", "run": {}, "hyperparameters": {"hidden": 64}}', "hidden is 64"),
        ('{"agent": "ppo", "run": {}, "hyperparameters": {"memory": "lstm"}}', 'memory is "lstm"'),
        ('{"agent": "ppo", "run": {"seeds": 0}, "hyperparameters": {}}', "seeds is 0, and it takes an integer from 1 to"),
        ('{"agent": "ppo", "run": {}, "hyperparameters": {"gamma": NaN}}', "gamma is NaN"),
        ('{"agent": ' + "[" * 10**5, "is not a configuration"),
        ('{"agent": "ppo", "run": {"steps": ' + "9" * 5000 + "}}", "is not a configuration"),
    ],
)
def test_bad_configurations(text, word, run, uncompiled, tmp_path):
    (tmp_path / "bad.json").write_text(text)
    failed(call("train", "ppo", "--config", tmp_path / "bad.json"), "bad.json", word)
    (run / "config.json").write_text(text)
    failed(call("evaluate", run), "config.json", word)


def test_a_configuration_that_is_no_text(uncompiled, tmp_path):
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00")
    failed(call("train", "ppo", "--config", tmp_path / "bad.json"), "is not a configuration")


def test_a_configuration_with_a_mark_of_its_encoding(run, uncompiled):
    """Some editors put one before the text; it is none of the text."""
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text, encoding="utf-8-sig")
    assert RunFolder.open(run).options.steps == 4096
    (run / "config.json").unlink()
    (run / "config.json").mkdir()
    failed(call("evaluate", run), "config.json is no file", "use the config.json of a run")


@pytest.mark.parametrize("command", ["evaluate", "render"])
def test_checkpoints_that_are_not_there(command, run, uncompiled):
    failed(call(command, run, "--checkpoint", "17"), "has no checkpoint 17", "4096")
    shutil.rmtree(run / "manifests")
    failed(call(command, run), "has no checkpoint yet", "--resume")


def test_damaged_checkpoints(run, uncompiled):
    folder = run / "checkpoints" / "4096"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    for path in (files[0], files[-1], max(files, key=lambda path: path.stat().st_size)):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        failed(call("evaluate", run, "--checkpoint", 4096), "is damaged", "the others are")
        path.write_bytes(whole)


def test_a_foreign_checkpoint(run, uncompiled):
    saved = json.loads((run / "config.json").read_text())
    saved["hyperparameters"]["hidden"] = [16]
    (run / "config.json").write_text(json.dumps(saved))
    failed(call("evaluate", run), "was made with --hidden [8] (config.json: [16])", "put back the config.json")


def test_bad_numbers_of_other_commands(trained, uncompiled, tmp_path):
    failed(call("evaluate", trained, "--episodes", "1000000000"), "free", "or fewer")
    failed(call("render", trained, "--out", tmp_path / "x.mp4"), "rendered as .gif", "x.gif")
    for metric in ("episode/retrun", "seed", "steps", "wall"):
        failed(
            call("plot", trained, "--metric", metric, "--out", tmp_path / "x.png"), f"no metric '{metric}'", "episode/return"
        )
    failed(call("render", trained, "--out", "/"), "rendered as .gif", "/episode.gif")
    (tmp_path / "y.png").write_text("")
    failed(call("plot", trained, "--out", tmp_path / "y.png"), "exists already", "--overwrite")


@pytest.mark.parametrize(
    ("option", "module", "extra"), [("--tensorboard", "tensorboardX", "tensorboard"), ("--wandb", "wandb", "wandb")]
)
def test_missing_and_broken_extras(option, module, extra, uncompiled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    failed(call("train", "ppo", *TINY, option), f"pip install 'rl_jax[{extra}]'", f"({option})")
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(importlib, "import_module", broken_library)
    failed(call("train", "ppo", *TINY, option), f"{module}, which is installed", "ImportError: libfoo.so.1: cannot open")
    assert list(tmp_path.iterdir()) == []


def broken_library(name):
    raise ImportError("libfoo.so.1: cannot open\nshared object file")


def test_a_library_that_lacks_another_is_no_missing_extra(monkeypatch):
    def lacks(name):
        raise ModuleNotFoundError("No module named 'other'", name="other")

    monkeypatch.setattr(importlib, "import_module", lacks)
    with pytest.raises(RLJaxError, match=r"craftax, which is installed.*No module named 'other'"):
        make("craftax/Craftax-Classic-Symbolic-v1")


def test_no_such_device():
    outcome = wait(start(*CARTPOLE, JAX_PLATFORMS="nosuch"))
    failed(outcome, "no device for JAX_PLATFORMS=nosuch", "set JAX_PLATFORMS=cpu", "jax[cuda12]")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_is_named(number, trained, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(plots, "compare_curves", full)
    failed(call("plot", trained, "--out", tmp_path / "x.png"), f"{tmp_path / 'x.png'} ({os.strerror(number)})")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"result\.json"):
        write_json(tmp_path / "result.json", {})


def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch):
    def defect(given):
        raise KeyError("advantage")

    monkeypatch.setattr(commands, "plot", defect)
    with pytest.raises(KeyError) as caught:
        call("plot", "x")
    assert "defect" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("command", "word"), [("evaluate", "--episodes"), ("render", "--max-steps"), ("bench", "--small"), ("train", "--num-envs")]
)
def test_too_little_memory_names_what_takes_less(command, word):
    assert word in explanation(MemoryError(), command)


def test_an_error_is_one_line_of_letters():
    assert line("a\n\x1b[31mb\0\udcff") == r"a \x1b[31mb\x00\udcff"
    assert line("x" * 5000 + " y").endswith("(5000 characters) y") and len(line("x y " * 5000)) == 2000


@pytest.mark.slow
def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    folder = tmp_path / "run"
    options = [*TINY, "--env", "test_bad_input:poisoned", "--steps", "8192", "--time-limit", "100000", "--quiet"]
    line = failed(call("train", "ppo", *options, "--out", folder), "NaN or infinity in", "reward/mean", "seed 0")
    # The reward 600 of each of 8 environments comes in train step 37 of 16 steps each.
    assert "train step 37 (environment step 4736)" in line
    kept = Checkpoints(folder).steps()[-1]
    assert 0 < kept <= 4736 and str(Checkpoints(folder).path(kept)) in line
    outcome = call("evaluate", folder, "--episodes", 2)
    assert outcome.status == 0 and outcome.result["steps"] == kept
    # The last run to fail is marked too, once, however often it is tried again.
    assert failed(call("train", "ppo", "--resume", folder, "--quiet"), "train step 37") == line
    marked = [row for row in rows(folder) if "failed" in row]
    assert [(row["seed"], row["steps"]) for row in marked] == [(0, 4736)] and "reward/mean" in marked[0]["failed"]


@pytest.mark.slow
def test_nan_in_an_observation_that_is_gone_is_found(tmp_path):
    """The train steps since the checkpoint are played again, and the observations of the one that failed looked at."""
    options = [*TINY, "--env", "test_bad_input:Blind", "--no-normalize-obs"]
    line = failed(call("train", "ppo", *options, "--quiet", "--out", tmp_path / "run"), "look at the environment")
    assert "NaN or infinity in the environment's observations at train step" in line
    assert "the environment's observations" in rows(tmp_path / "run")[-1]["failed"]


@pytest.mark.slow
def test_a_full_disk_leaves_earlier_checkpoints(tmp_path, monkeypatch):
    folder, write, calls = tmp_path / "run", checkpoint_files.write, []

    def full(path, flat):
        calls.append(path)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, flat)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "write", full)
        outcome = call("train", "ppo", *TINY, "--quiet", "--out", folder)
    steps = Checkpoints(folder).steps()
    failed(outcome, "No space left on device", f"up to step {steps[-1]} are whole", f"--resume {folder}")
    assert len(steps) == 3
    assert call("evaluate", folder, "--episodes", 2).result["steps"] == steps[-1]
    assert call("train", "ppo", "--resume", folder, "--quiet").result["steps"] == 4096


def test_a_disk_that_is_nearly_full_is_not_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoint_files.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    outcome = call("train", "ppo", *TINY, "--quiet", "--out", tmp_path / "run")
    failed(outcome, "No space left on device", "there is no checkpoint yet", "make room")


def test_debug_nans_is_refused(tmp_path, monkeypatch):
    import jax

    with jax.debug_nans(True):
        failed(call("train", "ppo", *TINY, "--out", tmp_path / "run", "--quiet"), "jax_debug_nans", "switch it off")
    assert not list(tmp_path.iterdir())  # before a folder is made


def test_this_module_can_be_named():
    # The cases above name environments in it.
    assert __name__ == "test_bad_input" and sys.modules[__name__].poisoned().bad_time == 600
