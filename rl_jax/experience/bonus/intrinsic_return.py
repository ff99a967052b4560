"""An intrinsic return beside the extrinsic one: with a value and a discount of its own, and no end."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.experience.bonus.fit import Embedding, Model, apply, flat
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.experience.transform import Transform
from rl_jax.ops import discounted_sum, joined
from rl_jax.spaces import ObsSpace, example
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Number, Share


@struct.dataclass
class ReturnState:
    """The bonus's state; the value and its optimiser; the discounted sum of bonuses so far ``[N]`` and the moments of these sums."""

    source: PyTree
    value: Model
    sums: jax.Array
    moments: RunningMoments


@struct.dataclass
class IntrinsicReturn(Transform):
    """``advantage <- extrinsic_weight * advantage + weight * intrinsic advantage``. Stands behind :func:`gae`.

    Burda et al. 2019 (arXiv:1810.12894), section 2.3 and 2.4; reference: openai/random-network-distillation, ``ppo_agent.py``. The
    intrinsic return does not stop where an episode ends: the value bootstraps from the stream's next observation,
    be it the start of another episode. Bonuses are divided by the running standard deviation of their discounted sum, which goes on
    over episodes too. Rewards stay as they are. The default weights and discounts are the paper's; its extrinsic discount is
    0.999 and belongs to :func:`gae`.

    The paper's second value is a second head of the policy's network and is learned in PPO's loss. Here it is a network by itself
    that makes one pass over each rollout, so that any agent with advantages can be given one.

    Attributes:
        source: the bonus, such as :class:`RND`.
        space: of the observations that the chain hands over.
        weight, extrinsic_weight: of the two advantages.
        gamma, lam: of the intrinsic one.
        learning_rate: of the value.
        hidden: widths of the value's hidden layers.
        minibatches: of the pass over each rollout, whose size they must divide.
    """

    source: Any
    space: ObsSpace = struct.field(pytree_node=False)
    weight: Any = 1.0
    extrinsic_weight: Any = 2.0
    gamma: Any = 0.99
    lam: Any = 0.95
    learning_rate: Any = 1e-3
    hidden: tuple[int, ...] = struct.field(pytree_node=False, default=(64, 64))
    minibatches: int = struct.field(pytree_node=False, default=4)

    def _network(self) -> Embedding:
        return Embedding(self.space, 1, self.hidden)

    def _value(self, params: PyTree, obs: PyTree) -> jax.Array:
        return apply(self._network(), params, obs)[..., 0]

    def init(self, key: Key, spec: Spec) -> ReturnState:
        check_numbers("intrinsic_return's", self, weight=Number, extrinsic_weight=Number)
        check_numbers("intrinsic_return's", self, gamma=Share, lam=Share, learning_rate=NotNegative)
        key_source, key_value = jax.random.split(key)
        params = self._network().init(key_value, example(self.space, 1))
        sums = jnp.zeros((spec.num_envs,), jnp.float32)
        return ReturnState(self.source.init(key_source, spec), Model.start(params), sums, RunningMoments.zero())

    def update(self, state: ReturnState, rollout: Rollout, context: Context) -> tuple[ReturnState, Rollout, Metrics]:
        """The combined advantage; then the value learns.

        Raises:
            RLJaxError: the rollout has no advantages yet.
        """
        if "advantage" not in rollout.extras:
            raise RLJaxError("an intrinsic return is added to advantages: put rl_jax.experience.gae() before it in the chain")
        key_source, key_value = jax.random.split(context.key)
        source, bonus, metrics = self.source.bonus(state.source, rollout, context.replace(key=key_source))  # type: ignore[attr-defined]

        def step(total: jax.Array, bonus: jax.Array) -> tuple[jax.Array, jax.Array]:
            total = self.gamma * total + bonus
            return total, total

        sums, passed = jax.lax.scan(step, state.sums, bonus.astype(jnp.float32))
        moments = state.moments.merge(passed.reshape(-1))
        reward = bonus * jax.lax.rsqrt(moments.var + 1e-8)

        obs = jax.tree.map(lambda x, last: jnp.concatenate([x, last[None]]), rollout.obs, rollout.last.obs)
        value = self._value(state.value.params, obs)
        delta = reward + self.gamma * value[1:] - value[:-1]
        advantage = discounted_sum(delta, jnp.full_like(delta, self.gamma * self.lam))

        def loss(params: PyTree, batch: tuple[PyTree, jax.Array]) -> jax.Array:
            return 0.5 * jnp.mean(jnp.square(self._value(params, batch[0]) - batch[1]))

        data = flat(rollout.obs), flat(advantage + value[:-1])
        model, error = state.value.fit(loss, data, key_value, self.learning_rate, self.minibatches)
        metrics = joined(
            metrics,
            {"intrinsic/reward": jnp.mean(reward), "intrinsic/value": jnp.mean(value), "intrinsic/value_loss": error},
        )
        combined = self.extrinsic_weight * rollout.extras["advantage"] + self.weight * advantage
        return ReturnState(source, model, sums, moments), rollout.with_extras(advantage=combined), metrics


def intrinsic_return(source: Any, space: ObsSpace, **options: Any) -> IntrinsicReturn:
    """An intrinsic return beside the extrinsic one; see :class:`IntrinsicReturn`."""
    return IntrinsicReturn(source, space, **options)
