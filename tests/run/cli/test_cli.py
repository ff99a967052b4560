"""The command line does what it says: every command once on something tiny."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from running import TINY, call, rows, start, wait

from rl_jax import __version__
from rl_jax.agents.configs import PPOConfig
from rl_jax.errors import RLJaxError
from rl_jax.run.options import RunOptions
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.training.evaluating import FINAL_EVALUATION
from rl_jax.run.training.folder import RunFolder
from rl_jax.values import option

KEYS = {
    *("env", "agent", "steps", "seconds_compile", "seconds_run", "steps_per_second"),
    *("eval_return_mean", "eval_return_iqm", "params_sha256"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder and what was printed."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    outcome = call("train", "ppo", *TINY, "--out", folder)
    assert outcome.status == 0, outcome.err
    return folder, outcome


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of 2 x 2 settings and 2 seeds."""
    folder = tmp_path_factory.mktemp("cli") / "sweep"
    grid = ["--learning-rate", "1e-3", "3e-3", "--clip-epsilon", "0.1", "0.2", "--seeds", "2"]
    outcome = call("sweep", "ppo", *TINY, *grid, "--out", folder)
    assert outcome.status == 0, outcome.err
    return folder, outcome


@pytest.mark.slow
def test_result_line_and_folder(run):
    folder, outcome = run
    assert outcome.result.keys() >= KEYS
    assert (outcome.result["env"], outcome.result["agent"], outcome.result["steps"]) == ("CartPole-v1", "ppo", 4096)
    assert len(outcome.out.splitlines()) == 1
    assert "compiled in" in outcome.err and "100%" in outcome.err
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "metadata.json", "metrics.jsonl", "checkpoints", "curve.png", "result.json"}
    assert json.loads((folder / "result.json").read_text()) == outcome.result
    about = json.loads((folder / "metadata.json").read_text())
    assert {"python", "versions", "device", "command_line"} <= about.keys()
    assert Image.open(folder / "curve.png").size[0] > 300


def test_rows_have_exact_steps(run):
    found = rows(run[0], drop=())
    assert [row["steps"] for row in found] == list(range(128, 4097, 128))
    assert {row["seed"] for row in found} == {0}
    assert {"wall", "steps_per_second", "episode/return", "policy/entropy", "value/explained_variance"} <= found[0].keys()
    assert sum("eval/return" in row for row in found) == 10
    assert found[-1]["eval/return"] == run[1].result["eval_return_mean"]
    assert not list(run[0].rglob("*.part"))


