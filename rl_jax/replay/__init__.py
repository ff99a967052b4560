"""Replay: where experience is stored between collection and learning."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.replay.batches import Plan
    from rl_jax.replay.buffer import Buffer, BufferState
    from rl_jax.replay.episodes import Episodes
    from rl_jax.replay.hindsight import Hindsight, hindsight
    from rl_jax.replay.layout import Layout
    from rl_jax.replay.n_step import NStep, n_step
    from rl_jax.replay.on_policy import OnPolicy
    from rl_jax.replay.prioritized import Prioritized, weighted
    from rl_jax.replay.rank_based import RankBased
    from rl_jax.replay.recorded.action_chunks import ActionChunks
    from rl_jax.replay.recorded.goals import Goals, GoalShares
    from rl_jax.replay.recorded.mixed import Mixed
    from rl_jax.replay.recorded.next_action import NextAction
    from rl_jax.replay.recorded.offline import Offline
    from rl_jax.replay.reservoir import Reservoir
    from rl_jax.replay.ring import Ring
    from rl_jax.replay.samplers import Draw, Recent, Sampler, Stateless, Uniform
    from rl_jax.replay.stratified import StratifiedByTask

lazy(__name__)

__all__ = [
    "ActionChunks",
    "Buffer",
    "BufferState",
    "Draw",
    "Episodes",
    "GoalShares",
    "Goals",
    "Hindsight",
    "Layout",
    "Mixed",
    "NStep",
    "NextAction",
    "Offline",
    "OnPolicy",
    "Plan",
    "Prioritized",
    "RankBased",
    "Recent",
    "Reservoir",
    "Ring",
    "Sampler",
    "Stateless",
    "StratifiedByTask",
    "Uniform",
    "hindsight",
    "n_step",
    "weighted",
]
