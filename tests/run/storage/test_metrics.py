"""The metrics file survives kills and resumes; loggers copy it; the progress line says the same."""

import io
import itertools
import json
import math
import sys
import time
import types
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.errors import MissingExtra, RLJaxError
from rl_jax.run.report.loggers import TensorBoardLogger, WandbLogger
from rl_jax.run.report.progress import PLAIN_LINES, Progress, human_count, human_time, human_value
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.storage.metrics import MetricsFile, read


def rows(*steps: int) -> list[dict[str, Any]]:
    return [{"steps": step, "seed": 0, "wall": 0.5, "episode/return": float(step)} for step in steps]


def strict(line: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_appends_and_reads_back(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "deep" / "metrics.jsonl")
    file.log(rows(1, 2))
    file.log([])
    file.log(rows(3))
    assert file.read() == rows(1, 2, 3)
    assert file.path.read_text().count("\n") == 3


def test_numbers_of_any_library_and_what_is_not_finite(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "m.jsonl")
    file.log([{"steps": np.int64(2**53 + 1), "a": jnp.float32(0.5), "b": np.float32(np.nan), "c": math.inf, "d": jnp.nan}])
    row = strict(file.path.read_text())
    assert row == {"steps": 2**53 + 1, "a": 0.5, "b": None, "c": None, "d": None}
    (back,) = file.read()
    assert back["steps"] == 2**53 + 1
    assert all(math.isnan(back[name]) for name in "bcd")


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_half_written_last_line(tmp_path: Path, cut: int) -> None:
    file = MetricsFile(tmp_path / "m.jsonl")
    file.log(rows(1, 2))
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-cut])
    kept = rows(1, 2) if cut == 1 else rows(1)  # without only its line end the row is whole
    assert file.read() == kept
    file.log(rows(3))
    assert file.read() == kept + rows(3)
    for line in file.path.read_text().splitlines():
        strict(line)


def test_half_written_only_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"steps": 1')
    assert read(path) == []
    MetricsFile(path).log(rows(7))
    assert read(path) == rows(7)


def test_truncate_after(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "m.jsonl")
    assert file.truncate_after(5) == []
    file.log([{"note": 1}, *rows(1, 2, 3, 4)])
    file.path.write_bytes(file.path.read_bytes() + b'{"steps": 5, "se')
    assert file.truncate_after(2) == [1, 2]
    assert file.read() == [{"note": 1}, *rows(1, 2)]
    assert file.truncate_after(2) == [1, 2]
    file.log(rows(3))
    assert file.read() == [{"note": 1}, *rows(1, 2, 3)]
    assert [each.name for each in tmp_path.iterdir()] == ["m.jsonl"]
    assert file.truncate_after(0) == []


def test_a_failure_in_the_train_step_after_a_checkpoint_is_met_again(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "m.jsonl")
    failed = [{"steps": steps, "seed": 1, "failed": "NaN"} for steps in (1, 2)]
    file.log([*rows(1, 2), *failed])
    assert file.truncate_after(2) == [1, 2]
    assert file.read() == [*rows(1, 2), failed[0]]


def test_kill_while_truncating_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = MetricsFile(tmp_path / "m.jsonl")
    file.log(rows(1, 2))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        file.truncate_after(1)
    assert file.read() == rows(1, 2)


DAMAGED = [
    *('{"steps": null, "seed": 0}', '{"steps": -1, "seed": 0}', '{"steps": "2", "seed": 0}', '{"steps": 2, "seed": null}'),
    *('{"steps": 2, "seed": 0, "x": [1]}', '{"steps": 2, "seed": 0, "x": "1"}', '{"steps": 2, "seed": 0, "x": 1e400}'),
    '{"steps": 2, "seed": 0, "x": ' + "9" * 500 + "}",
    *('{"steps": 2, "seed": 7, "x": 1}', '{"steps": 2, "x": 1}', '{"steps": 2, "run": 1, "seed": 0, "x": 1}'),
    *('{"steps": 2, "seed": 7, "failed": "NaN"}', '{"steps": 2, "failed": "NaN"}', '{"seed": 0, "failed": "NaN"}'),
    *('{"steps": 2, "seed": 0, "failed": null}', '{"steps": 2, "seed": 0, "failed": 5}'),
]


