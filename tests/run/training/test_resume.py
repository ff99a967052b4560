"""A run that is stopped, however it is, and continued is the run that was never stopped, bit for bit."""

import json
import random
import shutil
import signal
import time

import pytest
from running import TINY, call, rows, start, wait, wait_for

from rl_jax.run.storage.checkpoint import Checkpoints

#: Longer than TINY: 256 train steps, 200 rows, a checkpoint every 25 train steps or so.
LONG = [*TINY, "--steps", "32768"]
#: What else a state can hold: memories, running statistics (on by default), several seeds.
GRU = [*TINY, "--memory", "gru", "--memory-width", "8", "--minibatches", "2", "--time-limit", "30"]

# Each kills its process at one point of a run, on the third time that it comes there.
COUNT = """
import os, signal
import rl_jax.run.storage.checkpoint_files as files, rl_jax.run.storage.manifests as manifests, rl_jax.run.storage.metrics as metrics
calls = []
def third():
    calls.append(1)
    return len(calls) == 3
def kill():
    os.kill(os.getpid(), signal.SIGKILL)
"""
IN_ORBAX = (
    COUNT
    + """
write = files.write
def torn(path, flat):
    write(path, flat)
    if third():
        next(file for file in path.rglob("*") if file.is_file() and file.name != "_METADATA").unlink()
        path.rename(path.with_name(path.name + ".orbax-checkpoint-tmp"))
        kill()
files.write = torn
"""
)
BEFORE_MANIFEST = (
    COUNT
    + """
dump = manifests.json.dump
class Json:
    loads = manifests.json.loads
    def dump(about, file):
        if third():
            file.write('{"score": 1.0, "fi')
            file.flush()
            kill()
        dump(about, file)
manifests.json = Json
"""
)
IN_METRICS = (
    COUNT
    + """
append = metrics.MetricsFile.log
def half(self, rows):
    if rows[0]["steps"] > 1000 and third():
        with open(self.path, "a") as file:
            file.write(metrics._line(rows[0])[:40])
            file.flush()
            kill()
    append(self, rows)
metrics.MetricsFile.log = half
"""
)


def train(folder, *options, first="pass"):
    return start("train", "ppo", *options, "--out", folder, "--quiet", first=first)