@pytest.mark.slow
def test_another_process_computes_the_same(run, tmp_path):
    # The saved configuration alone, by the installed entry point's function, with nothing said but the result.
    process = start("train", "ppo", "--config", run[0] / "config.json", "--out", tmp_path / "again", "--quiet")
    outcome = wait(process)
    assert (outcome.status, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 1
    assert outcome.result["params_sha256"] == run[1].result["params_sha256"]
    assert rows(tmp_path / "again") == rows(run[0])


@pytest.mark.slow
def test_config_can_be_changed_in_one_option(run, tmp_path):
    outcome = call("train", "ppo", "--config", run[0], "--seed", 5, "--steps", "1e3", "--out", tmp_path / "five")
    saved = json.loads((tmp_path / "five" / "config.json").read_text())
    assert (saved["run"]["seed"], saved["run"]["steps"], saved["hyperparameters"]["num_envs"]) == (5, 1000, 8)
    assert outcome.result["steps"] == 1024  # whole train steps
    assert outcome.result["params_sha256"] != run[1].result["params_sha256"]


@pytest.mark.slow
def test_several_seeds(tmp_path):
    outcome = call("train", "ppo", *TINY, "--steps", 1024, "--seed", 7, "--seeds", 3, "--out", tmp_path / "seeds")
    assert outcome.result["seeds"] == 3 and len(outcome.result["eval_returns"]) == 3
    found = rows(tmp_path / "seeds")
    assert [(row["steps"], row["seed"]) for row in found[:4]] == [(128, 7), (128, 8), (128, 9), (256, 7)]
    assert len({row["loss/value"] for row in found[:3]}) == 3
    # A run that had failed before the checkpoint is none of those that are evaluated.
    with open(tmp_path / "seeds" / "metrics.jsonl", "a") as file:
        file.write('{"steps": 1000, "seed": 8, "failed": "NaN"}\n')
    evaluated = call("evaluate", tmp_path / "seeds", "--episodes", 4)
    assert evaluated.status == 0 and "1 of 3 runs failed (seed_8: NaN)" in evaluated.err
    assert evaluated.result["failed"] == [{"seed": 8, "steps": 1000, "reason": "NaN"}]
    first, none, last = evaluated.result["eval_returns"]
    assert (
        none is None and evaluated.result["eval_return_mean"] == (first + last) / 2 and evaluated.result["eval_episodes"] == 8
    )
    assert [list(RunFolder.open(tmp_path / "seeds").failures(step).by_run) for step in (1000, 1001)] == [[], [1]]


@pytest.mark.slow
def test_sweep(swept):
    folder, outcome = swept
    table = outcome.result["table"]
    settings = {(row["learning_rate"], row["clip_epsilon"]) for row in table}
    assert settings == {(a, b) for a in (1e-3, 3e-3) for b in (0.1, 0.2)}
    assert [row["iqm"] for row in table] == sorted((row["iqm"] for row in table), reverse=True)
    assert all(row["runs"] == 2 and row["ci95"][0] <= row["iqm"] <= row["ci95"][1] for row in table)
    assert "learning_rate" in outcome.err and "IQM" in outcome.err
    assert "mean   range\n" in outcome.err and "95% interval" not in outcome.err  # of two seeds
    assert Image.open(folder / "sweep.png").size[0] > 300
    assert json.loads((folder / "result.json").read_text()) == outcome.result
    first = rows(folder)[:8]
    assert [row["run"] for row in first] == list(range(8))
    assert {(row["seed"], row["learning_rate"], row["clip_epsilon"]) for row in first} == {
        (seed, a, b) for seed in (0, 1) for a in (1e-3, 3e-3) for b in (0.1, 0.2)
    }


def test_a_sweep_is_the_plain_runs(swept, run):
    # The plain run has seed 0 and the defaults 1e-3 and 0.2. Sums are taken in another order, so equality is not exact,
    # and it ends where the first differently rounded probability changes a sampled action.
    chosen = {"seed": 0, "learning_rate": 1e-3, "clip_epsilon": 0.2}
    mine = [row for row in rows(swept[0]) if all(row[name] == value for name, value in chosen.items())]
    plain = rows(run[0])
    assert len(mine) == len(plain)
    for a, b in list(zip(mine, plain, strict=True))[:8]:
        for name in b:
            if b[name] is not None:
                np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_evaluate_is_repeatable(run):
    first = call("evaluate", run[0], "--episodes", 8)
    assert first.result["eval_episodes"] == 8 and first.result["policy"] == "greedy"
    assert first.result["params_sha256"] == run[1].result["params_sha256"]
    again = call("evaluate", run[0], "--episodes", 8).result
    other = call("evaluate", run[0], "--episodes", 8, "--seed", 1).result
    sampled = call("evaluate", run[0], "--episodes", 8, "--stochastic", "--quiet").result
    assert again["eval_return_mean"] == first.result["eval_return_mean"] != other["eval_return_mean"]
    assert sampled["policy"] == "stochastic" and sampled["eval_return_mean"] != again["eval_return_mean"]


@pytest.mark.slow
def test_evaluate_a_chosen_checkpoint(run):
    steps = sorted(int(path.name) for path in (run[0] / "checkpoints").iterdir())
    assert steps[-1] == 4096 and 3 <= len(steps) <= 4
    found = {
        name: call("evaluate", run[0], "--episodes", 8, "--checkpoint", name).result for name in ("best", "last", steps[0])
    }
    assert found["last"]["steps"] == 4096 and found[steps[0]]["steps"] == steps[0]
    scores = {row["steps"]: row["eval/return"] for row in rows(run[0]) if "eval/return" in row}
    assert scores[found["best"]["steps"]] == max(scores.values())
    assert found[steps[0]]["params_sha256"] != found["last"]["params_sha256"]


def test_render(run, tmp_path):
    pytest.importorskip("pygame")
    outcome = call("render", run[0], "--max-steps", 12, "--out", tmp_path / "episode.gif")
    assert outcome.status == 0, outcome.err
    with Image.open(tmp_path / "episode.gif") as gif:
        assert gif.n_frames == outcome.result["length"] <= 12


@pytest.mark.slow
def test_plot(run, swept, tmp_path):
    other = tmp_path / "other"
    call("train", "ppo", "--config", run[0], "--learning-rate", "3e-3", "--steps", 1024, "--out", other)
    outcome = call("plot", run[0], other, "--out", tmp_path / "curves.png")
    assert outcome.status == 0, outcome.err
    assert outcome.out.strip() == str(tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 300


def test_what_is_damaged_or_another_runs_is_no_seed_of_a_plot(run, swept, tmp_path, monkeypatch):
    """A row of an unknown seed, and one that cannot be drawn."""
    drawn = []
    monkeypatch.setattr("rl_jax.run.report.plots.compare_curves", lambda out, curves, *_, **__: drawn.append(curves))
    bad = '{"steps": 99, "seed": 77, "failed": "NaN"}\n{"steps": null, "seed": 0}\n'
    for number, folder in enumerate((run[0], swept[0])):
        copy = shutil.copytree(folder, tmp_path / str(number))
        (copy / "metrics.jsonl").write_text((copy / "metrics.jsonl").read_text() + bad)
        outcome = call("plot", copy, "--out", tmp_path / "x.png")
        assert outcome.status == 0 and "and 1 more: left out" in outcome.err
    assert [(len(curve.returns), curve.failed) for curves in drawn for curve in curves.values()] == [(1, ()), *[(2, ())] * 4]


def test_a_run_is_counted_once_however_it_is_named(run, swept, tmp_path, monkeypatch):
    """A copy that was made earlier, a link, another spelling; the run itself is drawn, as it is furthest."""
    drawn = []
    monkeypatch.setattr("rl_jax.run.report.plots.compare_curves", lambda out, curves, *_, **__: drawn.append(curves))
    copy = shutil.copytree(run[0], tmp_path / "copy")
    lines = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    (copy / "metrics.jsonl").write_text("".join(lines[:9]))
    (tmp_path / "link").symlink_to(run[0])
    outcome = call("plot", copy, run[0], swept[0], tmp_path / "link", run[0] / ".." / run[0].name, "--out", tmp_path / "x.png")
    # The sweep has a run of the same options and seed as well.
    assert outcome.err.count("counted once") == len(outcome.err.splitlines()) == 4
    assert f"{copy}: seed 0 with the same options is in {run[0]} too: counted once" in outcome.err
    assert [curve.returns.shape for curve in drawn[0].values()] == [(2, len(lines))] * 4


def test_list():
    names = [line.split()[0] for line in call("list", "envs", "--no-spaces").out.splitlines()]
    assert {"CartPole-v1", "brax/ant", "Breakout-MinAtar"} <= set(names) and names == sorted(names)
    assert call("list", "agents").out.splitlines()[1].startswith("ppo ")
    assert "ppo" in (both := call("list", "--no-spaces").out) and "CartPole-v1" in both


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_help_of_an_agent_names_every_option_and_default(command):
    text = " ".join(call(command, "ppo", "--help").out.split())
    for item in (*dataclasses.fields(RunOptions), *dataclasses.fields(PPOConfig)):
        assert option(item.name) in text
    assert "default: 64" in text and "default: 500000" in text and "Step size at the start" in text


@pytest.mark.parametrize("command", ["evaluate", "render", "plot", "list", "train", "sweep"])
def test_help_of_a_command(command):
    outcome = call(command, "--help")
    assert outcome.status == 0 and f"rl-jax {command}" in outcome.out
    if command not in ("train", "sweep"):
        assert "default" in outcome.out


def test_without_arguments_and_version():
    text = call().out
    assert all(command in text for command in ("train", "sweep", "evaluate", "render", "plot", "list"))
    assert call("--help").out == text
    assert call("--version").out.strip() == __version__


def test_t18_checkpoints_hold_what_was_evaluated(run):
    """The evaluation beside a checkpoint is that of the parameters in it, not of those before the last update."""
    opened = RunFolder.open(run[0])
    runs = opened.compiled_runs()
    noted = {row["steps"]: row["eval/return"] for row in rows(run[0], drop=()) if "eval/return" in row}
    found = Checkpoints(run[0]).steps()
    assert len(found) >= 3
    with jax.debug_key_reuse(False):
        for step in found:
            state = opened.state(runs, np.int64(step))[1]
            update = step // runs.trainer.steps_per_update
            stream = FINAL_EVALUATION if update == runs.updates else update
            assert float(runs.evaluate(state, stream).per_run()[0]) == noted[step]
    best = max(found, key=lambda step: (noted[step], step))
    assert opened.state(runs, "best")[0] == best


def test_a_checkpoint_that_is_deleted_while_it_is_read(run, tmp_path, monkeypatch):
    """As by a run that goes on: the next newest is taken, or one line says it."""
    folder = shutil.copytree(run[0], tmp_path / "run")
    opened, steps = RunFolder.open(folder), Checkpoints(folder).steps()
    runs, restore = opened.compiled_runs(), Checkpoints._restore

    def vanish(self, step, like, checked):
        if step in steps[-2:]:
            (folder / "manifests" / f"{step}.json").unlink()
            raise ValueError("from deep within")
        return restore(self, step, like, checked)

    monkeypatch.setattr(Checkpoints, "_restore", vanish)
    with pytest.raises(RLJaxError, match=r"was deleted while it was read.*repeat the command"):
        opened.state(runs, steps[-2])
    assert opened.state(runs, "last")[0] == steps[-3]
    monkeypatch.setattr(Checkpoints, "_restore", lambda *_: 1 / 0)  # all else is a defect
    with pytest.raises(ZeroDivisionError):
        opened.state(runs, "last")


def test_t23_matmul_precision_is_recorded(run):
    """Whoever compares two runs can see whether their products had the same precision."""
    assert json.loads((run[0] / "metadata.json").read_text())["matmul_precision"] == "default"
    with jax.default_matmul_precision("highest"):
        assert metadata()["matmul_precision"] == "highest"
