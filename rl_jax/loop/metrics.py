"""Metrics that are reduced on the device: sums and weights, never a value per environment and step.

Numbers of an environment's ``info`` (success, achievements, distances) become metrics where a run asks for them.
"""

import difflib

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.ops import joined
from rl_jax.types import PyTree

#: What a row of metrics has besides those that parts report.
RESERVED = (
    *("steps", "seed", "run", "wall", "steps_per_second", "failed", "eval/return", "eval/unfinished"),
    *("eval/nonfinite", "nonfinite_update", "learn_calls"),
)


@struct.dataclass
class Means:
    """Weighted means in the making: ``sums[name] / weights[name]``; NaN where nothing was counted."""

    sums: dict[str, jax.Array]
    weights: dict[str, jax.Array]

    @classmethod
    def of(cls, values: dict[str, jax.Array], weights: dict[str, jax.Array] | None = None) -> "Means":
        """Means of single values, weight 1 unless said otherwise."""
        sums = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
        unit_weight = jnp.ones((), jnp.float32)
        return cls(sums, {name: (weights or {}).get(name, unit_weight) for name in sums})

    @classmethod
    def zeros_like(cls, shape: "Means") -> "Means":
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)

    def __add__(self, other: "Means") -> "Means":
        return jax.tree.map(jnp.add, self, other)

    def __or__(self, other: "Means") -> "Means":
        """All means of the two.

        Raises:
            RLJaxError: two parts report under one name.
        """
        return Means(joined(self.sums, other.sums), {**self.weights, **other.weights})

    def finish(self) -> dict[str, jax.Array]:
        """The means, ``float32`` scalars by name; NaN where nothing was counted."""
        return {name: self.sums[name] / self.weights[name] for name in self.sums}

    def finite(self) -> jax.Array:
        """Whether every sum is finite."""
        return jnp.all(jnp.stack([jnp.isfinite(value) for value in self.sums.values()]))


#: What every row has of an episode.
TAKEN = ("return", "length")


def numbers(info: PyTree) -> dict[str, jax.Array]:
    """All numeric scalars of ``N`` environments' infos, by name; within dictionaries ``outer/inner``.

    Args:
        info: leaves ``[N, ...]``; those ``[N]`` are scalars.
    """
    by_name = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(info):
        if jnp.ndim(leaf) == 1 and any(jnp.issubdtype(leaf.dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)):
            by_name[jax.tree_util.keystr(path, simple=True, separator="/")] = leaf
    return by_name


def chosen_numbers(env: str, info: PyTree, names: tuple[str, ...]) -> dict[str, jax.Array]:
    """The numbers of ``names``, ``float32 [N]``.

    Raises:
        RLJaxError: the info has no such number; with those that it has.
    """
    if not names:
        return {}
    available = {name: value for name, value in numbers(info).items() if name not in TAKEN}
    for name in names:
        if name in TAKEN:
            raise RLJaxError(f"--episode-info {name}: rows have episode/{name} already; leave it out")
        if names.count(name) > 1:
            raise RLJaxError(f"--episode-info has {name} twice: leave out one of them")
        if name not in available:
            near = difflib.get_close_matches(name, available, n=1)
            has = f"it has {', '.join(sorted(available))}" if available else "it has none: leave --episode-info out"
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RLJaxError(f"--episode-info {name}: the info of {env} has no number of that name; {has}{hint}")
    return {name: available[name].astype(jnp.float32) for name in names}
