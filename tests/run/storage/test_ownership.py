"""One process writes a run folder, whatever name it has; the folder that a run began with is the only one it writes."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import TINY, call, failed, rows

from rl_jax.errors import RLJaxError
from rl_jax.run import stopping
from rl_jax.run.storage import checkpoint_files
from rl_jax.run.storage.ownership import Busy, identity, make, own, unreplaced

#: A configuration that ``--overwrite`` takes for a run's.
CONFIG = json.dumps({"agent": "ppo", "run": {}, "hyperparameters": {}})


@pytest.fixture
def folder(tmp_path):
    """Something that looks like a run."""
    made = tmp_path / "runs" / "first"
    (made / "manifests").mkdir(parents=True)
    (made / "config.json").write_text(CONFIG)
    (made / "manifests" / "10.json").write_text("")
    return made


def busy(path):
    with pytest.raises(Busy, match="another process is writing"), own(path):
        pass


def test_one_owner_under_every_spelling(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "up").symlink_to(folder.parent)
    monkeypatch.chdir(folder.parent)
    with own(folder):
        for path in (folder, f"{folder}/", "first", "./first", "../runs/first", tmp_path / "link", tmp_path / "up" / "first"):
            busy(path)
    with own("first"):
        busy(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["first"] and not (folder / ".lock").exists()


def test_the_lock_outlives_deletion_and_goes_along_with_a_renamed_folder(folder):
    with own(folder):
        folder.rename(folder.with_name("second"))
        busy(folder)
        busy(folder.with_name("second"))
        shutil.rmtree(folder.with_name("second"))
        busy(folder)
    with own(folder) as owned:
        make(owned, overwrite=False)


def test_a_lock_that_a_kill_left_is_free(folder):
    (folder.parent / ".first.lock").write_text("")
    (folder / ".lock").write_text("")
    with own(folder):
        pass
    assert [path.name for path in folder.parent.iterdir()] == ["first"]


def test_overwriting_moves_aside_first(folder, monkeypatch):
    seen = []
    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: (seen.append(folder.exists()), rmtree(path, **options)))
    with own(folder) as owned:
        seen.clear()
        make(owned, overwrite=True)
        busy(folder)
        assert seen == [False] and os.listdir(folder) == [".lock"]
    assert os.listdir(folder.parent) == ["first"]


def test_what_is_not_replaced(folder, monkeypatch):
    (folder / "inner").mkdir()
    (folder / "inner" / "config.json").write_text(CONFIG)
    with own(folder) as owned:
        with pytest.raises(RLJaxError, match="exists already"):
            make(owned, overwrite=False)
        with pytest.raises(RLJaxError, match="holds another run"):
            make(owned, overwrite=True)
        shutil.rmtree(folder / "inner")
        monkeypatch.chdir(folder)
        with pytest.raises(RLJaxError, match="working directory"):
            make(owned, overwrite=True)
    assert (folder / "manifests" / "10.json").exists()


def test_a_start_that_came_to_nothing_is_no_obstacle(folder):
    (folder / "manifests" / "10.json").rename(folder / "manifests" / "0.json")  # nothing was trained
    with own(folder) as owned:
        make(owned, overwrite=False)
        assert os.listdir(folder) == [".lock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_parent_that_cannot_be_written(folder):
    folder.parent.chmod(0o555)
    try:
        with own(folder):
            busy(folder)
        with pytest.raises(RLJaxError, match="cannot write to"), own(folder.parent / "second"):
            pass
    finally:
        folder.parent.chmod(0o755)


def test_a_file_system_without_locks(folder, monkeypatch, capsys):
    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    with own(folder):
        pass
    assert "has no locks" in capsys.readouterr().err


def test_readers_notice_a_replacement(folder):
    before = identity(folder)
    with unreplaced(folder, before):
        pass
    with pytest.raises(RLJaxError, match="config"), unreplaced(folder, before):
        raise RLJaxError("config")
    with pytest.raises(RLJaxError, match="replaced while it was read"), unreplaced(folder, before):
        folder.rename(folder.with_name("old"))
        raise FileNotFoundError


@pytest.mark.slow
@pytest.mark.parametrize("what", ["removed", "renamed", "replaced"])
def test_a_folder_that_vanishes_ends_the_run(tmp_path, monkeypatch, what):
    folder, moved, write = tmp_path / "run", tmp_path / "moved", checkpoint_files.write

    def vanish(path, flat):
        if path.name != "0" and folder.exists() and not moved.exists():
            shutil.rmtree(folder) if what == "removed" else folder.rename(moved)
            if what == "replaced":
                folder.mkdir()
                (folder / "config.json").write_text("another's")
        write(path, flat)

    monkeypatch.setattr(checkpoint_files, "write", vanish)
    failed(call("train", "ppo", *TINY, "--quiet", "--out", folder), "was removed, renamed or replaced", str(folder))
    if what == "replaced":
        assert (folder / "config.json").read_text() == "another's"
    else:
        assert not folder.exists()
    if what != "removed":
        assert rows(moved)[-1]["steps"] < 4096 and not (moved / "result.json").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"moved", "run"}


def test_names_of_the_same_second_differ(tmp_path, monkeypatch):
    from rl_jax.run.options import RunOptions
    from rl_jax.run.training import setup

    class Clock:
        @staticmethod
        def now():
            return begin_time

    begin_time = __import__("datetime").datetime(2026, 1, 1)
    monkeypatch.setattr(setup, "datetime", Clock)
    monkeypatch.chdir(tmp_path)
    with setup._own_new_folder(RunOptions(env="a/b"), "ppo") as first:
        make(first, False)
        with setup._own_new_folder(RunOptions(env="a/b"), "ppo") as second:
            make(second, False)
    with setup._own_new_folder(RunOptions(env="a/b"), "ppo") as third:
        names = [one.path.name for one in (first, second, third)]
    assert names == [f"a_b-ppo-s0-20260101-000000{end}" for end in ("", "-2", "-3")]


SIGNALS = f"""
import importlib.util, os, signal, sys, time
spec = importlib.util.spec_from_file_location("stopping", {str(Path(stopping.__file__))!r})
stopping = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stopping)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests were started by

