"""A resumed run is the run that was begun, or it is refused and the line names what differs; what is damaged is passed over."""

import itertools
import json
import shutil

import jax
import pytest
from running import TINY, call, failed, rows

from rl_jax.errors import RLJaxError
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.tree_io import digest
from rl_jax.run.storage import config, results
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.provenance import Provenance
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.plan import Plan, Timer, with_length


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run, and another of the same program: folders."""
    made = tmp_path_factory.mktemp("runs")
    for name, more in (("first", []), ("rate", ["--learning-rate", "0.01"])):
        assert call("train", "ppo", *TINY, *more, "--keep", 20, "--out", made / name, "--quiet").status == 0
    return made


@pytest.fixture
def run(whole, tmp_path):
    """A copy of the first, without its last checkpoint and its result."""
    folder = tmp_path / "run"
    shutil.copytree(whole / "first", folder)
    checkpoints = Checkpoints(folder)
    checkpoints.discard_after(checkpoints.steps()[-2])
    (folder / "result.json").unlink()
    return folder


def edit(folder, change):
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def put(folder, other, step, name):
    """The checkpoint of one folder's step under a name in another."""
    shutil.rmtree(folder / "checkpoints" / str(name), ignore_errors=True)
    shutil.copytree(other / "checkpoints" / str(step), folder / "checkpoints" / str(name))
    shutil.copy(other / "manifests" / f"{step}.json", folder / "manifests" / f"{name}.json")


