"""Intrinsic rewards: bonuses as parts of their own, added, multiplied, and put into the reward by one transform."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.experience.transform import Transform
from rl_jax.ops import joined
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Number


@runtime_checkable
class Bonus(Protocol):
    """How novel each step is, a number that is not negative. Rollouts come in the order in which they are collected."""

    def init(self, key: Key, spec: Spec) -> PyTree: ...

    def bonus(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        """The next state, the bonus ``[T, N]`` of each step (of having come to ``next_obs``, if not said otherwise), scalars to log."""
        ...


@struct.dataclass
class Intrinsic(Transform):
    """Adds ``weight`` times a bonus to the reward. Stands before what scales rewards or computes advantages.

    With ``scale`` the bonus is first divided by the running standard deviation of all bonuses (Henaff et al. 2022,
    arXiv:2210.05805, section A), so that one weight serves different bonuses and a whole run. The extrinsic part and the bonus
    are kept as ``extras["extrinsic_reward"]`` and ``extras[name]``. Several in one chain add up; each needs a name of its own.

    Attributes:
        source: the bonus.
        weight: of the bonus.
        scale: divide by the running standard deviation.
        name: of the bonus; its metrics, and those of its source that begin with ``bonus/``, begin with ``name/``.
    """

    source: Any
    weight: Any = 1.0
    scale: bool = struct.field(pytree_node=False, default=True)
    name: str = struct.field(pytree_node=False, default="bonus")

    def init(self, key: Key, spec: Spec) -> tuple[PyTree, RunningMoments]:
        check_numbers("intrinsic's", self, weight=Number)
        return self.source.init(key, spec), RunningMoments.zero()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        """The reward with the bonus.

        Raises:
            RLJaxError: another bonus has this name.
        """
        if self.name in rollout.extras:
            raise RLJaxError(
                f"the rollout has '{self.name}' already: name this bonus, such as intrinsic(source, name='{self.name}_2')"
            )
        inner, moments = state
        inner, bonus, metrics = self.source.bonus(inner, rollout, context)
        bonus = bonus.astype(jnp.float32)
        moments = moments.merge(bonus.reshape(-1))
        scaled = bonus * jax.lax.rsqrt(moments.var + 1e-8) if self.scale else bonus
        metrics = joined(metrics, {"bonus/mean": jnp.mean(bonus), "bonus/scaled": jnp.mean(scaled)})
        metrics = {
            f"{self.name}/{key.removeprefix('bonus/')}" if key.startswith("bonus/") else key: x for key, x in metrics.items()
        }
        extrinsic = rollout.extras.get("extrinsic_reward", rollout.reward)
        rollout = rollout.with_extras(**{"extrinsic_reward": extrinsic, self.name: scaled})
        return (inner, moments), rollout.replace(reward=rollout.reward + self.weight * scaled), metrics  # type: ignore[attr-defined]


class _Several:
    """Base of sums and products: several bonuses, each with its own state and key."""

    parts: tuple[Any, ...]

    def init(self, key: Key, spec: Spec) -> PyTree:
        keys = jax.random.split(key, len(self.parts))
        return tuple(part.init(keys[i], spec) for i, part in enumerate(self.parts))

    def _bonuses(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, list[jax.Array], Metrics]:
        keys = jax.random.split(context.key, len(self.parts))
        states, bonuses, reports = [], [], []
        for i, (part, own) in enumerate(zip(self.parts, state, strict=True)):
            own, bonus, new = part.bonus(own, rollout, context.replace(key=keys[i]))  # type: ignore[attr-defined] # noqa: PLW2901
            states.append(own)
            bonuses.append(bonus)
            reports.append(new)
        names = [name for report in reports for name in report]
        # Two parts of one kind report the same: a number tells them apart.
        named = [{f"{k}_{i}" if names.count(k) > 1 else k: x for k, x in new.items()} for i, new in enumerate(reports, start=1)]
        return tuple(states), bonuses, joined(*named)


@struct.dataclass
class Product(_Several):
    """Bonuses multiplied: new by every one of them (Henaff, Jiang & Raileanu 2023, arXiv:2306.03236, section 5)."""

    parts: tuple[Any, ...]

    def bonus(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        state, bonuses, metrics = self._bonuses(state, rollout, context)
        return state, jnp.prod(jnp.stack(bonuses), axis=0), metrics


@struct.dataclass
class Sum(_Several):
    """Bonuses added, each with its weight.

    Attributes:
        parts: the bonuses.
        weights: of each; all 1 by default.
    """

    parts: tuple[Any, ...]
    weights: Any = None

    def bonus(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        state, bonuses, metrics = self._bonuses(state, rollout, context)
        weights = (1.0,) * len(self.parts) if self.weights is None else self.weights
        return state, sum(w * b for w, b in zip(weights, bonuses, strict=True)), metrics


def intrinsic(source: Any, weight: Any = 1.0, scale: bool = True, name: str = "bonus") -> Intrinsic:
    """Add a bonus to the reward; see :class:`Intrinsic`."""
    return Intrinsic(source, weight, scale, name)
