"""A network, a transform, an agent and an environment of one's own have all that the library's have, from Python and by command."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import own_parts
import pytest
from own_parts import Config, Line
from PIL import Image
from running import call, failed, rows

import rl_jax as rl
from rl_jax.agents.configs.by_name import title_of
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.python.leaves import check_paths
from rl_jax.run.python.running import _planned
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.training.chunks import Chunk, Recorder, wants_stop
from rl_jax.run.training.playing import EpisodePlayer

FILE = own_parts.__file__
PATH = "experience.transforms.0.weight"
TINY = ["--env", f"{FILE}:make_line", "--steps", "64", "--eval-episodes", "2", "--checkpoints", "2", "--quiet"]
SMALL = {"steps": 64, "eval_episodes": 2, "checkpoints": 2, "quiet": True}


@pytest.fixture(scope="module")
def trainer():
    return Config().trainer(Line())


@pytest.fixture(autouse=True)
def no_key_reuse_checks():
    """JAX's check takes both branches of a vmapped one for used."""
    with jax.debug_key_reuse(False):
        yield


@pytest.fixture(scope="module")
def whole(trainer, tmp_path_factory):
    """Two seeds, never stopped."""
    with jax.debug_key_reuse(False):
        return rl.run(trainer, seeds=[3, 5], out=tmp_path_factory.mktemp("own") / "whole", **SMALL)


@pytest.mark.slow
def test_a_run_has_a_folder_rows_and_a_result(whole):
    names = {path.name for path in whole.folder.iterdir()}
    assert names >= {"config.json", "metadata.json", "metrics.jsonl", "checkpoints", "curve.png", "result.json"}
    assert len(whole) == 2 and whole[1].label == {"seed": 5} and whole.steps == whole.result["steps"] == 64
    assert [(row["steps"], row["seed"]) for row in whole.rows[:3]] == [(8, 3), (8, 5), (16, 3)]
    assert whole.rows[-1]["bonus/steps"] == 56.0  # the transform's own metric
    assert json.loads((whole.folder / "result.json").read_text()) == whole.result
    assert whole.config["command"] == "run" and len(whole.config["trainer"]) == 64
    with pytest.raises(IndexError, match="2 runs"):
        whole[2]


@pytest.mark.slow
def test_stopped_by_a_hook_then_by_a_signal_and_resumed(trainer, whole, tmp_path, capsys):
    seen, folder = [], tmp_path / "run"

    def hook(chunk):
        seen.append((chunk.start, chunk.steps, chunk.total, len(chunk.rows), chunk.row["seed"]))
        return "stop" if chunk.steps == 24 and np.isfinite(chunk.policy(1)([0.5])[0]) else None

    run = rl.run(trainer, seeds=[3, 5], out=folder, on_chunk=hook, render_every=20, **SMALL)
    assert seen == [(0, 8, 64, 2, 3), (8, 16, 64, 2, 3), (16, 24, 64, 2, 3)]
    assert run.result["stopped_early"] and run.steps == run.result["steps"] == Checkpoints(folder).steps()[-1] == 24
    assert [path.name for path in (folder / "episodes").iterdir()] == ["24.gif"]

    def interrupt(chunk):
        if chunk.steps == 32:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        rl.run(trainer, resume=folder, on_chunk=interrupt, quiet=True)
    assert f"steps; saved: continue with rl_jax.run(trainer, resume='{folder}')" in capsys.readouterr().err
    assert Checkpoints(folder).steps()[-1] == rows(folder)[-1]["steps"] == 40  # the end of the chunk in which it came
    run = rl.run(trainer, out=folder, resume=True, quiet=True)
    assert "stopped_early" not in run.result and run.result["params_sha256"] == whole.result["params_sha256"]
    assert run.result["eval_returns"] == whole.result["eval_returns"] and rows(folder) == rows(whole.folder)
    assert rl.run(trainer, resume=folder, quiet=True).result == run.result  # finished: nothing is trained


