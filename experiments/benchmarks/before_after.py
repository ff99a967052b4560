"""Whether learning is what it was before a change: the same commands from two checkouts, in turn, ten seeds each.

    git worktree add /tmp/before COMMIT
    python experiments/benchmarks/before_after.py --before /tmp/before

Same seeds and settings. Where arithmetic changed in its last bits, single runs go other ways; their distribution must not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from rl_jax.run.report import stats

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "experiments" / "results" / "before_after.json"
#: name -> what follows ``rl-jax train``; settings are each agent's own where nothing is said
RUNS = {
    "PPO, CartPole": "ppo --env CartPole-v1 --steps 300000",
    "PPO with a GRU, MemoryChain": "ppo --env MemoryChain-bsuite --steps 300000 --memory gru",
    "PPO, Breakout": "ppo --env Breakout-MinAtar --steps 400000",
    "PQN, CartPole": "pqn --env CartPole-v1 --steps 500000",
    "DQN, CartPole": "dqn --env CartPole-v1 --steps 100000",
    "SAC, Pendulum": "sac --env Pendulum-v1 --steps 30000",
    "TD3, Pendulum": "td3 --env Pendulum-v1 --steps 30000",
}


def returns(checkout: Path, options: str, seeds: int) -> np.ndarray:
    """Final returns ``[seeds]`` of a command of one checkout."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rl_jax.run.cli.console", "train", *options.split(), "--seeds", str(seeds), "--quiet"]
        command += ["--checkpoints", "1", "--no-compile-cache", "--out", f"{folder}/run"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(checkout)}, cwd=folder
        )
    if done.returncode:
        raise SystemExit(f"{checkout}: {options} failed:\n{done.stderr[-1500:]}")
    return np.asarray(json.loads(done.stdout.splitlines()[-1])["eval_returns"], float)


def summary(values: np.ndarray) -> dict:
    """Interquartile mean and its interval."""
    low, high = stats.bootstrap_interval(values)
    return {"iqm": float(stats.iqm(values)), "ci95": [float(low), float(high)], "seeds": values.tolist()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier commit")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    given = parser.parse_args()
    asked = ["git", "-C", str(given.before), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, check=True, capture_output=True, text=True)
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    content |= {"experiment": "before_after", "before": commit.stdout.strip()}
    content.setdefault("rows", {})
    for name in given.only:
        row = {"command": RUNS[name]}
        for when, checkout in (("before", given.before.resolve()), ("after", ROOT)):
            row[when] = summary(returns(checkout, RUNS[name], given.seeds))
        content["rows"][name] = row
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
        text = [
            f"{row[when]['iqm']:8.1f} [{row[when]['ci95'][0]:.1f}, {row[when]['ci95'][1]:.1f}]" for when in ("before", "after")
        ]
        print(f"{name:30} before {text[0]:28} after {text[1]}", flush=True)
