"""One compiled sweep beside single runs, and memory beside the length of a run. Both through the command line, in processes.

    python experiments/benchmarks/sweep_and_memory.py

A 4 x 4 grid of learning rate x entropy weight x 8 seeds of PPO on CartPole-v1 is one ``rl-jax sweep``; the same 128 runs one
by one are timed on ``--singles`` of them and scaled up. Memory is the largest resident size of ``rl-jax train`` at 5 and at 50
million steps.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench_sweep_and_memory.json"
RATES, WEIGHTS, SEEDS, STEPS = ["3e-4", "1e-3", "3e-3", "1e-2"], ["0", "0.003", "0.01", "0.03"], 8, "200000"
COMMON = ["--env", "CartPole-v1", "--quiet", "--checkpoints", "1"]


def run(*arguments: str, cache: str) -> tuple[dict, float, float]:
    """``rl-jax ARGUMENTS``: its result, wall seconds, and the process's largest resident size in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "rl_jax.run.cli.console", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RL_JAX_CACHE": cache},
    )
    out = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with status {process.returncode}")
    return json.loads(out.splitlines()[-1]), time.perf_counter() - start, usage.ru_maxrss / 1024


def main(singles: int) -> None:
    """Measure, print and record."""
    with tempfile.TemporaryDirectory() as folder:
        cache = f"{folder}/cache"
        grid = ["--learning-rate", *RATES, "--entropy-weight", *WEIGHTS, "--seeds", str(SEEDS), "--steps", STEPS]
        swept, seconds_sweep, mb_sweep = run("sweep", "ppo", *COMMON, *grid, "--out", f"{folder}/sweep", cache=cache)
        seconds_single = []
        for i in range(singles):  # the first compiles, the others find its program in the cache
            values = ["--learning-rate", RATES[i % 4], "--entropy-weight", WEIGHTS[i // 4 % 4], "--seed", str(i)]
            single, seconds, _ = run("train", "ppo", *COMMON, *values, "--steps", STEPS, "--out", f"{folder}/s{i}", cache=cache)
            seconds_single.append(seconds)
        memory = {}
        for steps in ("5000000", "50000000"):
            result, seconds, mb = run("train", "ppo", *COMMON, "--steps", steps, "--out", f"{folder}/m{steps}", cache=cache)
            memory[steps] = {"max_rss_mb": mb, "seconds": seconds, "steps": result["steps"]}
    runs = len(RATES) * len(WEIGHTS) * SEEDS
    rest = seconds_single[1:]
    outcome = {
        "experiment": "bench_sweep_and_memory",
        "device": swept["device"],
        "sweep": {
            "runs": runs,
            "steps_each": swept["steps"],
            "seconds": seconds_sweep,
            "seconds_compile": swept["seconds_compile"],
            "steps_per_second": swept["steps_per_second"],
            "max_rss_mb": mb_sweep,
            "best": swept["table"][0],
        },
        "single": {
            "measured": singles,
            "seconds_first": seconds_single[0],
            "seconds_each_later": sum(rest) / len(rest),
            "seconds_for_all_scaled": seconds_single[0] + (runs - 1) * sum(rest) / len(rest),
            "steps_per_second": single["steps_per_second"],
        },
        "memory": {**memory, "ratio": memory["50000000"]["max_rss_mb"] / memory["5000000"]["max_rss_mb"]},
    }
    RESULTS.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps(outcome))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--singles", type=int, default=16, help="single runs that are timed")
    main(parser.parse_args().singles)
