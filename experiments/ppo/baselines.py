"""PPO on small environments: ten seeds each, one setting for all but what a row names.

    python experiments/ppo/baselines.py            # every row
    python experiments/ppo/baselines.py --only CartPole-v1

Each row is one ``rl-jax train`` command; its result goes to ``experiments/results/ppo_baselines.json``, its curve to
``docs/assets``. Settings were chosen on seeds 0 to 9; the reported seeds are 100 to 109.
"""

import argparse
import json
import shutil
from datetime import date
from pathlib import Path

from rl_jax.run.cli import main

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "experiments" / "results" / "ppo_baselines.json"
ASSETS = ROOT / "docs" / "assets"
SEEDS = ["--seed", "100", "--seeds", "10"]

#: name -> (options, threshold that the IQM must reach, or ("below", value), published figure to stand beside)
ROWS = {
    "CartPole-v1": (["--env", "CartPole-v1", "--steps", "500000"], 475, None),
    "Acrobot-v1": (["--env", "Acrobot-v1", "--steps", "500000"], -100, None),
    "Pendulum-v1": (["--env", "Pendulum-v1", "--steps", "1000000"], -300, None),
    "brax_inverted_pendulum": (["--env", "brax/inverted_pendulum", "--steps", "2000000"], 900, None),
    "MemoryChain-bsuite_gru": (
        ["--env", "MemoryChain-bsuite", "--steps", "500000", "--memory", "gru", "--memory-width", "64"],
        0.95,
        None,
    ),
    "MemoryChain-bsuite_none": (["--env", "MemoryChain-bsuite", "--steps", "500000"], ["below", 0.3], None),
    "Breakout-MinAtar": (
        [
            *("--env", "Breakout-MinAtar", "--steps", "5000000", "--rollout-length", "128", "--minibatches", "8"),
            *("--epochs", "2", "--learning-rate", "2.5e-3", "--no-normalize-obs"),
        ],
        None,
        "at 5 M frames actor-critic AC(0.8) about 17.5, AC(0) about 15.5, DQN about 10 (mean training return of 30 seeds, read off "
        "the learning curves of Young & Tian 2019, arXiv:1903.03176; theirs has sticky actions, six actions and no limit of 1000 "
        "steps, so it is the harder game)",
    ),
}


def run(name: str, folder: Path) -> dict:
    """Train one row and return its line of the table."""
    options, threshold, published = ROWS[name]
    command = ["train", "ppo", *options, *SEEDS]
    out = folder / name
    main([*command, "--out", str(out), "--overwrite"])
    result = json.loads((out / "result.json").read_text())
    settings = json.loads((out / "config.json").read_text())["hyperparameters"]
    about = json.loads((out / "metadata.json").read_text())
    ASSETS.mkdir(parents=True, exist_ok=True)
    shutil.copy(out / "curve.png", ASSETS / f"ppo_{name}.png")
    return {
        **result,
        "memory": settings["memory"],
        "num_envs": settings["num_envs"],
        "seed_list": list(range(100, 110)),
        "threshold": threshold,
        "published": published,
        "command": "rl-jax " + " ".join(command),
        "curve": f"assets/ppo_{name}.png",
        "date": date.today().isoformat(),
        "versions": about["versions"],
        "out": None,
    }


def record(name: str, row: dict) -> None:
    """Put one row into the results file; the others stay."""
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"experiment": "ppo_baselines", "rows": {}}
    content["rows"][name] = row
    content["rows"] = {key: content["rows"][key] for key in ROWS if key in content["rows"]}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(ROWS), nargs="+", default=list(ROWS))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "ppo_baselines")
    arguments = parser.parse_args()
    for row_name in arguments.only:
        record(row_name, run(row_name, arguments.runs))
