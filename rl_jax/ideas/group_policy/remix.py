"""ReMix: earlier rollouts and more updates at first, then a new reference and fresh rollouts alone."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.experience.transform import Transform
from rl_jax.ops import shared
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec


@struct.dataclass
class Anchored:
    """Parameters of the base and of the policy one train step ago.

    Attributes:
        base, previous: the two.
        stage: 0 before the first train step, then 1, and 2 once the base was renewed.
    """

    base: PyTree
    previous: PyTree
    stage: jax.Array


@struct.dataclass
class Anchors(Transform):
    """Adds ``proximal_log_prob`` ``[T, N]``, ``base_logits`` and ``previous_logits`` ``[T, N, A]``, with which ReMix's terms compare.

    Liang et al. 2025, "Squeeze the Soaked Sponge: Efficient Off-policy Reinforcement Finetuning for Large Language Model",
    arXiv:2507.06892. ``proximal`` is the policy at the beginning of the train step, ``previous`` that of the train step before,
    ``base`` the one that the run began with, until training has come to ``until``: then it becomes the present policy (policy
    reincarnation).

    Attributes:
        params: parameters such as the run's, of any values (for the shapes).
        until: progress of training (0 to 1).
    """

    params: PyTree
    until: Any = 1.0

    def init(self, key: Key, spec: Spec) -> Anchored:
        zeros = jax.tree.map(jnp.zeros_like, self.params)
        return Anchored(zeros, zeros, jnp.zeros((), jnp.int32))

    def update(self, state: Anchored, rollout: Rollout, context: Context) -> tuple[Anchored, Rollout, Metrics]:
        params = context.agent.params(context.agent_state)
        stage = jnp.where(context.progress >= self.until, 2, 1)
        renew = (state.stage == 0) | (stage > state.stage)
        base = jax.tree.map(lambda new, old: jnp.where(renew, new, old), params, state.base)
        previous = jax.tree.map(lambda new, old: jnp.where(state.stage == 0, new, old), params, state.previous)

        def policy(params: PyTree) -> Any:
            return context.agent.outputs(params, rollout).policy

        rollout = rollout.with_extras(
            proximal_log_prob=policy(params).log_prob(rollout.action),
            base_logits=policy(base).logits,
            previous_logits=policy(previous).logits,
        )
        return Anchored(base, params, stage), rollout, {}


@struct.dataclass
class ConvexKL:
    """``lambda KL(pi || base) + (1 - lambda) KL(pi || previous)`` of discrete actions, in nats, exactly.

    The constraint of the paper, where ``lambda = max(1 - 0.1 ceil(max(t - 50, 0) / 10), 0.5)`` in train step ``t``.

    Attributes:
        wait, every, fall, least: ``lambda`` is 1 for ``wait`` train steps, then falls by ``fall`` every ``every`` steps to ``least``.
    """

    wait: Any = 50.0
    every: Any = 10.0
    fall: Any = 0.1
    least: Any = 0.5

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        steps = jnp.maximum(context.update - self.wait, 0.0)
        share = jnp.maximum(1.0 - self.fall * jnp.ceil(steps / self.every), self.least)
        logits = jax.nn.log_softmax(context.outputs.policy.logits)

        def kl(name: str) -> jax.Array:
            return jnp.sum(jnp.exp(logits) * (logits - jax.nn.log_softmax(batch.extras[name])), axis=-1)

        base, previous = kl("base_logits"), kl("previous_logits")
        return share * base + (1.0 - share) * previous, {"policy/kl_base": base, "policy/kl_previous": previous}


@struct.dataclass
class UpdatesUntil:
    """``number`` calls of ``learn`` in every train step until training has come to ``until``, then one.

    Attributes:
        number: the update-to-data ratio.
        until: progress of training (0 to 1).
    """

    number: int = struct.field(pytree_node=False, default=2)
    until: Any = 1.0

    def init(self, key: Key) -> PyTree:
        del key
        return ()

    def count(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array | int]:
        return state, shared(jnp.where(context.progress < self.until, self.number, 1))
