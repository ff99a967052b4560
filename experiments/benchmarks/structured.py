"""Dictionary observations: agents that obey a mask and read several parts, and critics that see more than actors.

    python experiments/benchmarks/structured.py [games] [critics]

``games``: the mean return of a policy that is random among what the mask allows, and of each agent before and after learning, on a
small Snake of jumanji (``pip install 'rl_jax[jumanji]'``) and on a probe whose reward depends on two parts. ``critics``: PPO with a
critic that sees what is privileged against the same without it, on the probe in which that decides the value. Small budgets; nothing
was tuned.
"""

import json
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import rl_jax as rl
from rl_jax.agents import RandomRepeat
from rl_jax.agents.configs import CONFIGS
from rl_jax.envs.structured_probes import StructuredProbe
from rl_jax.run.report import stats
from rl_jax.run.storage.metadata import metadata
from rl_jax.spaces import PRIVILEGED, Dict, without_privileged

RESULTS = Path(__file__).resolve().parents[2] / "experiments" / "results" / "structured.json"
EPISODES = 64
#: Environments, their options, and the longest episode of an evaluation.
GAMES: dict[str, tuple[dict[str, Any], int]] = {
    "jumanji/Snake-v1": ({"num_rows": 6, "num_cols": 6}, 200),
    "probe/dictionary": ({}, 1),
}
ON_POLICY = {"num_envs": 32, "rollout_length": 32}
#: Agents: the configuration's name, its options, and environment steps.
AGENTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "PPO": ("ppo", ON_POLICY, 100_000),
    "PPO with a GRU": ("ppo", {**ON_POLICY, "memory": "gru", "memory_width": 64}, 100_000),
    "DQN": ("dqn", {"updates_per_step": 0.25, "epsilon_steps": 10_000, "buffer_size": 20_000}, 40_000),
}
GAME_SEEDS, CRITIC_SEEDS, CRITIC_STEPS = (0, 1, 2), tuple(range(10)), 16_384


def interval(x: np.ndarray) -> dict[str, Any]:
    """The mean over seeds and its 95% bootstrap interval."""
    return {
        "mean": float(x.mean()),
        "ci95": list(map(float, stats.bootstrap_interval(x, stats.mean))),
        "seeds": x.round(4).tolist(),
    }


def keys(seeds: tuple[int, ...]) -> jax.Array:
    """One key for each seed ``[seeds]``."""
    return jax.vmap(jax.random.key)(np.asarray(seeds))


def played(trainer: rl.Trainer, steps: int, most: int) -> dict[str, Any]:
    """Mean returns before and after training, by sampled actions; one program for all seeds."""

    @jax.jit
    @jax.vmap
    def run(key: jax.Array) -> Any:
        evaluate = partial(rl.evaluate, num_episodes=EPISODES, greedy=False, max_steps=most)
        start = evaluate(trainer, trainer.init(key, steps), jax.random.fold_in(key, 1)).mean()
        if not steps:
            return start, start
        state, _ = trainer.train(key, steps, 1)
        return start, evaluate(trainer, state, jax.random.fold_in(key, 1)).mean()

    began = time.monotonic()
    start, end = map(np.asarray, run(keys(GAME_SEEDS)))
    return {"steps": steps, "start": interval(start), "end": interval(end), "seconds": round(time.monotonic() - began, 1)}


def games() -> dict[str, Any]:
    """Each agent on each environment, and random actions among what is allowed."""
    found: dict[str, Any] = {}
    for name, (options, most) in GAMES.items():
        env = rl.make(name, **options)
        random = rl.Trainer.create(env, RandomRepeat(0.0), num_envs=1, rollout_length=1)
        found[name] = {"options": options, "longest_episode": most, "random": played(random, 0, most)["start"]}
        for label, (agent, numbers, steps) in AGENTS.items():
            found[name][label] = {"config": numbers, **played(CONFIGS[agent](**numbers).trainer(env), steps, most)}
            print(name, label, json.dumps(found[name][label]), "random", found[name]["random"]["mean"], flush=True)
    return found


def blind(probe: StructuredProbe) -> StructuredProbe:
    """The same probe, which shows nothing that is privileged."""
    space = Dict({name: part for name, part in probe.obs_space.items() if name != PRIVILEGED})
    return StructuredProbe(probe.name, space, probe.act_space, lambda *args: without_privileged(probe.see(*args)), probe.pay)


def critics() -> dict[str, Any]:
    """The share of right actions over the whole of training, and in its last tenth."""
    probe: Any = rl.make("probe/privileged")
    numbers = {"num_envs": 16, "rollout_length": 16, "hidden": (32,), "normalize_obs": False}
    found: dict[str, Any] = {"config": numbers, "steps": CRITIC_STEPS}
    for label, env in (("asymmetric", probe), ("symmetric", blind(probe))):
        trainer = CONFIGS["ppo"](**numbers).trainer(env, episode_info=("right",))
        with_key = jax.jit(jax.vmap(lambda key, trainer=trainer: trainer.train(key, CRITIC_STEPS, 20)[1]["episode/right"]))
        right = np.asarray(with_key(keys(CRITIC_SEEDS)))
        found[label] = {"whole": interval(right.mean(axis=1)), "last_tenth": interval(right[:, -2:].mean(axis=1))}
        print(label, json.dumps(found[label]), flush=True)
    return found


def main() -> None:
    parts = {"games": games, "critics": critics}
    chosen = sys.argv[1:] or list(parts)
    result = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"experiment": "structured"}
    about = metadata()
    for part in chosen:
        result[part] = parts[part]()
        result[part] |= {"date": date.today().isoformat(), "device": about["device"], "versions": about["versions"]}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
