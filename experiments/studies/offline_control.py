"""Learning control from a fixed data set: four qualities of data on Pendulum, and agents that learn from them alone."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS, TD3Config
from rl_jax.run.claims import Axes, Phase, Phased, Study

PENDULUM = rl.make("Pendulum-v1")
#: Steps of an episode, which the task never ends before, and episodes of a data set.
EPISODE, EPISODES = 200, 100
#: Environment steps after which the run that makes the data is asked for them.
EARLY, MEDIUM, EXPERT = 1_600, 1_600, 16_800
#: Mean returns between which scores are counted: of uniform actions (1,000 episodes), and of TD3 after 30,000 steps, as in
#: ``experiments/results/bench_off_policy.json``.
RANDOM, BEST = -1_217.0, -145.0
#: Share of the expert's episodes in the mixed data; the rest are random.
SHARE = 0.1
NOISE = 0.1
UPDATES, BATCH = 10_000, 128
QUALITIES = ("expert", "medium", "medium-replay", "mixed")
#: agent -> what is not its default. CQL draws fewer actions, so that ten seeds take minutes.
AGENTS: dict[str, dict[str, Any]] = {
    "bc": {},
    "td3-bc": {},
    "rebrac": {"batch_size": BATCH},
    "iql": {},
    "cql": {"samples": 2, "conservative": 1.0},
}


def behaviour(quick: bool, kept: Any) -> rl.Trainer:
    """TD3, whose data are recorded on its way."""
    del kept
    return TD3Config(num_envs=8, updates_per_step=1, random_steps=800, learning_starts=400 if quick else 800).trainer(PENDULUM)


def recorded(trainer: rl.Trainer, state: Any, key: jax.Array, epsilon: Any, episodes: int = EPISODES) -> Any:
    """Whole episodes of a policy, with noise; of some with random actions."""
    return rl.loop.record(trainer, state, key, episodes, EPISODE, epsilon=epsilon, noise=NOISE, episodes=episodes)


def keep(trainer: rl.Trainer, state: Any, key: jax.Array) -> dict[str, Any]:
    """What the run has learned so far, a data set of it, and one with as many random episodes as the mixed data have."""
    keys = jax.random.split(key)
    random = jnp.where(jnp.arange(EPISODES) < SHARE * EPISODES, 0.0, 1.0)
    return {
        "agent": state.agent,
        "own": recorded(trainer, state, keys[0], 0.0),
        "mixed": recorded(trainer, state, keys[1], random),
    }


def go_on(after: str, state: Any, kept: Any) -> Any:
    """A fresh run, with what the phase before has learned; its buffer is empty again."""
    return state.replace(agent=kept[after]["agent"])


PHASES = (
    Phase(behaviour, EARLY, 800, name="early", keep=keep),
    Phase(behaviour, MEDIUM, 800, name="medium", keep=keep, start=partial(go_on, "early")),
    Phase(behaviour, EXPERT, 800, name="experts", keep=keep, start=partial(go_on, "medium")),
)


def data_of(quality: str, kept: Any) -> rl.data.Dataset:
    """A data set of 100 episodes. ``medium-replay``: a third each of random actions, of the early and of the medium policy."""
    if quality == "mixed":
        return kept["experts"]["mixed"]
    if quality != "medium-replay":
        return kept["experts" if quality == "expert" else quality]["own"]
    third = EPISODES // 3
    random = kept["early"]["mixed"].take(np.arange(EPISODES - third, EPISODES))
    return rl.data.concat(
        [random, kept["early"]["own"].take(np.arange(third)), kept["medium"]["own"].take(np.arange(EPISODES - 2 * third))]
    )


def learner(agent: str, quality: str, quick: bool, kept: Any) -> rl.Trainer:
    """An agent on one data set."""
    del quick
    data = data_of(quality, kept)
    return CONFIGS[agent](**{"batch_size": BATCH, "updates": 100} | AGENTS[agent]).trainer(PENDULUM, data)


def score(trainer: rl.Trainer, state: Any, key: jax.Array) -> dict[str, jax.Array]:
    """How far greedy episodes are from random ones to the best."""
    value = rl.evaluate(trainer, state, key, 32).mean()
    return {"return": value, "score": (value - RANDOM) / (BEST - RANDOM)}


def arm(agent: str, quality: str) -> Phased:
    """The run that makes the data, once for all arms, and an agent that learns from them."""
    last = Phase(
        partial(learner, agent, quality),
        UPDATES,
        200,
        question=score,
        metrics=(),
        name="learner",
        data=EPISODE * EPISODES,
    )
    return Phased((*PHASES, last), share="behaviours")


CELLS = [(agent, quality) for agent in AGENTS for quality in QUALITIES if agent != "cql" or quality == "mixed"]
ARMS = {f"{agent}, {quality}": arm(agent, quality) for agent, quality in CELLS}

STUDY = Study(
    name="offline_control",
    environment=f"Pendulum-v1, {EPISODES} episodes for each seed from a TD3 run of its own: by its policy at the end (expert), after "
    f"{EARLY + MEDIUM} steps (medium), on the way there (medium-replay), and a tenth by the expert beside random actions (mixed).",
    arms=ARMS,
    measures={"score": "mean return of 32 greedy episodes: 0 as uniform actions, 1 as TD3 after 30,000 steps"},
    curves={"score": Axes("learning steps", "score")},
    departures="Medium-replay is made of three snapshots and not of the buffer. The buffer is empty again where a snapshot is taken.",
    minutes=16,
)
