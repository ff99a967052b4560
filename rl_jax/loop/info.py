"""Numbers of an environment's ``info`` that belong into the rows of a run: success, achievements, distances."""

import difflib

import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError
from rl_jax.types import PyTree

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
            by_name["/".join(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)] = leaf
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
