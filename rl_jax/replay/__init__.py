"""Replay: where experience is kept between being collected and being learned from."""

from rl_jax.replay.buffer import Buffer, BufferState, Plan
from rl_jax.replay.n_step import NStep, n_step
from rl_jax.replay.on_policy import OnPolicy
from rl_jax.replay.prioritized import Prioritized, weighted
from rl_jax.replay.ring import Layout, Ring
from rl_jax.replay.samplers import Draw, Recent, Sampler, Stateless, Uniform

__all__ = [
    "Buffer",
    "BufferState",
    "Draw",
    "Layout",
    "NStep",
    "OnPolicy",
    "Plan",
    "Prioritized",
    "Recent",
    "Ring",
    "Sampler",
    "Stateless",
    "Uniform",
    "n_step",
    "weighted",
]
