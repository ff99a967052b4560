"""How much each step is learned from: ``extras["weight"]``, which multiplies the losses of every item."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec

#: What has the same weight as every other of its kind.
Rule = Literal["token", "sequence", "constant"]


def rescaled(weight: jax.Array) -> jax.Array:
    """Weights ``[T, N]`` of mean 1; all zero if nothing is to be learned from."""
    mean = jnp.mean(weight)
    return weight / jnp.where(mean > 0, mean, 1.0)


@struct.dataclass
class OwnWeight(Transform):
    """Adds ``weight`` ``[T, N]`` to ``extras``: zero where the policy did not act, of mean 1 over the rollout.

    - ``"token"``: all own steps of the rollout alike (DAPO, Yu et al. 2025, eq. 12);
    - ``"sequence"``: the own steps of each column sum up to the same (GRPO as published, Shao et al. 2024, eq. 3);
    - ``"constant"``: each column divided by one length for all, whatever its own: the sum over its steps counts (Dr. GRPO, Liu et al.
      2025, listing 1, whose constant is the longest answer allowed). Here that is the number of rows, so its mean is *not* 1 but the
      share of own steps: long answers are neither favoured nor punished, and a rollout of short ones makes a small step.

    Attributes:
        rule: as above.
    """

    rule: Rule = struct.field(pytree_node=False, default="token")

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "own_weight")
        check_numbers("own_weight's", self, rule=Rule)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"].astype(jnp.float32)
        length = jnp.sum(own, axis=0)
        weight = own / jnp.maximum(length, 1.0) if self.rule == "sequence" else own
        weight = own if self.rule == "constant" else rescaled(weight)
        return state, rollout.with_extras(weight=weight), {"rollout/own_steps": jnp.mean(length)}


def own_weight(rule: Rule = "token") -> OwnWeight:
    """Learn from the policy's own steps; see :class:`OwnWeight`."""
    return OwnWeight(rule)