EDITS = {
    "learning_rate": lambda c: c["hyperparameters"].update(learning_rate=0.5),
    "gamma": lambda c: c["hyperparameters"].update(gamma=0.5),
    "epochs": lambda c: c["hyperparameters"].pop("epochs"),
    "time_limit": lambda c: c["run"].update(time_limit=20),
    "seed": lambda c: c["run"].update(seed=1),
    "steps": lambda c: c["run"].update(steps=8192),
    "steps nothing": lambda c: c["run"].pop("steps"),
    "steps 4096": lambda c: c["run"].pop("steps"),
    "eval_episodes": lambda c: c["run"].update(eval_episodes=5),
    "another run": lambda c: c.update(id="0"),
    "extended": lambda c: c.update(extended=[{"at": 128, "steps": 256}]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_edited_configurations_are_refused_by_name(run, monkeypatch, name):
    monkeypatch.setattr(CompiledRuns, "_compile", None)
    edit(run, EDITS[name])
    word = name if " " in name else f"--{name.replace('_', '-')}"
    word = {"steps 4096": "--steps 4096 (config.json: 500000)", "steps nothing": "--steps"}.get(name, word)
    for command in (["train", "ppo", "--resume"], ["evaluate"]):
        failed(call(*command, run), word, "put back the config.json")


@pytest.mark.slow
def test_a_name_that_stands_twice(run):
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace('"steps": 4096,', '"steps": 4096, "steps": 8192,'))
    failed(call("train", "ppo", "--resume", run), "steps stands there twice")


def test_checkpoints_of_others_are_refused_by_name(run, whole, monkeypatch):
    monkeypatch.setattr(CompiledRuns, "_compile", None)
    step = Checkpoints(run).steps()[-1]
    put(run, whole / "rate", step, step)
    failed(call("train", "ppo", "--resume", run), "--learning-rate 0.01 (config.json: 0.001)")
    put(run, whole / "first", Checkpoints(whole / "first").steps()[0], step)
    failed(call("train", "ppo", "--resume", run), "is of step 0")
    manifest = json.loads((whole / "first" / "manifests" / f"{step}.json").read_text())
    old = {name: manifest[name] for name in ("score", "files", "arrays", "large")}
    put(run, whole / "first", step, step)
    (run / "manifests" / f"{step}.json").write_text(json.dumps(old))
    failed(call("train", "ppo", "--resume", run), "does not say whose it is (run, fields)")


@pytest.mark.slow
def test_a_run_of_an_earlier_version_goes_on_and_says_what_is_not_known(run, whole):
    edit(run, lambda c: c.pop("id"))
    for path in (run / "manifests").glob("*.json"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps({name: about[name] for name in ("score", "files", "arrays", "large")}))
    outcome = call("train", "ppo", "--resume", run, "--quiet")
    assert outcome.result["params_sha256"] == result(whole)["params_sha256"]
    assert "did not record whose it is" in outcome.err and len(outcome.err.splitlines()) == 1


def result(whole):
    return json.loads((whole / "first" / "result.json").read_text())


@pytest.mark.slow
def test_damage_is_passed_over_and_said(run, whole):
    newest, before = Checkpoints(run).steps()[-1:-3:-1]
    next(path for path in (run / "checkpoints" / str(newest)).rglob("*") if path.is_file()).write_bytes(b"")
    oldest = Checkpoints(run).steps()[0]
    (run / "manifests" / f"{oldest}.json").write_text("{")
    outcome = call("evaluate", run, "--episodes", 4, "--quiet")
    assert outcome.result["steps"] == before
    for out in (outcome, call("train", "ppo", "--resume", run, "--quiet")):
        assert f"{newest} is damaged" in out.err and len(out.err.splitlines()) == 1
    assert out.result["params_sha256"] == result(whole)["params_sha256"]
    assert rows(run) == rows(whole / "first")


@pytest.mark.slow
def test_rows_that_are_missing_are_said(run):
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    lines[3] = lines[3][:20] + "\x00\n"
    (run / "metrics.jsonl").write_text("".join(lines[:-9]))
    step, total = Checkpoints(run).steps()[-1], len(lines)
    outcome = call("train", "ppo", "--resume", run, "--quiet")
    expected = sum(json.loads(line)["steps"] <= step for i, line in enumerate(lines) if i != 3) + 1
    lacking = expected - (total - 9 if total - 9 < expected else expected) + 1
    assert f"lacks {lacking} of the {expected} rows up to step {step}" in outcome.err


@pytest.mark.parametrize("what", ["manifests", "all"])
def test_a_run_never_begins_anew_by_itself(run, what):
    if what == "manifests":
        shutil.rmtree(run / "manifests")
    else:
        for path in (run / "manifests").glob("*.json"):
            path.write_text("")
    before = sorted(run.rglob("*"))
    outcome = call("train", "ppo", "--resume", run, "--quiet")
    failed(outcome, "has been trained, but no", "start anew with another --out")
    assert sorted(run.rglob("*")) == before


@pytest.mark.slow
def test_a_result_or_plot_that_is_missing_is_made_without_training(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(whole / "first", folder)
    (folder / "result.json").write_text('{"steps": 40')
    (folder / "curve.png").unlink()
    monkeypatch.setattr(CompiledRuns, "compile", None)
    monkeypatch.setattr(CompiledRuns, "advance", None)
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert outcome.result["params_sha256"] == result(whole)["params_sha256"]
    assert "result.json is damaged: it is made again" in outcome.err and (folder / "curve.png").exists()
    # One that does not fit is none: edited, malformed, of another run, of another length.
    whole_result, other = json.loads((folder / "result.json").read_text()), json.loads((whole / "rate/result.json").read_text())
    unfit = [
        {**whole_result, name: value} for name, value in (("eval_return_mean", 123.0), ("params_sha256", "0"), ("failed", 5))
    ]
    whole_result.pop("sha256")
    for content in (*unfit, other, [{}], whole_result, results.sealed({**whole_result, "env": "Acrobot-v1"}, folder)):
        (folder / "result.json").write_text(json.dumps(content))
        with pytest.raises(results.Unfit):
            results.read(folder)
    again = call("train", "ppo", "--resume", folder, "--quiet")
    assert "is of another run (env): it is made again" in again.err and len(again.err.splitlines()) == 1
    assert again.result["eval_return_mean"] == whole_result["eval_return_mean"]
    (folder / "curve.png").unlink()
    assert call("train", "ppo", "--resume", folder, "--quiet").err == ""
    assert (folder / "curve.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("from_end", [True, False])
def test_an_extended_run_is_its_checkpoint_with_a_longer_horizon(run, whole, tmp_path, from_end):
    if from_end:
        shutil.copytree(whole / "first", tmp_path / "end")
    folder = tmp_path / "end" if from_end else run
    at = Checkpoints(folder).steps()[-1]
    opened = RunFolder.open(folder)
    program = opened.compiled_runs()
    state = opened.state(program, "last")[1]
    content = json.loads((folder / "config.json").read_text())

    outcome = call("train", "ppo", "--resume", folder, "--steps", 6000, "--quiet")
    assert outcome.status == 0, outcome.err
    assert "is extended from 4.1k to 6k steps" in outcome.err and len(outcome.err.splitlines()) == 1

    per_update = program.trainer.steps_per_update
    program.steps = 6000
    with jax.debug_key_reuse(False):
        program.compile(fresh=False)
        state = program.advance(with_length(program, state, 6000), program.updates - at // per_update)[0]
    assert digest(program.params(state)) == outcome.result["params_sha256"]
    assert float(state.horizon) == program.updates == 47
    steps = [row["steps"] for row in rows(folder)]
    assert steps == sorted(set(steps)) and steps[-1] == 47 * per_update and at in steps
    assert rows(folder)[: steps.index(at) + 1] == rows(whole / "first")[: steps.index(at) + 1]
    saved = json.loads((folder / "config.json").read_text())
    assert saved.pop("extended") == [{"at": at, "steps": 4096}]
    assert saved == {**content, "run": {**content["run"], "steps": 6000}}

    # It can be resumed, from before the extension as well.
    kept = Checkpoints(folder).steps()
    assert kept[-1] == 47 * per_update
    before, sha = rows(folder), outcome.result["params_sha256"]
    for step in kept[-2:] if from_end else kept[3:]:
        (folder / "manifests" / f"{step}.json").unlink()
    (folder / "result.json").unlink()
    again = call("train", "ppo", "--resume", folder, "--quiet")
    assert again.result["params_sha256"] == sha and rows(folder) == before
    failed(call("train", "ppo", "--resume", folder, "--steps", 4096), "fewer than the 6000", "not cut short")


def test_the_plan_of_a_run_that_was_extended_before_its_end(whole):
    program = RunFolder.open(str(whole / "first")).compiled_runs()
    program.steps = 8192
    fields = Provenance.of(config.load(whole / "first" / "config.json")).fields
    plan = Plan.of(program, 4, Provenance(None, fields, ({"at": 1280, "steps": 4096},)))
    assert plan.planned == {0: 4096, 10: 8192} and (plan.length(9), plan.length(10)) == (4096, 8192)
    assert plan.edges == [*range(65)] and plan.saves == {8, 16, 32, 48, 64}
    with pytest.raises(RLJaxError, match="no history of a run"):
        Provenance.of({"agent": "ppo", "run": {}, "hyperparameters": {}, "extended": [{"at": "1", "steps": 2}]})


def test_time_asks_for_checkpoints(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rl_jax.run.training.plan.time.monotonic", lambda: now[0])
    timer, saved = Timer(5, 0.1), []
    for now[0] in range(1, 1500):  # rows of one second
        if timer.due():
            saved.append(now[0])
            timer.saved(0.1)
    assert saved[:4] == [2, 4, 8, 16] and max(b - a for a, b in itertools.pairwise(saved)) <= 300
    # Dear checkpoints, and rows that take long.
    now[0] = 0.0
    timer, saved = Timer(5, 20.0), []
    for _ in range(20):
        now[0] += 25.0
        if timer.due():
            saved.append(now[0])
            timer.saved(20.0)
    assert saved[0] == 25.0 and all(200 <= b - a <= 300 for a, b in itertools.pairwise(saved))