def test_another_trainer_does_not_continue_a_run(whole, capsys):
    for config in (Config(bonus=0.2), Config(width=5)):
        with pytest.raises(rl.RLJaxError, match=r"with another trainer: its parts, their numbers or their static fields"):
            rl.run(config.trainer(Line()), resume=whole.folder)
    rl.load(whole.folder, trainer=Config(bonus=0.2).trainer(Line()))
    assert "have changed since it was trained" in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_as_an_object(trainer, whole, tmp_path):
    run = rl.load(whole.folder, trainer=trainer)
    assert (run.rows, run.result, run.config) == (whole.rows, whole.result, whole.config)
    assert len(run.evaluate(2)["eval_returns"]) == 2
    action, carry = run[1].policy(np.zeros((3, 1)))
    assert action.shape == (3,) and carry == ()
    with Image.open(run[1].render(tmp_path / "x.gif", max_steps=3)) as gif:
        assert gif.n_frames == 3
    with pytest.raises(rl.RLJaxError, match=r"give one observation \[1\]"):
        run.policy(np.zeros((3, 2)))


@pytest.mark.slow
def test_a_sweep_over_leaves(trainer, tmp_path):
    grid = {"agent.learning_rate": [0.1, 0.5], "experience.transforms.0.weight": [0.0]}
    run = rl.run(trainer, seeds=2, sweep=grid, out=tmp_path / "sweep", **SMALL)
    assert [row["agent.learning_rate"] for row in run.labels] == [0.1, 0.1, 0.5, 0.5] and (
        tmp_path / "sweep" / "sweep.png"
    ).exists()
    assert {row["agent.learning_rate"] for row in run.result["table"]} == {0.1, 0.5}
    again = rl.load(tmp_path / "sweep", trainer=trainer)[3]
    assert float(again.trainer.agent.learning_rate) == 0.5 and float(again.trainer.experience.transforms[0].weight) == 0.0
    for wrong, message in (
        ({"agent.learning_rat": [1.0, 2.0]}, "did you mean agent.learning_rate?"),
        ({"agent.net.width": [4, 5]}, "static fields cannot vary"),
        ({"agent.learning_rate": [0.1]}, "no number with several values"),
        ({"agent.learning_rate": [0.1, 0.1]}, "agent.learning_rate has 0.1 twice"),
        ([0.1], "give values by path"),
    ):
        with pytest.raises(rl.RLJaxError, match=message):
            rl.run(trainer, 64, sweep=wrong)


def test_values_of_a_sweep_are_as_their_leaves_hold_them():
    def values(leaf, *numbers):
        trainer = Config(bonus=0.0).trainer(Line())
        experience = rl.chain(own_parts.Bonus(leaf), rl.experience.gae())
        return check_paths(trainer.replace(experience=experience), {PATH: list(numbers)})[PATH]

    assert values(1, 0.5, 1.5, 2) == [0.5, 1.5, 2.0] and values(jnp.asarray(1), 0.5, 1.5) == [0.5, 1.5]
    assert [*map(type, values(1, 3.0, 4))] == [int, int] and [*map(type, values(0.1, 3, 4))] == [float, float]
    for leaf, value, message in (
        (jnp.int32(1), 0.5, "is varied over 0.5, and it is of the type int32: give whole numbers"),
        *((0.1, value, f"is varied over {value}: give finite numbers") for value in (float("nan"), float("inf"), -1e39)),
        *((1, value, "give finite numbers") for value in (float("nan"), float("inf"), 2**31)),
        (0.1, 10**400, "give finite numbers"),
    ):
        with pytest.raises(rl.RLJaxError, match=re.escape(message)):
            values(leaf, 1, value)


def test_integers_of_numpy_are_integers(trainer):
    def plan(steps, seeds):
        return _planned(trainer, steps, seeds, None, None, {}, None)

    for seeds in (np.int64(2), 2, np.arange(2), [np.int64(0), 1], jnp.arange(2)):
        assert (plan(np.int64(128), seeds).options, plan(128, seeds).hyperparameters) == (plan(128, [0, 1]).options, {})
    assert json.dumps(plan(np.int64(128), np.array([3, 5])).hyperparameters) == '{"seed-numbers": [3, 5]}'.replace("-", "_")
    for steps, seeds in ((True, 1), (1e2, 1), (np.float64(128), 1)):
        with pytest.raises(rl.RLJaxError, match="--steps takes an integer"):
            plan(steps, seeds)
    for seeds in (True, 2.0, np.array([True, False]), np.array([0.0, 1.0]), np.eye(2, dtype=int), np.array(2.0), "12"):
        with pytest.raises(rl.RLJaxError, match="give their number"):
            plan(128, seeds)


def test_an_agent_is_titled_by_module_and_class():
    titles = {"ppo": "PPO", "step_cost:Config": "step_cost:Config", "a/step_cost.py:Config": "step_cost:Config"}
    assert {name: title_of(name) for name in titles} == titles


