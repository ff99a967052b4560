"""A policy to stay near to: its log-probabilities of what was done, once per train step."""

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument
from rl_jax.errors import RLJaxError
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count


@struct.dataclass
class Reference(Transform):
    """Adds ``reference_log_prob`` ``[T, N]`` to ``extras``: what a frozen policy makes of the actions.

    Its outputs come from one pass over the rollout per train step, not from one per minibatch. The divergence from it is then a loss
    term (:class:`~rl_jax.losses.reference_kl.ReferenceKL`) or a part of the reward. Its state is the reference's parameters.

    Attributes:
        params: the reference's parameters at first, as ``agent.params`` gives them.
        every: the policy's parameters become the reference's every so many train steps, before the rollout is looked at, beginning
            with the second that many; ``None``: never.
    """

    params: PyTree
    every: int | None = struct.field(pytree_node=False, default=None)

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "reference")  # memories begin empty
        check_argument("reference's every", self.every, Count | None)
        if not jax.tree.leaves(self.params):
            raise RLJaxError("reference has no parameters: give those of a policy, such as trainer.params(state)")
        return jax.tree.map(jnp.asarray, self.params)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        if self.every is not None:
            moves = (context.update > 0) & (context.update % self.every == 0)
            now = context.agent.params(context.agent_state)
            state = jax.tree.map(lambda new, old: jnp.where(moves, new, old), now, state)
        policy = context.agent.outputs(state, rollout).policy
        return state, rollout.with_extras(reference_log_prob=policy.log_prob(rollout.action)), {}


def reference(params: PyTree, every: int | None = None) -> Reference:
    """A frozen policy's log-probabilities; see :class:`Reference`."""
    return Reference(params, every)
