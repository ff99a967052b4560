"""AILBoost: the discriminator compares the expert with a weighted mixture of all policies so far.

Chang, Sreenivas, Huang, Brantley & Sun 2024, "Adversarial Imitation Learning via Boosting", arXiv:2404.08513; checked with
https://github.com/Cornell-RL/ailboost at 3254adc: ``train_state.py`` (rounds), ``replay_buffer.py`` (weights), ``agent/boosting.py``
(losses and rewards), ``cfgs/config.yaml`` (numbers).

A round: the policy as it is, a weak learner, plays ``n`` steps; the discriminator learns on the mixture; then it stands still, and the
policy learns from all steps alike, paid ``f``. One train step of a trainer is one round: its rollout has the ``n`` steps, and
``updates`` are ``discriminator_steps + policy_steps``. The released code plays one more environment beside, whose steps only
the policy learns from until the next round; here there are no such steps.
"""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.rewarded import Rewarded, RewardedState
from rl_jax.argument_checks import check_numbers
from rl_jax.ops import random_index
from rl_jax.ops.branch import change_where
from rl_jax.replay.layout import Layout
from rl_jax.replay.ring import Ring, row_of_age, starts
from rl_jax.replay.samplers import Draw, Stateless
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, Range


@struct.dataclass
class MixtureOfRounds(Stateless):
    """Steps of the ``i``-th of ``n`` rounds with probability ``eta (1 - eta)^(n - i)``, those of the first with ``(1 - eta)^(n - 1)``.

    These are the weights of the mixture ``d <- (1 - eta) d + eta d_new`` (the paper, eq. 4). A rollout that was added is a round.

    Attributes:
        eta: 0.05 in the paper; 1: the newest round alone.
    """

    eta: Any = 0.05

    def init(self, layout: Layout) -> PyTree:
        """No state.

        Raises:
            RLJaxError: ``eta`` is out of range.
        """
        check_numbers("MixtureOfRounds'", self, eta=Annotated[float, Range(1e-6, 1)])
        return ()

    def draw(self, state: PyTree, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """``number`` first steps, unweighted."""
        key_round, key_row, key_env = jax.random.split(context.key, 3)
        youngest, count = starts(ring, layout)
        size = layout.rollout_length // layout.period
        rounds = -(-count // size)
        # Geometric from the newest backwards; what lies beyond the first round is its own.
        u = 1.0 - jax.random.uniform(key_round, (number,), jnp.float32)
        back = jnp.log(u) / jnp.log1p(-jnp.asarray(self.eta, jnp.float32))
        back = jnp.clip(back, 0.0, jnp.maximum(rounds - 1, 0).astype(jnp.float32)).astype(jnp.int32)
        k = jnp.minimum(back * size + random_index(key_row, (number,), size), jnp.maximum(count - 1, 0))
        row = row_of_age(ring, layout, youngest + k * layout.period)
        return Draw(row * layout.num_envs + random_index(key_env, (number,), layout.num_envs), None)


@struct.dataclass
class ReverseKL:
    """``exp(-f)`` for the expert's and ``f`` for the mixture's steps (the paper, eq. 6 with the reverse KL divergence).

    At the optimum ``f`` is the logarithm of the ratio of the expert's and the mixture's densities.
    """

    def expert(self, f: jax.Array, key: Key) -> jax.Array:
        return jnp.exp(-f)

    def learner(self, f: jax.Array) -> jax.Array:
        return f


@struct.dataclass
class BoostState(RewardedState):
    """As :class:`~rl_jax.agents.rewarded.RewardedState`, with the learning steps done."""

    count: jax.Array


@struct.dataclass
class AILBoost(Rewarded):
    """Learns in rounds: first the discriminator alone, then the agent alone.

    The batch is ``[L, 2 B]`` of a :class:`~rl_jax.replay.Mixed` of two buffers: the agent learns from the first ``B`` columns, drawn
    uniformly, the discriminator from the others, drawn by :class:`MixtureOfRounds`.

    Attributes:
        discriminator_steps: of a round; 100 in the released code.
        policy_steps: of a round; 1000 in the released code.
    """

    discriminator_steps: int = struct.field(pytree_node=False, default=100)
    policy_steps: int = struct.field(pytree_node=False, default=1000)

    def init(self, key: Key, spec: Spec) -> BoostState:
        """Fresh states.

        Raises:
            RLJaxError: see :class:`~rl_jax.agents.rewarded.Rewarded`, or no steps.
        """
        check_numbers("AILBoost's", self, discriminator_steps=Count, policy_steps=Count)
        state = super().init(key, spec)
        return BoostState(state.agent, state.model, state.transforms, jnp.zeros((), jnp.int32))

    def learn(self, state: BoostState, sample: Sample, context: Context) -> tuple[BoostState, Metrics, None]:  # type: ignore[override]
        """One step of the one or of the other."""
        key_model, key_agent = jax.random.split(context.key)
        half = sample.batch.reward.shape[1] // 2

        def columns(part: slice) -> Rollout:
            return jax.tree.map(lambda x: x[:, part], sample.batch)

        def discriminate(state: BoostState) -> BoostState:
            own = context.replace(key=key_model)  # type: ignore[attr-defined]
            model, _ = self.model.learn(state.model, columns(slice(half, None)), own)
            return state.replace(model=model)  # type: ignore[attr-defined]

        def improve(state: BoostState) -> BoostState:
            drawn = Sample(columns(slice(half)), None, None)
            return self.learn_with(state, {}, drawn, context, jax.random.split(key_agent, 3))[0]  # type: ignore[return-value]

        due = state.count % (self.discriminator_steps + self.policy_steps) < self.discriminator_steps
        state = change_where(due, discriminate, state)
        state = change_where(~due, improve, state)
        return state.replace(count=state.count + 1), {"ailboost/discriminating": due.astype(jnp.float32)}, None  # type: ignore[attr-defined]
