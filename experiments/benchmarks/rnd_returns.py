"""RND as a part of the reward against RND as a return of its own: PPO on one map of rooms behind closed doors.

    python experiments/benchmarks/rnd_returns.py

Burda et al. 2019 (arXiv:1810.12894), sections 2.3 and 3.2. Each arm's weight is the best of the same few on tuning seeds; the reported
seeds are others. Arms differ in nothing else.
"""

import json
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rl_jax as rl
from rl_jax.agents import RandomRepeat
from rl_jax.agents.configs import PPOConfig
from rl_jax.envs.grid import multi_room
from rl_jax.experience import RND, gae, intrinsic, intrinsic_return
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.run.claims import Outcome, Trained, Work
from rl_jax.run.claims.evidence import weigh
from rl_jax.run.report import stats
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.training.setup import cores_that_divide, make_cpu_devices

RESULTS = Path(__file__).resolve().parents[2] / "experiments" / "results" / "rnd_returns.json"
#: The options of ``grid/multi-room``.
OPTIONS = {"rooms": 4, "size": 4, "view": 5, "contexts": 1}
ROOMS = multi_room(**OPTIONS)
SPACE = ROOMS.observation_space(ROOMS.default_params)
ENVS, STEPS = 64, 100_000
TUNING, SEEDS = tuple(range(5)), tuple(range(200, 210))
#: Of RND's predictor: ten times the paper's, since runs are thousands of times shorter.
LEARNING_RATE = 1e-3
#: Of the bonus: beside rewards, or of its advantage beside the extrinsic one.
WEIGHTS = (0.001, 0.01, 0.1, 1.0)
NONE, ONE, TWO, WHOLE = "no bonus", "one return", "two returns", "two returns, share and first statistics"
ARMS = (NONE, ONE, TWO, WHOLE)
REACHED = "episode/return"
#: What is asked of the reported seeds: the first is better.
COMPARED = ((ONE, NONE), (TWO, ONE), (WHOLE, TWO))


@cache
def first_statistics() -> RunningMoments:
    """Moments of what random actions show in all environments for 512 steps."""
    walk = rl.Trainer.create(ROOMS, RandomRepeat(0.0), num_envs=ENVS, rollout_length=512)

    @jax.jit
    def moments(key: jax.Array) -> RunningMoments:
        seen = walk.collect(walk.init(key, 1))[1].next_obs
        return RunningMoments.zero(SPACE.shape).merge(seen.reshape(-1, *SPACE.shape))

    return jax.device_get(moments(jax.random.key(0)))


def trainer(arm: str, weight: float) -> rl.Trainer:
    """PPO with the bonus of an arm."""
    config = PPOConfig(num_envs=ENVS, rollout_length=32, normalize_obs=False, normalize_reward=False)
    parts: list[Any] = [gae(0.99, 0.95)]
    if arm == ONE:
        parts = [intrinsic(RND(SPACE, LEARNING_RATE), weight), *parts]
    if arm in (TWO, WHOLE):
        more = {"share": 32 / ENVS, "statistics": first_statistics()} if arm == WHOLE else {}
        parts += [intrinsic_return(RND(SPACE, LEARNING_RATE, **more), SPACE, weight=weight, extrinsic_weight=1.0)]
    return config.trainer(ROOMS).replace(experience=rl.chain(*parts))


def several(quick: bool, arm: str, weights: tuple[float, ...]) -> rl.Trainer:
    """One trainer for each weight, stacked."""
    made = [trainer(arm, weight) for weight in weights]
    return jax.tree.map(lambda *leaves: jnp.stack(list(map(jnp.asarray, leaves))), *made)


def train(arm: str, weights: tuple[float, ...], seeds: tuple[int, ...]) -> np.ndarray:
    """The share of episodes that reach the goal in the last tenth of training ``[runs]``; a weight and a seed for each."""

    def show(share: float, words: str) -> None:
        print(f"\r{arm}: {share:.0%} {words}", end="", flush=True)

    made = partial(several, arm=arm, weights=weights)
    outcome: Outcome = Trained(made, STEPS, STEPS, lambda *_: {}, (REACHED,), (REACHED,), rows=20, batched=True)(
        Work(seeds, False, show)
    )
    print()
    return outcome.values[REACHED]


def tuned(arm: str) -> dict[str, Any]:
    """An arm's weight, by the mean over the tuning seeds, and what all of them reached."""
    if arm == NONE:
        return {"weight": 0.0, "tuning": {}}
    weights = tuple(weight for weight in WEIGHTS for _ in TUNING)
    reached = train(arm, weights, TUNING * len(WEIGHTS)).reshape(len(WEIGHTS), len(TUNING))
    best = WEIGHTS[int(np.argmax(reached.mean(axis=1)))]
    return {"weight": best, "tuning": dict(zip(map(str, WEIGHTS), reached.round(4).tolist(), strict=True))}


def summary(reached: np.ndarray) -> dict[str, Any]:
    """Interquartile mean and mean with their intervals, and the share of runs that reach the goal in half of the episodes."""
    return {
        "iqm": float(stats.iqm(reached)),
        "ci95": list(stats.bootstrap_interval(reached)),
        "mean": float(reached.mean()),
        "mean_ci95": list(stats.bootstrap_interval(reached, stats.mean)),
        "solved": float(np.mean(reached >= 0.5)),
        "values": reached.round(4).tolist(),
    }


def compared(better: str, worse: str, values: dict[str, np.ndarray]) -> dict[str, Any]:
    """The verdict of the recipes' rule, and the differences seed by seed."""
    found = weigh(values[better], values[worse], 0.0, len(COMPARED))
    apart = values[better] - values[worse]
    return {
        "better": better,
        "worse": worse,
        "difference": found.difference,
        "ci95": list(found.ci95),
        "verdict": found.verdict,
        "note": found.note,
        "paired_mean": float(apart.mean()),
        "paired_mean_ci95": list(stats.bootstrap_interval(apart, stats.mean)),
    }


if __name__ == "__main__":
    make_cpu_devices(cores_that_divide(len(SEEDS)))
    rows: dict[str, Any] = {}
    values: dict[str, np.ndarray] = {}
    for arm in ARMS:
        rows[arm] = tuned(arm)
        values[arm] = train(arm, (rows[arm]["weight"],) * len(SEEDS), SEEDS)
        rows[arm] |= summary(values[arm])
        print(json.dumps(rows[arm]), flush=True)
    about = metadata()
    result = {
        "experiment": "rnd_returns",
        "environment": "grid/multi-room",
        "options": OPTIONS,
        "steps": STEPS,
        "num_envs": ENVS,
        "weights": WEIGHTS,
        "tuning_seeds": TUNING,
        "seeds": SEEDS,
        "arms": rows,
        "compared": [compared(*pair, values) for pair in COMPARED],
        "date": date.today().isoformat(),
        "device": about["device"],
        "versions": about["versions"],
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["compared"], indent=1))