def test_damaged_rows_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = MetricsFile(tmp_path / "m.jsonl", [{"seed": 0}])
    for damaged in DAMAGED:
        file.path.write_text(f"{json.dumps(rows(1)[0])}\n{damaged}\n{json.dumps(rows(3)[0])}\n")
        assert file.read() == rows(1, 3)
        (said,) = capsys.readouterr().err.splitlines()
        assert f"{file.path}, line 2 (" in said and said.endswith("): left out")
    file.path.write_text("".join(f"{line}\n" for line in [*DAMAGED, "no JSON", json.dumps(rows(3)[0])]))
    assert file.truncate_after(3) == [3] and file.read() == rows(3)
    (said,) = capsys.readouterr().err.splitlines()
    assert f"line 1 (steps is no number) and {len(DAMAGED)} more: left out" in said


def test_rows_are_of_the_runs_of_a_sweep(tmp_path: Path) -> None:
    labels = run_labels([4, 5], {"lr": (0.1, 0.2), "gamma": (0.9,)})
    assert labels == [{"run": i, "seed": 4 + i % 2, "lr": (0.1, 0.2)[i // 2]} for i in range(4)]
    file = MetricsFile(tmp_path / "m.jsonl", labels)
    mine = [{"steps": 1, **label, "x": 1.0} for label in labels]
    file.log([*mine, {**mine[0], "lr": 0.3}, {**mine[0], "run": 1}, {**mine[0], "run": 9}])
    assert file.read() == mine


def test_errors_name_the_place(tmp_path: Path) -> None:
    with pytest.raises(RLJaxError, match="no metrics file"):
        read(tmp_path / "absent.jsonl")
    path = tmp_path / "m.jsonl"
    path.write_text('{"steps": 1}\nhello\n{"steps": 2}\n')
    with pytest.raises(RLJaxError, match="line 2"):
        read(path)


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    logger = TensorBoardLogger(tmp_path, resume_from=10)
    logger.log([{"steps": 11, "seed": seed, "wall": 1.0, "loss/pg": 0.5, "nothing": math.nan} for seed in range(2)])
    logger.close()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["seed_0", "seed_1"]
    content = next((tmp_path / "seed_0").iterdir()).read_bytes()
    assert b"loss/pg" in content
    assert b"nothing" not in content


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = types.SimpleNamespace(
        log=lambda payload, step: calls.append((step, payload)), finish=lambda: calls.append("finished")
    )

    def init(**kwargs: Any) -> Any:
        calls.append(kwargs)
        return run

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    logger = WandbLogger(tmp_path / "w", {"gamma": 0.99}, "study")
    logger.log([{"steps": 8, "seed": seed, "x": float(seed)} for seed in range(2)] + [{"steps": 16, "seed": 0, "x": 3}])
    logger.close()
    name = (tmp_path / "w" / "wandb_id.txt").read_text()
    expected = {"project": "study", "dir": str(tmp_path / "w"), "config": {"gamma": 0.99}, "mode": "offline"}
    assert calls[0] == {**expected, "id": name, "resume": "allow"}
    assert calls[1:] == [(8, {"seed_0/x": 0.0, "seed_1/x": 1.0, "x": 0.5}), (16, {"x": 3.0}), "finished"]
    # A resumed run goes on in its own record; the settings of a sweep are curves of their own.
    WandbLogger(tmp_path / "w", resume_from=8)
    assert calls[-1]["id"] == name and calls[-1]["config"] == {"resumed_from": 8}
    sweep = WandbLogger(tmp_path / "v", varied=("lr",))
    sweep.log([{"steps": 8, "run": i, "seed": i % 2, "lr": (0.1, 0.2)[i // 2], "x": float(i)} for i in range(4)])
    each = {"lr=0.1,seed=0/x": 0.0, "lr=0.1,seed=1/x": 1.0, "lr=0.2,seed=0/x": 2.0, "lr=0.2,seed=1/x": 3.0}
    assert calls[-1] == (8, {**each, "lr=0.1/x": 0.5, "lr=0.2/x": 2.5})


def test_missing_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, logger in (("tensorboardX", TensorBoardLogger), ("wandb", WandbLogger)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtra, match="pip install"):
            logger(tmp_path)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (7, "7"),
        (950, "950"),
        (1200, "1.2k"),
        (170_000, "170k"),
        (999_960, "1M"),
        (1.25e6, "1.25M"),
        (3e9, "3B"),
    ],
)
def test_human_count(count: float, text: str) -> None:
    assert human_count(count) == text


def test_human_time_and_value() -> None:
    assert [human_time(seconds) for seconds in (0, 12, 723, 3723, 200_000)] == [
        "0:00", "0:12", "12:03", "1:02:03", "2d 07:33",
    ]  # fmt: skip
    assert human_time(math.inf) == human_time(math.nan) == "?"
    assert human_value(231.4) == "231.4"
    assert human_value(math.nan) == "-"
    assert human_value([200.0, 250.0, math.nan]) == "225 (200..250)"
    assert human_value(np.array([1.0])) == "1"


def test_progress_in_plain_lines() -> None:
    stream = io.StringIO()
    with Progress(500_000, stream=stream) as progress:
        for steps in range(1000, 500_001, 1000):
            progress.update(steps, 1.2e6, 231.4, {"eval": 250.1})
        progress.note("done")
    lines = stream.getvalue().splitlines()
    assert 5 < len(lines) <= PLAIN_LINES + 2
    assert lines[-1] == "done"
    assert lines[-2].startswith("100%  500k/500k steps  1.2M steps/s  return 231.4  eval 250.1")
    assert "left 0:00" in lines[0]
    assert "\r" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal() -> None:
    stream, now = Terminal(), [0.0]
    progress = Progress(100, stream=stream, clock=lambda: now[0])
    progress.update(10, 1.0, math.nan)
    progress.update(11, 1.0, 1.0)  # too soon after the last to be drawn
    assert stream.getvalue() == "\r 10%  10/100 steps  1 steps/s  return -  left 1:30\x1b[K"
    progress.note("saved")
    assert "\x1b[Ksaved\n\r 10%" in stream.getvalue()
    now[0] = 1.0
    progress.update(50, 1.0, 1.0)
    progress.close()
    progress.close()
    assert stream.getvalue().endswith("return 1  left 0:50\x1b[K\n")


def test_a_clock_while_something_goes_on() -> None:
    stream, clock = Terminal(), itertools.count(0.0, 61.0)
    progress = Progress(100, stream=stream, clock=lambda: next(clock))
    with progress.busy("compiling"):
        while "compiling" not in stream.getvalue():
            time.sleep(0.001)
    progress.note("compiled")
    text = stream.getvalue()
    assert "compiling ... 1:01" in text and text.endswith("\r\x1b[Kcompiled\n")
    plain = io.StringIO()
    with Progress(100, stream=plain).busy("compiling"):
        assert plain.getvalue() == "compiling ...\n"
    silent = Terminal()
    with pytest.raises(KeyError), Progress(100, quiet=True, stream=silent).busy("compiling"):
        raise KeyError
    assert not silent.getvalue()


def test_quiet_progress() -> None:
    stream = Terminal()
    progress = Progress(10, quiet=True, stream=stream)
    progress.update(10, 1.0, 1.0)
    progress.note("x")
    progress.close()
    assert stream.getvalue() == ""
