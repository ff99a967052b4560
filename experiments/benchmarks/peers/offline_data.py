"""Recorded experience for the benchmark of offline agents: sizes and settings, with NumPy alone."""

import numpy as np

#: One data set: numbers of an observation and of an action, steps, and steps of an episode, which a time limit cuts.
OBS, ACTION, STEPS, EPISODE = 17, 6, 100_000, 1_000
BATCH, RATE, GAMMA, TAU = 256, 3e-4, 0.99, 0.005
#: agent -> updates of one measurement where the hidden layers have 64 units, of this library and of the others.
UPDATES = {"iql": (2_000, 200), "td3_bc": (2_000, 200), "cql": (100, 40)}
#: The same with 256 units.
WIDE_UPDATES = {"iql": (300, 100), "td3_bc": (300, 100), "cql": (10, 10)}
SEEDS = 10


def recorded(seed: int) -> dict[str, np.ndarray]:
    """A data set ``[STEPS, ...]`` of random numbers: actions between -1 and 1, no termination."""
    draw = np.random.default_rng(seed)
    flow = draw.normal(size=(STEPS // EPISODE, EPISODE + 1, OBS)).astype(np.float32)
    cut = np.arange(1, STEPS + 1) % EPISODE == 0
    return {
        "observations": flow[:, :-1].reshape(STEPS, OBS),
        "next_observations": flow[:, 1:].reshape(STEPS, OBS),
        "actions": draw.uniform(-1, 1, size=(STEPS, ACTION)).astype(np.float32),
        "rewards": draw.normal(size=STEPS).astype(np.float32),
        "terminals": np.zeros(STEPS, bool),
        "timeouts": cut,
    }


def raw_bytes() -> int:
    """Bytes of one data set as files have it without ``next_observations``: 4 for a number, 1 for a flag."""
    return STEPS * (4 * (OBS + ACTION + 1) + 2)


def updates_of(agent: str, hidden: int, peer: bool) -> int:
    """Updates of one measurement."""
    return (UPDATES if hidden == 64 else WIDE_UPDATES)[agent][peer]
