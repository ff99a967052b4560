"""Equal work for this library and its peers, in turn (A B C A B C ...), one process per measurement: ``scripts/bench_peers``.

A row is one peer in one case: steps per second of both (medians), their ratio round by round (median, least, most), seconds to
compile, and whether the peer's loop runs on the host, in Python. The machine's peak in matrix products is measured after each case.
"""

import argparse
import json
import platform
import statistics
import sys
from pathlib import Path

from in_turn import child, ratios
from peers.cases import CASES

SCRIPTS = Path(__file__).resolve().parent / "peers"
RESULTS = SCRIPTS.parents[1] / "results" / "bench_peers.json"
#: peer -> the script that runs it, and the cases that it offers
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rejax": ("run_rejax.py", ("ppo", "dqn", "dqn-double", "pqn", "sac")),
    "purejaxrl": ("run_purejaxrl.py", ("ppo", "ppo-cnn", "ppo-gru")),
    "jaxnasium": ("run_jaxnasium.py", ("ppo", "dqn", "pqn", "sac")),
    "sb3": ("run_sb3.py", ("ppo", "dqn", "sac")),
    "sbx": ("run_sb3.py", ("ppo", "dqn", "sac")),
}
#: peers with a Python loop: a few rounds say enough
HOST = ("sb3", "sbx")


def run(python: str, script: str, *arguments: str) -> dict:
    """What a script of ``peers/`` prints, and its steps per second."""
    result = child(python, *arguments, script=str(SCRIPTS / script))
    return {**result, "rate": result["steps"] / result["run"]}


def row(case: str, peer: str, ours: list[dict], theirs: list[dict]) -> dict:
    """One line of the table."""
    pairs = ratios([x["rate"] for x in ours[: len(theirs)]], [x["rate"] for x in theirs])  # slow peers have fewer rounds
    return {
        "case": case,
        "env": CASES[case]["env"],
        "num_envs": CASES[case]["num_envs"],
        "seeds": 1,
        "steps": ours[0]["steps"],
        "steps_of_peer": theirs[0]["steps"],
        "peer": peer,
        "host_loop": theirs[0]["host_loop"],
        "steps_per_second": statistics.median(x["rate"] for x in ours),
        "steps_per_second_of_peer": statistics.median(x["rate"] for x in theirs),
        "ratio": pairs["median"],
        "ratio_least": pairs["min"],
        "ratio_most": pairs["max"],
        "seconds_compile": statistics.median(x["compile"] for x in ours),
        "seconds_compile_of_peer": statistics.median(x["compile"] for x in theirs),
    }


def table(rows: list[dict]) -> str:
    """All rows, as text."""
    lines = [
        f"{'case':11} {'peer':10} {'steps/s':>9} {'peer':>9} {'ratio':>6} {'spread':>13} {'compile s':>9} {'peer':>6}  loop"
    ]
    for r in rows:
        spread = f"{r['ratio_least']:.2f} to {r['ratio_most']:.2f}"
        compiled = f"{r['seconds_compile']:9.2f} {r['seconds_compile_of_peer']:6.2f}"
        speeds = f"{r['steps_per_second']:9.0f} {r['steps_per_second_of_peer']:9.0f} {r['ratio']:6.2f} {spread:>13}"
        lines.append(f"{r['case']:11} {r['peer']:10} {speeds} {compiled}  {'host' if r['host_loop'] else 'device'}")
    return "\n".join(lines)


def compare(case: str, pythons: dict[str, tuple[str, ...]], rounds: int) -> list[dict]:
    """All peers that offer a case."""
    runs: dict[str, list[dict]] = {name: [] for name in ("rl_jax", *pythons) if name == "rl_jax" or case in PEERS[name][1]}
    for i in range(rounds):
        for name, results in runs.items():
            if name in HOST and i >= 3:
                continue
            if name == "rl_jax":
                results.append(run(sys.executable, "run_rl_jax.py", case))
            else:
                python, *more = pythons[name]
                results.append(run(python, PEERS[name][0], case, *more))
            print(case, i, name, f"{results[-1]['rate']:.0f} steps/s", file=sys.stderr, flush=True)
    return [row(case, name, runs["rl_jax"], theirs) for name, theirs in runs.items() if name != "rl_jax"]


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, required=True, help="folder with a virtual environment for each peer")
    parser.add_argument("--purejaxrl", type=Path, help="folder with PureJaxRL's ppo.py, ppo_rnn.py and wrappers.py")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    pythons = {name: (str(given.venvs / name / "bin" / "python"),) for name in PEERS if name != "purejaxrl"}
    pythons = {name: found for name, found in pythons.items() if Path(found[0]).exists()}
    if given.purejaxrl and "rejax" in pythons:  # which has all that it imports
        pythons["purejaxrl"] = (*pythons["rejax"], str(given.purejaxrl.resolve()))
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
    from rl_jax.run.bench.row import matmul_peak

    for case in given.cases:
        rows = compare(case, pythons, given.rounds)
        content["rows"] = [old for old in content["rows"] if old["case"] != case] + rows
        content |= {"experiment": "bench_peers", "device": f"cpu, {platform.machine()}", "matmul_peak": matmul_peak()}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    print(table([r for r in content["rows"] if r["case"] in given.cases]))


if __name__ == "__main__":
    main()
