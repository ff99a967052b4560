"""Helpers of the tests that use the command line: in this process where possible, in one of its own where it must be."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp

from rl_jax.run.cli.console import main
from rl_jax.run.devices.compiled_runs import CompiledRuns

TINY = [
    *("--env", "CartPole-v1", "--steps", "4096", "--num-envs", "8", "--rollout-length", "16"),
    *("--hidden", "8", "--eval-episodes", "4"),
]


@dataclass
class Outcome:
    """What came of a command."""

    status: int
    out: str
    err: str

    @property
    def result(self):
        """The last line, which is JSON."""
        return json.loads(self.out.strip().splitlines()[-1])


def call(*args):
    """``rl-jax ARGS`` within this process."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    cache = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    try:
        # The check knows no vmapped branches and takes both of them for used; the plain program is checked elsewhere.
        with jax.debug_key_reuse(False), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(arg) for arg in args])
    except SystemExit as end:
        status = end.code or 0
    finally:
        jax.config.update("jax_compilation_cache_dir", cache[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", cache[1])
    return Outcome(status, out.getvalue(), err.getvalue())


def start(*args, first="pass", cwd=None, **variables):
    """``rl-jax ARGS`` in a process of its own, after the Python text ``first``, with environment ``variables``."""
    code = f"{first}\nfrom rl_jax.run.cli.console import main\nmain()"
    command = [sys.executable, "-c", code, *map(str, args)]
    # The environment is tests/conftest.py's: compiled as in this process, so that results can be compared bit for bit.
    env = {**os.environ, **variables}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd)


def wait(process, limit=240):
    """The end of a process that was started."""
    out, err = process.communicate(timeout=limit)
    return Outcome(process.returncode, out, err)


def wait_for(condition, process, limit=240):
    """Until ``condition()``, or the process has ended."""
    begin = time.monotonic()
    while not condition() and process.poll() is None:
        assert time.monotonic() - begin < limit
        time.sleep(0.005)


def rows(folder, drop=("wall", "steps_per_second")):
    """The lines of ``metrics.jsonl`` without what depends on the clock."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in drop} for line in lines]


def failed(outcome, *words):
    """Assert that a command was refused with one line that has these words; the line."""
    lines = outcome.err.splitlines()
    assert outcome.status == 2, outcome
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("rl-jax: error: "), lines[0]
    assert outcome.out == ""
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def trace_only(monkeypatch):
    """Programs of runs are traced and not compiled: each returns zeros of the shapes that it has."""

    def start(self, *specs):
        for spec in specs:
            if spec.name not in self._programs:
                shapes = self._jit(spec).eval_shape(self._placed_trainer(), *spec.shapes)
                self._programs[spec.name] = lambda *_, shapes=shapes: jax.tree.map(_zeros, shapes)

    monkeypatch.setattr(CompiledRuns, "_start", start)


def _zeros(shape):
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(0), shape.shape)
    return jnp.zeros(shape.shape, shape.dtype)
