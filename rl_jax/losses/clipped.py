"""The clipped surrogate of methods without values: bounds of their own below and above, nothing standardised."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.losses.terms import old_log_prob, surrogate
from rl_jax.types import Context, Metrics, PyTree, Rollout

#: What a ratio is of: one step, the own steps of a turn, or those of a whole episode.
Level = Literal["token", "turn", "sequence"]


def summed(x: jax.Array, own: jax.Array, level: Level) -> jax.Array:
    """The sums of ``x`` ``[T, B]`` over the own steps of each step's turn or whole episode, ``[T, B]``.

    A turn is an unbroken run of own steps: it ends where the environment writes. ``T^2 B`` numbers are looked at for turns.
    """
    x = jnp.where(own, x, 0.0)
    if level == "sequence":
        return jnp.broadcast_to(jnp.sum(x, axis=0), x.shape)
    begins = own & ~jnp.concatenate([jnp.zeros_like(own[:1]), own[:-1]])
    turn = jnp.cumsum(begins, axis=0)
    return jnp.sum(jnp.where(turn[:, None] == turn, x, 0.0), axis=1)


@struct.dataclass
class ClippedTokens:
    """``-min(ratio * A, clip(ratio, 1 - low, 1 + high) * A)`` of each step; with ``dual`` at most ``-dual * A`` where ``A < 0``.

    Schulman et al. 2017, eq. 7, with the two bounds apart ("clip-higher", Yu et al. 2025, "DAPO", eq. 10) and the dual clip of Ye et
    al. 2020 ("Mastering Complex Control in MOBA Games with Deep Reinforcement Learning", eq. 5). Advantages are taken as they are: a
    rollout of whole episodes has rows that nobody acted in, which would enter their moments. Needs ``extras`` ``log_prob`` and
    ``advantage``.

    Attributes:
        low, high: how far below and above 1 the ratio still has a gradient.
        dual: bound on the ratio where ``A < 0``, above ``1 + high``; ``None``: none.
        level: what a ratio is of.
    """

    low: Any = 0.2
    high: Any = 0.2
    dual: Any = None
    level: Level = struct.field(pytree_node=False, default="token")

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage = batch.extras["advantage"]
        log_prob = context.outputs.policy.log_prob(batch.action)
        if self.level == "token":
            ratio = jnp.exp(log_prob - old_log_prob(batch))
        else:  # of all own steps, also of those without a weight
            ratio = jnp.exp(summed(log_prob - batch.extras["log_prob"], batch.extras["own"], self.level))
        gain = surrogate(ratio, advantage, 1.0 - self.low, 1.0 + self.high)
        if self.dual is not None:
            gain = jnp.where(advantage < 0, jnp.maximum(gain, self.dual * advantage), gain)
        outside = ((ratio < 1.0 - self.low) | (ratio > 1.0 + self.high)).astype(jnp.float32)
        return -gain, {"policy/clip_fraction": outside}