def resume(folder, first="pass"):
    return start("train", "ppo", "--resume", folder, "--quiet", first=first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The runs that were never stopped, made when first asked for."""
    made = {}

    def get(options):
        key = " ".join(options)
        if key not in made:
            folder = tmp_path_factory.mktemp("whole") / "run"
            outcome = call("train", "ppo", *options, "--out", folder, "--quiet")
            assert outcome.status == 0, outcome.err
            made[key] = folder, outcome.result
        return made[key]

    return get


def assert_same_run(
    folder,
    result,
    whole,
    own=("seconds_compile", "seconds_train", "seconds_eval", "seconds_run", "steps_per_second", "out", "id", "sha256"),
):
    """The result, the metrics and the saved result are those of the whole run, but for what each has of its own."""
    reference, wanted = whole
    for name in wanted.keys() - set(own):
        assert result[name] == wanted[name], name
    assert rows(folder) == rows(reference)
    assert json.loads((folder / "result.json").read_text())["params_sha256"] == wanted["params_sha256"]
    assert (folder / "curve.png").exists()
    assert Checkpoints(folder).steps()[-1] == Checkpoints(reference).steps()[-1] == wanted["steps"]


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path, whole):
    moments, folder = random.Random(1), tmp_path / "run"
    process = train(folder, *LONG)
    for attempt in range(2):
        known = len(rows(folder)) if attempt else 0
        wait_for(lambda known=known: (folder / "metrics.jsonl").exists() and len(rows_or_none(folder)) != known, process)
        time.sleep(moments.uniform(0.0, 0.8))
        process.kill()
        assert wait(process).status == -signal.SIGKILL
        assert not (folder / "result.json").exists()
        process = resume(folder) if attempt == 0 else None
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert_same_run(folder, outcome.result, whole(LONG))


def rows_or_none(folder):
    """Lines so far; the last may be half-written."""
    return (folder / "metrics.jsonl").read_text().splitlines()


@pytest.mark.slow
def test_killed_while_writing(tmp_path, whole):
    # One run, killed in the middle of a row, then between orbax's files and the manifest, then among orbax's files.
    folder = tmp_path / "run"
    assert wait(train(folder, *GRU, first=IN_METRICS)).status == -signal.SIGKILL
    assert len((folder / "metrics.jsonl").read_text().splitlines()[-1]) == 40
    before = Checkpoints(folder).steps()
    assert wait(resume(folder, first=BEFORE_MANIFEST)).status == -signal.SIGKILL
    assert list((folder / "manifests").glob("*.part"))
    between = Checkpoints(folder).steps()
    assert wait(resume(folder, first=IN_ORBAX)).status == -signal.SIGKILL
    assert list((folder / "checkpoints").glob("*.orbax-checkpoint-tmp"))
    after = Checkpoints(folder).steps()
    assert 0 < before[-1] < between[-1] < after[-1] < 4096
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert_same_run(folder, outcome.result, whole(GRU))
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {str(step) for step in Checkpoints(folder).steps()}


@pytest.mark.slow
def test_asked_to_stop(tmp_path, whole):
    # Three seeds; SIGTERM, then SIGINT, each in the middle of the run.
    options, folder = [*LONG, "--seeds", "3", "--steps", "16384"], tmp_path / "run"
    process = train(folder, *options)
    for number in (signal.SIGTERM, signal.SIGINT):
        known = len(rows_or_none(folder)) if number == signal.SIGINT else 0
        wait_for(lambda known=known: (folder / "metrics.jsonl").exists() and len(rows_or_none(folder)) != known, process)
        process.send_signal(number)
        outcome = wait(process)
        assert outcome.status == 128 + number, outcome.err
        assert outcome.out == ""
        assert len(outcome.err.splitlines()) == 1
        assert (
            f"stopped by {number.name}" in outcome.err
            and f"saved: continue with rl-jax train ppo --resume {folder}" in outcome.err
        )
        # Nothing is lost: the last row has its checkpoint.
        assert Checkpoints(folder).steps()[-1] == rows(folder)[-1]["steps"] < 16384
        process = resume(folder) if number == signal.SIGTERM else None
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert_same_run(folder, outcome.result, whole(options))


@pytest.mark.slow
def test_asked_to_stop_before_there_is_anything_to_save(tmp_path):
    first = """
import os, signal
from rl_jax.run.devices.compiled_runs import CompiledRuns
CompiledRuns.compile = lambda self, fresh=True: os.kill(os.getpid(), signal.SIGTERM)
"""
    outcome = wait(train(tmp_path / "run", *TINY, first=first))
    assert (outcome.status, outcome.out, outcome.err) == (128 + signal.SIGTERM, "", "rl-jax: stopped by SIGTERM\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_before_the_first_checkpoint(tmp_path, whole):
    # What stands then: the configuration, and perhaps half a checkpoint.
    reference, _ = whole(TINY)
    folder = tmp_path / "run"
    (folder / "checkpoints" / "0.orbax-checkpoint-tmp").mkdir(parents=True)
    for name in ("config.json", "metadata.json"):
        (folder / name).write_text((reference / name).read_text())
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert_same_run(folder, outcome.result, whole(TINY))


@pytest.mark.slow
def test_killed_before_the_first_row(tmp_path, whole, monkeypatch):
    """There is a first state, and no file of rows."""

    def killed(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as context:
        context.setattr("rl_jax.run.storage.metrics.MetricsFile.log", killed)
        assert call("train", "ppo", *TINY, "--out", folder, "--quiet").status == 128 + signal.SIGINT
    assert Checkpoints(folder).steps() == [0] and not (folder / "metrics.jsonl").exists()
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert "warning" not in outcome.err
    assert_same_run(folder, outcome.result, whole(TINY))


def test_resuming_a_finished_run_changes_nothing(whole):
    folder, result = whole(TINY)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = call("train", "ppo", "--resume", folder)
    assert outcome.status == 0 and outcome.result == result
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_killed_between_the_last_checkpoint_and_the_result(tmp_path, whole):
    options = [*TINY, "--seed", "3"]
    folder = tmp_path / "run"
    first = call("train", "ppo", *options, "--out", folder, "--quiet").result
    for name in ("result.json", "curve.png", "metrics.jsonl"):
        (folder / name).unlink()
    outcome = call("train", "ppo", "--resume", folder, "--quiet")
    assert outcome.result["steps_per_second"] is None  # nothing was trained
    assert "lacks 32 of the 32 rows" in outcome.err  # and the run goes on without them
    for name in ("params_sha256", "eval_return_mean", "steps"):
        assert outcome.result[name] == first[name]
    assert (folder / "result.json").exists() and (folder / "curve.png").exists()


@pytest.mark.slow
def test_a_sweep_is_resumed(tmp_path):
    options = [*TINY, "--learning-rate", "1e-3", "1e-2", "--steps", "2048", "--quiet"]
    whole = call("sweep", "ppo", *options, "--out", tmp_path / "whole").result
    folder = shutil.copytree(tmp_path / "whole", tmp_path / "run")
    checkpoints = Checkpoints(folder)
    checkpoints.discard_after(checkpoints.steps()[-2])
    (folder / "result.json").unlink()
    with open(folder / "metrics.jsonl", "a") as file:  # none of these is a row of it
        file.write('{"steps": 64, "seed": 5, "failed": "NaN"}\n{"steps": [1]}\n{"failed": null}\n')
    outcome = call("sweep", "ppo", "--resume", folder, "--quiet")
    assert outcome.status == 0, outcome.err
    assert outcome.result["params_sha256"] == whole["params_sha256"]
    assert outcome.result["table"] == whole["table"]
    assert rows(folder) == rows(tmp_path / "whole")