def test_answers_of_a_hook_may_be_arrays():
    for kind in (bool, np.bool_, np.array, jnp.asarray):
        assert wants_stop(kind(True)) is True and wants_stop(kind(False)) is False
    for answer in (np.array([True]), jnp.float32(1), np.int64(1)):
        with pytest.raises(rl.RLJaxError, match="on_chunk returned"):
            wants_stop(answer)


def test_the_first_run_that_has_not_failed_is_meant(trainer, monkeypatch, tmp_path):
    states, played = {"x": jnp.arange(3.0)}, []
    runs = CompiledRuns(
        jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 1, leaf + 2]), trainer), [0, 1, 2], 64, 2, batched=True
    )
    chunk = Chunk(0, 64, 64, 1, [{"seed": 1}, {"seed": 2}], tmp_path, runs, states)
    assert float(chunk.state()["x"]) == float(chunk.policy().state["x"]) == 1.0 and float(chunk.state(0)["x"]) == 0.0
    assert [round(float(x.agent.learning_rate), 3) for x in (chunk.trainer(), chunk.trainer(0))] == [1.1, 0.1]
    monkeypatch.setattr(EpisodePlayer, "play", lambda self, states: (played.append(self.run), None))
    monkeypatch.setattr("rl_jax.run.training.chunks.draw_episode", lambda *_: None)
    Recorder(runs, 64)(chunk)
    assert played == [1]


def test_what_rl_run_cannot_do_is_said(trainer, whole, tmp_path):
    for arguments, message in (
        ({}, "give steps|Give steps"),
        ({"steps": 64, "time_limit": 3}, "time_limit is the trainer's"),
        ({"steps": 64, "sedes": 3}, "did you mean seeds?"),
        ({"steps": 64, "seeds": [1, 1]}, "give their number"),
        ({"steps": 64, "render_every": 8}, "name one as out"),
        ({"steps": 64, "resume": True}, "name that"),
        ({"steps": 64, "out": whole.folder}, "exists already"),
        ({"resume": whole.folder, "out": tmp_path / "else"}, "a resumed run stays in its folder"),
        ({"resume": whole.folder, "seeds": [3, 4]}, r"--seed-numbers \[3, 4\] \(was \[3, 5\]\)"),
        ({"resume": whole.folder, "steps": 32}, "can be extended to more steps, not cut short"),
    ):
        with pytest.raises(rl.RLJaxError, match=message):
            rl.run(trainer, quiet=True, **arguments)
    with pytest.raises(rl.RLJaxError, match="on_chunk returned 3: let it return nothing to go on, or 'stop'"):
        wants_stop(3)
    with pytest.raises(rl.RLJaxError, match=r"not a Config: call its \.trainer\(env\)"):
        rl.run(Config(), 64)
    with pytest.raises(rl.RLJaxError, match=r"from Python .*: pass it, rl_jax\.load\(folder, trainer=\.\.\.\)"):
        rl.load(whole.folder)


def test_the_command_line_plots_such_a_folder_and_says_what_it_cannot(whole, tmp_path):
    assert call("plot", whole.folder, "--out", tmp_path / "curves.png").status == 0
    for command in ("evaluate", "render"):
        failed(call(command, whole.folder), "only Python can make that again", "rl_jax.load(", "trainer=...")
    failed(call("train", "ppo", "--resume", whole.folder), "was run from Python", "rl_jax.run(trainer, resume=")


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """The same parts by their file's name on the command line."""
    folder = tmp_path_factory.mktemp("typed") / "run"
    outcome = call("train", f"{FILE}:Config", *TINY, "--seeds", 2, "--bonus", 0.1, "--render-every", 30, "--out", folder)
    assert outcome.status == 0, outcome.err
    return folder, outcome.result


