"""Does it pay to learn seldom until the critic's plasticity has settled, and often from then on?"""

from functools import partial
from typing import Any

import jax
import numpy as np

import rl_jax as rl
from rl_jax.agents.configs import DQNConfig
from rl_jax.agents.monitor_plasticity import MonitorPlasticity
from rl_jax.ideas.plasticity_representation.adaptive_rr import AdaptiveReplayRatio
from rl_jax.loop import PerStep
from rl_jax.run.claims import Axes, Outcome, Prediction, Recipe, Trained, Work

STEPS, START = 8_000, 64
LOW, HIGH = 0.25, 8.0
DQN = DQNConfig(
    num_envs=4,
    buffer_size=STEPS,
    batch_size=32,
    hidden=(64, 64),
    activation="relu",
    learning_rate=1e-3,
    learning_starts=START,
    epsilon_steps=2_000,
    anneal=False,
    double=True,
    tau=0.005,
)
ADAPTIVE = AdaptiveReplayRatio(LOW, HIGH, threshold=5e-3, interval=1_000, window=1_000, start=START, unit="step")


def trainer(quick: bool, updates: Any) -> rl.Trainer:
    """Q-learning with a ReLU network that is read at every learning step."""
    made = DQN.trainer(rl.make("CartPole-v1"))
    return made.replace(agent=MonitorPlasticity(made.agent), updates=updates)


def look(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """Greedy episodes at the end, and how often it learned."""
    steps = state.updates.as_float() * trainer.steps_per_update
    return {"return": rl.evaluate(trainer, state, key, 64).mean(), "updates": state.agent.agent.count / steps}


def arm(work: Work, updates: Any) -> Outcome:
    """Trained runs, with the mean of their learning curves."""
    readings = ("plasticity/active", "plasticity/dormant")
    outcome = Trained(partial(trainer, updates=updates), STEPS, 1_000, look, ("episode/return", *readings), readings)(work)
    outcome.values["learning"] = np.nanmean(outcome.curves["episode/return"].y, axis=1)
    return outcome


ADAPTS, LESS, MORE = "adaptive", "static low", "static high"
RECIPE = Recipe(
    slug="adaptive-rr",
    title="A replay ratio that waits for plasticity",
    paper="Ma, Li, Zhang, Liu, Wang, Chen, Shen, Wang & Tao 2024, Revisiting Plasticity in Visual Reinforcement Learning: Data, "
    "Modules and Training Stages, arXiv:2310.07418, ICLR 2024; the dormant ratio of Sokar et al. 2023 and Xu et al. 2024",
    claim="A high replay ratio from the beginning costs the critic its plasticity; one that is low until the fraction of active units "
    "has settled and high from then on learns better than either ratio alone.",
    environment=f"CartPole-v1, {STEPS:,} steps of four environments, double DQN with two ReLU layers of 64; {LOW} and {HIGH:g} "
    f"learning steps per environment step in place of 0.5 and 2, from the {START}th on.",
    arms={
        ADAPTS: partial(arm, updates=ADAPTIVE),
        LESS: partial(arm, updates=PerStep(LOW, START)),
        MORE: partial(arm, updates=PerStep(HIGH, START)),
    },
    measures={
        "return": "return of 64 greedy episodes at the end (at most 500)",
        "learning": "mean return of the episodes of training (at most 500)",
        "plasticity/active": "fraction of active units of the critic in the last tenth of training",
        "plasticity/dormant": "dormant ratio of the critic in the last tenth of training (smaller is better)",
        "updates": "learning steps per environment step",
    },
    predictions=(
        Prediction("return", ADAPTS, LESS, 0.0, "more learning from the same steps"),
        Prediction("return", ADAPTS, MORE, 0.0, "plasticity that is lost early does not come back"),
        Prediction("plasticity/active", ADAPTS, MORE, 0.0, "a high ratio from the beginning costs active units"),
    ),
    curves={
        "episode/return": Axes("environment steps", "return while training"),
        "plasticity/active": Axes("environment steps", "fraction of active units"),
        "plasticity/dormant": Axes("environment steps", "dormant ratio"),
    },
    departures="DQN from state in place of DrQ-v2 from pixels; ratios further apart; checks every 1,000 steps in place of every 50 "
    "episodes, with a threshold of 0.005 in place of 0.001, since readings of a small network move more. Looked at on the"
    " tuning seeds (10 to 24 of them): 5,600, 8,000 and 20,000 steps, high ratios of 2, 4 and 8, learning rates of 0.0003"
    " and 0.001, one and three steps, single and double Q-learning, learning that starts after 64 or 500 steps. The high "
    "ratio lowered the fraction of active units in all of them; with returns, the order changed from one setting to the "
    "next: adaptive ahead of the high ratio in this one (246 and 170, 16 seeds), behind it after 500 steps of waiting "
    "(307 and 359) or with 5,600 steps (200 and 257), and all runs of a ratio spread from 20 to 500.",
    seeds=tuple(range(200, 328)),
    tuning_seeds=tuple(range(24)),
    minutes=12,
)
