"""OTA: subgoals are judged by a second value, which counts options of several steps as one and so has a short horizon.

Ahn et al. 2025, "Option-aware Temporally Abstracted Value for Offline Goal-Conditioned Reinforcement Learning", NeurIPS 2025, arXiv
2505.12737v2. Its public code (ota-v/ota-v, on OGBench's) could not be read here.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.configs.base import numbers_of
from rl_jax.agents.configs.goal_reaching import HIQLConfig
from rl_jax.agents.goals.hiql import HierarchicalImplicit, hiql
from rl_jax.losses.td import bootstrap_discount
from rl_jax.types import Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count


@struct.dataclass(kw_only=True)
class OptionAware(HierarchicalImplicit):
    """HIQL whose high policy is cloned by the value of options ``V_h(s, g)``: minus the discounted number of options to a goal.

    An option follows the data for ``n`` steps, or to the goal, or to the episode's end, to ``s'``. Its reward is 0 if ``s'`` is the
    goal and -1 otherwise, and ``V_h(s', g)`` is discounted by ``gamma`` *once*, not once a step. The low policy and the subgoals'
    representations are those of the value of single steps, as in HIQL. Options are :class:`rl_jax.replay.Goals`'s.

    What the data do within an option is taken as it is: a detour there counts as one, unless the expectile looks past it.

    Attributes:
        per_step: an ablation: the same options with the rewards and discounts of their steps, ``-(1 - gamma^m) / (1 - gamma)`` and
            ``gamma^m`` of ``m`` steps. So HIQL's own value is learned from targets of several steps, with the horizon that it has.
    """

    SLOW: ClassVar[tuple[str, ...]] = ("value", "option_value")

    per_step: bool = struct.field(pytree_node=False, default=False)
    name: str = struct.field(pytree_node=False, default="OTA")

    def fresh(self, key: Key, spec: Spec, obs: PyTree) -> dict[str, PyTree]:
        """As HIQL's, and a second value."""
        key_options, key_others = jax.random.split(key)
        options = self.value_net.init(key_options, obs)  # type: ignore[union-attr]
        return {**super().fresh(key_others, spec, obs), "option_value": options}

    def loss(self, params: PyTree, target: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, Metrics]:
        """The sum of the losses, and metrics."""
        discount = bootstrap_discount(batch)
        error, value = self.value_loss(params["value"], target["value"], batch.obs, batch.next_obs, batch.reward, discount)
        begin, end = {**batch.obs, "goal": batch.extras["option_goal"]}, batch.extras["option_obs"]
        own, slow = params["option_value"], target["option_value"]
        option_error, option_value = self.value_loss(own, slow, begin, end, *self.option_outcome(batch))
        low, high = self.low_loss(params, batch), self.high_loss(params, own, batch)
        metrics = {
            **{"loss/value": error, "loss/option_value": option_error, "loss/actor": low, "loss/high_actor": high},
            **{"value/mean": value, "value/options": option_value},
        }
        return error + option_error + low + high, metrics

    def option_outcome(self, batch: Rollout) -> tuple[jax.Array, jax.Array]:
        """Reward and discount ``[B]`` of each option."""
        reward, discount = batch.extras["option_reward"], batch.extras["option_discount"]
        if not self.per_step:
            return reward, discount
        gamma = batch.extras["discount"]
        power = gamma ** batch.extras["option_steps"]
        return -(1.0 - power) / (1.0 - gamma), jnp.where(discount > 0, power, 0.0)


@dataclass(frozen=True)
class OTAConfig(HIQLConfig):
    """OTA (Ahn et al. 2025) as one flat list of numbers."""

    option_steps: Count = 5
    """Steps of an option (the paper: by task)."""
    per_step: bool = False
    """Whether an option's steps are discounted one by one: targets of several steps, and no abstraction (an ablation)."""

    def agent(self) -> OptionAware:
        """The agent alone."""
        return ota(config=self)


def ota(*, config: OTAConfig | None = None, **overrides: Any) -> OptionAware:
    """Option-aware temporally abstracted value (Ahn et al. 2025, arXiv 2505.12737). Needs :class:`rl_jax.replay.Goals`.

    Args:
        config: all numbers; default :class:`OTAConfig` as it is.
        overrides: its fields that shall be others, such as ``expectile=0.9``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(OTAConfig, config, overrides)
    base = hiql(config=numbers)
    same = {field.name: getattr(base, field.name) for field in fields(base) if field.name != "name"}
    return OptionAware(per_step=numbers.per_step, **same)
