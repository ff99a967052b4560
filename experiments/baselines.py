"""Agents on small environments: ten seeds per row, each row one ``rl-jax train`` command.

    python experiments/baselines.py ppo                       # every row of a family
    python experiments/baselines.py value --only dqn_CartPole-v1

Results go to ``experiments/results/<family>_baselines.json``, curves to ``docs/assets``. Settings were chosen on seeds 0 to 9;
the reported seeds are 100 to 109.
"""

import argparse
import json
import shutil
from datetime import date
from pathlib import Path

from rl_jax.run.cli.console import main
from rl_jax.run.report.curves import curve_from_rows
from rl_jax.run.report.plots import compare_curves
from rl_jax.run.storage.metrics import MetricsFile

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"
ASSETS = ROOT / "docs" / "assets"
SEEDS = ["--seed", "100", "--seeds", "10"]
EPISODES = ["--eval-episodes", "64"]  # as when the committed rows were made
#: What a row shows of its settings, besides the agent.
SHOWN = ("memory", "num_envs", "updates_per_step", "hidden", "learning_rate", "batch_size", "epochs", "minibatches")

#: name -> (agent, options, threshold that the IQM must reach, or ("below", value), published figure to stand beside)
PPO = {
    "CartPole-v1": ("ppo", ["--env", "CartPole-v1", "--steps", "500000"], 475, None),
    "Acrobot-v1": ("ppo", ["--env", "Acrobot-v1", "--steps", "500000"], -100, None),
    "Pendulum-v1": ("ppo", ["--env", "Pendulum-v1", "--steps", "1000000"], -300, None),
    "brax_inverted_pendulum": ("ppo", ["--env", "brax/inverted_pendulum", "--steps", "2000000"], 900, None),
    "MemoryChain-bsuite_gru": (
        "ppo",
        ["--env", "MemoryChain-bsuite", "--steps", "500000", "--memory", "gru", "--memory-width", "64"],
        0.95,
        None,
    ),
    "MemoryChain-bsuite_none": ("ppo", ["--env", "MemoryChain-bsuite", "--steps", "500000"], ["below", 0.3], None),
    "Breakout-MinAtar": (
        "ppo",
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

#: MinAtar's settings: two learned samples per environment step, so that ten seeds take minutes on two cores.
_MINATAR = (
    *("--num-envs", "32", "--buffer-size", "100000", "--batch-size", "64", "--updates-per-step", "0.03125", "--huber", "1"),
    *("--learning-rate", "5e-4", "--learning-starts", "5000", "--target-period", "250", "--eval-episodes", "32"),
)
_EPSILON = ("--epsilon-steps", "100000", "--epsilon-end", "0.02")
_PQN_MINATAR = (
    *("--num-envs", "64", "--rollout-length", "32", "--epochs", "2", "--minibatches", "16"),
    *("--learning-rate", "5e-4", "--epsilon-steps", "100000", "--epsilon-end", "0.05", "--eval-episodes", "32"),
)
#: Returns that C51 can tell apart: discounted returns of these games stay well inside.
_SUPPORT = {
    "Breakout-MinAtar": ("--value-low", "-1", "--value-high", "21"),
    "SpaceInvaders-MinAtar": ("--value-low", "-1", "--value-high", "41"),
}
_YOUNG = {
    "Breakout-MinAtar": "DQN about 9",
    "SpaceInvaders-MinAtar": "DQN about 32",
}
_SOURCE = (
    "at 1 M frames (moving average of training returns, 30 seeds, read off the curves of Young & Tian 2019, arXiv:1903.03176; "
    "one update of 32 per frame; theirs has sticky actions and six actions, the harder game)"
)

VALUE = {
    "dqn_CartPole-v1": ("dqn", ["--env", "CartPole-v1", "--steps", "200000"], 475, None),
    "pqn_CartPole-v1": ("pqn", ["--env", "CartPole-v1", "--steps", "500000"], 475, None),
    **{
        f"{agent}_{game}": (
            agent,
            ["--env", game, "--steps", "1000000", *options],
            None,
            f"{_YOUNG[game]} {_SOURCE}" if agent == "dqn" else None,
        )
        for game in ("Breakout-MinAtar", "SpaceInvaders-MinAtar")
        for agent, options in (
            ("dqn", (*_MINATAR, *_EPSILON)),
            ("rainbow", (*_MINATAR, *_SUPPORT[game])),
            ("pqn", _PQN_MINATAR),
        )
    },
    "r2d2_MemoryChain-bsuite": ("r2d2", ["--env", "MemoryChain-bsuite", "--steps", "100000"], 0.95, None),
    "r2d2_MemoryChain-bsuite_none": (
        "r2d2",
        ["--env", "MemoryChain-bsuite", "--steps", "100000", "--memory", "none"],
        ["below", 0.3],
        None,
    ),
}

CONTINUOUS = {
    f"{agent}_{env.replace('/', '_')}": (agent, ["--env", env, "--steps", str(steps), *options], threshold, None)
    for env, steps, options, threshold in (
        ("Pendulum-v1", 30_000, (), -200),
        ("brax/inverted_pendulum", 30_000, (), 900),
        # Episodes of a thousand steps, of an environment that takes longer than learning does.
        ("brax/hopper", 100_000, ("--eval-episodes", "16", "--checkpoints", "5"), None),
    )
    for agent in ("sac", "td3", "mdpo-off-policy")
}

#: Rainbow without one of its parts each, and none of them, at a quarter of a million steps.
_PARTS = {
    "full": (),
    "no_double": ("--no-double",),
    "no_dueling": ("--no-dueling",),
    "no_n_step": ("--n-step", "1"),
    "no_priorities": ("--no-prioritized",),
    "no_distribution": ("--distribution", "none"),
    "no_noise": ("--no-noisy", *_EPSILON),
}
_QUARTER = ("--env", "Breakout-MinAtar", "--steps", "250000", *_MINATAR)
RAINBOW_ABLATION = {
    **{
        f"rainbow_{part}": ("rainbow", [*_QUARTER, *_SUPPORT["Breakout-MinAtar"], *options], None, None)
        for part, options in _PARTS.items()
    },
    "dqn_none": ("dqn", [*_QUARTER, *_EPSILON], None, None),
}

FAMILIES = {"ppo": PPO, "value": VALUE, "continuous": CONTINUOUS, "rainbow_ablation": RAINBOW_ABLATION}


#: Families whose rows are variants of one run: one figure shows them all.
COMPARED = ("rainbow_ablation",)


def compare(family: str, folder: Path) -> None:
    """Draw the learning curves of a family's finished rows in one figure."""
    done = {name: folder / family / name / "metrics.jsonl" for name in FAMILIES[family]}
    curves = {name.replace("_", " "): curve_from_rows(MetricsFile(path).read()) for name, path in done.items() if path.exists()}
    compare_curves(ASSETS / f"{family}.png", curves)


def run(family: str, name: str, folder: Path) -> dict:
    """Train one row and return its line of the table."""
    agent, options, threshold, published = FAMILIES[family][name]
    episodes = [] if "--eval-episodes" in options else EPISODES
    command = ["train", agent, *options, *episodes, *SEEDS]
    out = folder / family / name
    main([*command, "--out", str(out), "--overwrite"])
    result = json.loads((out / "result.json").read_text())
    settings = json.loads((out / "config.json").read_text())["hyperparameters"]
    about = json.loads((out / "metadata.json").read_text())
    ASSETS.mkdir(parents=True, exist_ok=True)
    image = f"{name}.png" if name.startswith(agent) else f"{agent}_{name}.png"
    if family in COMPARED:
        image = f"{family}.png"
    else:
        shutil.copy(out / "curve.png", ASSETS / image)
    return {
        **result,
        "name": name,
        **{key: settings[key] for key in SHOWN if key in settings},
        "seed_list": list(range(100, 110)),
        "threshold": threshold,
        "published": published,
        "command": "rl-jax " + " ".join(command),
        "curve": f"assets/{image}",
        "date": date.today().isoformat(),
        "versions": about["versions"],
        "out": None,
    }


def record(family: str, name: str, row: dict) -> None:
    """Put one row into the family's results file; the others stay."""
    path = RESULTS / f"{family}_baselines.json"
    content = json.loads(path.read_text()) if path.exists() else {"experiment": f"{family}_baselines", "rows": {}}
    content["rows"][name] = row
    content["rows"] = {key: content["rows"][key] for key in FAMILIES[family] if key in content["rows"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=list(FAMILIES))
    parser.add_argument("--only", nargs="+", default=[], help="names of rows")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "baselines")
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - set(FAMILIES[arguments.family]):
        parser.error(f"no such rows: {', '.join(unknown)}; there are {', '.join(FAMILIES[arguments.family])}")
    for row_name in arguments.only or FAMILIES[arguments.family]:
        record(arguments.family, row_name, run(arguments.family, row_name, arguments.runs))
        if arguments.family in COMPARED:
            compare(arguments.family, arguments.runs)