@pytest.mark.slow
def test_from_python_in_memory_it_is_the_same_run_and_leaves_nothing(typed, trainer, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = rl.run(trainer, seeds=2, **SMALL)
    assert run.folder is None and run.result["out"] is None and not list(tmp_path.iterdir())
    assert run.result["params_sha256"] == typed[1]["params_sha256"]
    assert [row["loss/all"] for row in run.rows] == [row["loss/all"] for row in rows(typed[0])]


def test_a_configuration_of_one_s_own_on_the_command_line(typed, tmp_path):
    folder, result = typed
    assert result["agent"] == f"{FILE}:Config"
    assert sorted(path.name for path in (folder / "episodes").iterdir()) == ["32.gif", "64.gif"]
    evaluated = call("evaluate", folder, "--episodes", 2, "--quiet")
    assert evaluated.result["params_sha256"] == result["params_sha256"]
    run = rl.load(folder)
    assert run.evaluate(2)["eval_returns"] == evaluated.result["eval_returns"]
    assert run.trainer.agent.net.width == 4 and run.config["hyperparameters"]["bonus"] == 0.1
    assert call("render", folder, "--max-steps", 3, "--out", tmp_path / "x.gif").result["length"] == 3
    assert call("plot", folder, "--out", tmp_path / "x.png").status == 0


@pytest.mark.slow
def test_it_is_resumed_and_swept_by_command(typed, tmp_path):
    folder = shutil.copytree(typed[0], tmp_path / "run")
    Checkpoints(folder).discard_after(32)
    (folder / "result.json").unlink()
    outcome = call("train", f"{FILE}:Config", "--resume", folder, "--quiet")
    assert outcome.result["params_sha256"] == typed[1]["params_sha256"] and rows(folder) == rows(typed[0])
    swept = call("sweep", f"{FILE}:Config", *TINY, "--learning-rate", 0.1, 0.5, "--seeds", 2, "--out", tmp_path / "sweep")
    assert {row["learning_rate"] for row in swept.result["table"]} == {0.1, 0.5}
    assert call("plot", tmp_path / "sweep", "--out", tmp_path / "x.png").status == 0
    assert float(rl.load(tmp_path / "sweep")[2].trainer.agent.learning_rate) == 0.5


def test_what_the_configuration_lacks_is_said(tmp_path, monkeypatch):
    (tmp_path / "faulty.py").write_text(
        """
from dataclasses import dataclass, field
from typing import Any
import own_parts
@dataclass(frozen=True)
class Bare:
    width: int = 4
@dataclass(frozen=True)
class Alone(Bare):
    def trainer(self, env):
        return None
@dataclass(frozen=True)
class Nothing(Bare):
    def trainer(self, env, **options):
        return None
@dataclass(frozen=True)
class Clashing(Nothing):
    seed: int = 3
@dataclass(frozen=True)
class Required(Nothing):
    rates: tuple[float, ...] = field(default_factory=tuple)
@dataclass(frozen=True)
class Untyped(Nothing):
    rule: Any = None
@dataclass(frozen=True)
class Static(own_parts.Config):
    size: float = 4.0
    def trainer(self, env, **options):
        return own_parts.Config(width=int(self.size)).trainer(env, **options)
def no_env():
    return None
number = 3
"""
    )
    monkeypatch.chdir(tmp_path)
    line = ["--env", f"{FILE}:make_line", "--steps", "64"]
    for words, message in (
        (["faulty:Bare", *line], "faulty:Bare has no method trainer(env, **options): add one"),
        (["faulty.py:Alone", *line], "cannot be called as trainer(env, time_limit=..., curriculum=..., episode_info=...)"),
        (["faulty:Nothing", *line], "Nothing.trainer returned a NoneType: let it return rl_jax.Trainer.create("),
        (["faulty:Clashing", *line], "has a field seed, and every run has --seed"),
        (["faulty:Required", *line], "field rates has no plain default"),
        (["faulty:Untyped", *line], "field rule is of the type typing.Any, and an option is of bool, int"),
        (["faulty:number", *line], "faulty:number is a int: name a dataclass"),
        (["faulty:missing", *line], "module faulty has no 'missing'; it has"),
        (["faulty.Bare", *line], "a configuration of your own is named module:Config or file.py:Config"),
        (["nowhere.py:Config", *line], "there is no file nowhere.py; start in the directory"),
        ([f"{FILE}:Config", "--env", "faulty:no_env"], "faulty:no_env returned nothing where an environment was expected"),
        ([f"{FILE}:Config", *line, "--widht", "3"], "did you mean --width?"),
        ([f"{FILE}:Config", *line, "--width", "0"], "--width takes an integer from 1 to 1000, such as 4, not '0'"),
    ):
        failed(call("train", *words), message)
    failed(call("sweep", "faulty:Static", *line, "--size", "4", "5"), "are several programs", "start one sweep for each")
    assert "Environments side by side. (1 to 1000; default: 2)" in call("train", f"{FILE}:Config", "--help").out
    assert not Path("runs").exists()