def send(*names):
    for name in names:
        os.kill(os.getpid(), getattr(signal, name))
"""


@pytest.mark.parametrize(
    ("text", "status", "line"),
    [
        ("with stopping.obeying(): send('SIGINT'); time.sleep(9)", 130, "rl-jax: stopped by SIGINT"),
        ("with stopping.obeying(): send('SIGHUP'); time.sleep(9)", 129, "rl-jax: stopped by SIGHUP"),
        # Where the main thread is not asked: it waits for a mutex of C, as for a compiler.
        (
            "import threading; threading.Timer(0.2, send, ['SIGTERM']).start()\n"
            "with stopping.obeying(): __import__('ctypes').CDLL(None).sleep(9)",
            143,
            "rl-jax: stopped by SIGTERM",
        ),
        # Held back, and passed on twice by a wrapper.
        (
            "with stopping.obeying():\n with stopping.graceful() as stop:\n  send('SIGTERM', 'SIGTERM'); sys.exit(stop.signal)",
            15,
            "",
        ),
        ("with stopping.obeying():\n with stopping.graceful(): send('SIGINT', 'SIGTERM'); time.sleep(9)", 143, "by SIGTERM"),
        ("with stopping.graceful(): send('SIGHUP'); time.sleep(0.4); send('SIGHUP'); time.sleep(9)", 129, "by SIGHUP"),
        ("stopping.ignore(); send('SIGTERM', 'SIGHUP'); sys.exit(143)", 143, ""),
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN)\nwith stopping.obeying(): send('SIGHUP'); sys.exit(7)", 7, ""),
        (
            "with stopping.obeying(), stopping.before_leaving(lambda: 'continue with X'): send('SIGINT'); time.sleep(9)",
            130,
            "rl-jax: stopped by SIGINT; continue with X",
        ),
    ],
)
def test_signals(text, status, line):
    done = subprocess.run([sys.executable, "-c", SIGNALS + text], check=False, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == (1 if line else 0) and line in done.stderr
