"""What the scripts that attack runs from outside share: small runs, how they are started, and how two ends are compared."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Names in rows and results that depend on the clock or the place.
CLOCK = ("wall", "steps_per_second", "seconds_compile", "seconds_run", "out")

_CARTPOLE = ["--env", "CartPole-v1", "--eval-episodes", "8"]
_SMALL = [*_CARTPOLE, "--hidden", "16"]

#: Small runs over everything that a state can hold: command, agent, options.
CASES: dict[str, tuple[str, str, list[str]]] = {
    "ppo-gru": ("train", "ppo", [*_SMALL, "--steps", "200000", "--memory", "gru", "--memory-width", "16", "--num-envs", "16"]),
    "sac": ("train", "sac", ["--env", "Pendulum-v1", "--eval-episodes", "8", "--hidden", "16", "--steps", "30000"]),
    "dqn-prioritized": ("train", "dqn", [*_SMALL, "--steps", "60000", "--prioritized"]),
    "r2d2": ("train", "r2d2", [*_SMALL, "--steps", "40000", "--memory-width", "16"]),
    "stream-q": ("train", "stream-q", [*_SMALL, "--steps", "40000"]),
    "sweep": ("sweep", "ppo", [*_SMALL, "--steps", "60000", "--learning-rate", "3e-4", "1e-3", "3e-3", "--seeds", "4"]),
}


def command(kind: str, agent: str, *args: object) -> list[str]:
    """``rl-jax KIND AGENT ARGS`` by this Python."""
    return [sys.executable, "-m", "rl_jax.run.cli.console", kind, agent, "--quiet", *map(str, args)]


def run(kind: str, agent: str, *args: object) -> "subprocess.CompletedProcess[str]":
    """Run to the end, whatever that is."""
    return subprocess.run(command(kind, agent, *args), capture_output=True, text=True, check=False)


def run_here(kind: str, agent: str, *args: object) -> "subprocess.CompletedProcess[str]":
    """The same within this process, which saves the start and most of compiling."""
    from rl_jax.run.cli.console import main

    words, out, err, status = command(kind, agent, *args)[3:], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def finish(kind: str, agent: str, *args: object) -> dict[str, Any]:
    """Run to the end; the result. Anything else ends the script."""
    done = run(kind, agent, *args)
    if done.returncode:
        sys.exit(f"{' '.join(command(kind, agent, *args))} ended with status {done.returncode}: {done.stderr}")
    return result(done.stdout)


def result(out: str) -> dict[str, Any]:
    """The last line of what a command has printed."""
    return dict(json.loads(out.splitlines()[-1]))


def rows(folder: Path) -> list[dict[str, Any]]:
    """Whole lines of the metrics, without what depends on the clock."""
    try:
        lines = (folder / "metrics.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [{name: value for name, value in json.loads(line).items() if name not in CLOCK} for line in lines]


def saved(folder: Path) -> int:
    """Environment steps of the newest checkpoint."""
    return max((int(path.stem) for path in (folder / "manifests").glob("*.json") if path.stem.isdigit()), default=0)


def same(found: dict[str, Any], folder: Path, wanted: dict[str, Any], whole: Path) -> dict[str, bool]:
    """Whether a run has come to the end of another: its parameters, its evaluations, its rows."""
    evaluations = [name for name in wanted if name.startswith("eval_")]
    return {
        "params_sha256": found["params_sha256"] == wanted["params_sha256"],
        "evaluation": all(found.get(name) == wanted[name] for name in evaluations),
        "metrics": rows(folder) == rows(whole),
    }


def refused(done: "subprocess.CompletedProcess[str]") -> bool:
    """Whether a command was refused with one line."""
    return done.returncode == 2 and done.stderr.startswith("rl-jax: error: ") and done.stderr.count("\n") == 1


def show(line: str) -> None:
    """A line of a table, at once."""
    print(line, flush=True)
