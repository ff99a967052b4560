"""Spaces: what observations and actions look like.

Agents act in *unit coordinates*: ``[-1, 1]`` stands for the bounds of an element that has two, and all numbers for one that has
one or none; :func:`to_env_action` maps them to the environment's own. So the stored action, and its log-probability, are the
policy's own (never the mapped or clipped one), and no agent knows about bounds.

An observation is one array, or, of a :class:`Dict`, a Python dictionary of arrays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.action_map import from_unit, to_unit
from rl_jax.array_spaces import Box, Discrete, MultiDiscrete, Space, describe
from rl_jax.errors import UnsupportedSpace
from rl_jax.masks import MASK, among, by_part, usable

__all__ = ["Box", "Dict", "Discrete", "MultiDiscrete", "ObsSpace", "Space", "describe"]

#: The key of a dictionary observation that critics read and actors do not.
PRIVILEGED = "privileged"


@dataclass(frozen=True, repr=False)
class Dict:
    """Named parts: an observation is a Python dictionary of arrays, each of its part's space, which may be a ``Dict`` again.

    At the top, two names have a meaning of their own. ``"action_mask"`` says which choices are allowed (see :mod:`rl_jax.masks`; its
    space is :func:`mask_space`): it is obeyed, and no network reads it as a feature. ``"privileged"`` is read by critics alone.

    Attributes:
        parts: names and spaces, from a mapping; sorted by name, as JAX orders dictionaries.

    Raises:
        UnsupportedSpace: no part, a name that is no text, a part that is no space, or a mask that is no vector of booleans.
    """

    parts: Any

    def __post_init__(self) -> None:
        try:
            pairs = dict(self.parts) if isinstance(self.parts, Mapping | tuple) else {}
        except (TypeError, ValueError):
            pairs = {}
        if not pairs:
            raise UnsupportedSpace(
                f"a Dict is made of a mapping of names to spaces, such as {{'x': Box(...)}}, not of {self.parts!r}"
            )
        for name, space in pairs.items():
            if not isinstance(name, str) or not name or "/" in name:
                raise UnsupportedSpace(f"the names of a Dict are texts without '/', not {name!r}")
            if not isinstance(space, ObsSpace):
                raise UnsupportedSpace(
                    f"the part '{name}' of a Dict is {str(space)[:80]}, and has to be a space of rl_jax.spaces"
                )
        mask = pairs.get(MASK)
        if mask is not None and not (isinstance(mask, Box) and len(mask.shape) == 1 and mask.dtype == np.bool_):
            raise UnsupportedSpace(
                f"'{MASK}' is {mask}, and has to be one row of booleans: rl_jax.spaces.mask_space(action_space)"
            )
        object.__setattr__(self, "parts", tuple(sorted(pairs.items())))
        paths = sorted(_paths(self))
        flat = [path.replace("/", "_") for path in paths]  # as networks name their layers
        if twice := [path for path, name in zip(paths, flat, strict=True) if flat.count(name) > 1]:
            raise UnsupportedSpace(f"the parts {' and '.join(map(repr, twice))} of a Dict are too alike: rename one of them")

    def __getitem__(self, name: str) -> "ObsSpace":
        return dict(self.parts)[name]

    def __contains__(self, name: object) -> bool:
        return name in dict(self.parts)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.parts))

    def items(self) -> tuple[tuple[str, "ObsSpace"], ...]:
        """Names and spaces, in order."""
        return self.parts

    def __repr__(self) -> str:
        return f"Dict({', '.join(f'{name}: {describe(space)}' for name, space in self.parts)})"


def _paths(space: "ObsSpace", name: str = "") -> list[str]:
    """The name of every array of a space, ``"a/b"`` of nested parts."""
    if not isinstance(space, Dict):
        return [name]
    return [path for key, part in space.items() for path in _paths(part, f"{name}/{key}".lstrip("/"))]


#: What an observation may be of; an action is of a ``Space``.
ObsSpace = Space | Dict


def mask_space(action_space: Space) -> Box:
    """The space of the action masks of an action space.

    Raises:
        UnsupportedSpace: its actions are no choices.
    """
    if not isinstance(action_space, Discrete | MultiDiscrete):
        raise UnsupportedSpace(
            f"an action mask says which choices are allowed, and {describe(action_space)} has none: leave it out"
        )
    return Box.of(0, 1, (action_space.n if isinstance(action_space, Discrete) else sum(action_space.nvec),), jnp.bool_)


def example(space: ObsSpace, *lead: int) -> Any:
    """Zeros of a space, ``[*lead, ...]``; of a :class:`Dict` a dictionary of them."""
    if isinstance(space, Dict):
        return {name: example(part, *lead) for name, part in space.items()}
    return jnp.zeros((*lead, *space.shape), space.dtype)


def leaves(space: ObsSpace, value: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """The single arrays of ``value``, each with its name (``"a/b"`` of nested parts, ``""`` of no part) and space, in order."""
    if not isinstance(space, Dict):
        return [(name, space, value)]
    return [leaf for key, part in space.items() for leaf in leaves(part, value[key], f"{name}/{key}".lstrip("/"))]


def seen_by_actor(space: ObsSpace) -> ObsSpace:
    """The part of an observation space that actors read: all but the mask and what is privileged."""
    return _without(space, MASK, PRIVILEGED)


def seen_by_critic(space: ObsSpace) -> ObsSpace:
    """The part of an observation space that critics read: all but the mask."""
    return _without(space, MASK)


def shown_to_actor(space: ObsSpace) -> ObsSpace:
    """The space of :func:`without_privileged`: what actors are called with, the mask included."""
    return _without(space, PRIVILEGED)


def _without(space: ObsSpace, *names: str) -> ObsSpace:
    if not isinstance(space, Dict) or not any(name in space for name in names):
        return space
    rest = {name: part for name, part in space.items() if name not in names}
    if not rest:
        raise UnsupportedSpace(f"networks read nothing of {describe(space)}: give the observation another part")
    return Dict(rest)


def read_by_actor(obs: Any) -> Any:
    """Observations without what actors do not read as features."""
    return {name: x for name, x in obs.items() if name not in (MASK, PRIVILEGED)} if isinstance(obs, Mapping) else obs


def without_privileged(obs: Any) -> Any:
    """Observations as actors are shown them."""
    return {name: x for name, x in obs.items() if name != PRIVILEGED} if isinstance(obs, Mapping) else obs


def check_mask(obs_space: ObsSpace, action_space: Space) -> None:
    """Refuse an observation whose mask does not fit the actions.

    Raises:
        UnsupportedSpace: the actions are no choices, or of another number.
    """
    if not isinstance(obs_space, Dict) or MASK not in obs_space:
        return
    found, expected = obs_space[MASK], mask_space(action_space)
    if found.shape != expected.shape:  # type: ignore[union-attr]
        raise UnsupportedSpace(
            f"'{MASK}' is {found}, and for {describe(action_space)} it has to be {expected}: give one entry per choice"
        )


def to_env_action(space: Space, action: jax.Array) -> jax.Array:
    """The environment's action for a policy's action: in a box by :mod:`rl_jax.action_map`, otherwise unchanged.

    Args:
        space: the environment's action space.
        action: the policy's action(s), any leading axes, trailing axes ``space.shape``.
    """
    if not isinstance(space, Box):
        return action
    low, high = (bound.reshape(space.shape) for bound in space.bounds())
    return from_unit(action, low, high, space.dtype)


def to_unit_action(space: Space, action: jax.Array) -> jax.Array:
    """Inverse of :func:`to_env_action` within the bounds (for demonstrations and offline data)."""
    if not isinstance(space, Box):
        return action
    low, high = (bound.reshape(space.shape) for bound in space.bounds())
    return to_unit(jnp.asarray(action, space.dtype), low, high)


def random_action(space: Space, key: jax.Array, *lead: int, mask: jax.Array | None = None) -> jax.Array:
    """Policy's actions ``[*lead, ...]``, each (that ``mask`` allows) with equal probability (in unit coordinates, of a box)."""
    shape = *lead, *space.shape
    if isinstance(space, Box):
        return jax.random.uniform(key, shape, jnp.float32, -1.0, 1.0)
    if mask is not None:
        u = jax.random.uniform(key, shape, jnp.float32)
        if isinstance(space, Discrete):
            return among(usable(mask), u)
        return among(by_part(usable(mask, space.nvec), space.nvec, False), u)
    count = space.n if isinstance(space, Discrete) else jnp.asarray(space.nvec, jnp.int32)
    return jax.random.randint(key, shape, 0, count, jnp.int32)


def allows(space: Space, mask: jax.Array, action: jax.Array) -> jax.Array:
    """Whether ``mask`` allows each action ``[...]``, all parts of it; of discrete actions ``bool [...]``."""
    if isinstance(space, Discrete):
        return jnp.take_along_axis(usable(mask), action[..., None], axis=-1)[..., 0]
    nvec = space.nvec  # type: ignore[union-attr]
    parts = jnp.take_along_axis(by_part(usable(mask, nvec), nvec, False), action[..., None], axis=-1)
    return jnp.all(parts[..., 0], axis=-1)


def check_supported(agent: str, space: Any, kinds: tuple[type, ...]) -> None:
    """Raise :class:`UnsupportedSpace` unless ``space`` is of one of ``kinds``."""
    if not isinstance(space, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        shown = describe(space) if isinstance(space, ObsSpace) else repr(space)
        raise UnsupportedSpace(
            f"{agent} acts in {names} action spaces, but this environment's is {shown}; "
            f"choose another agent (see 'rl-jax list') or another environment"
        )


def check_array(agent: str, obs_space: ObsSpace) -> None:
    """Raise :class:`UnsupportedSpace` if observations are dictionaries, for an agent that reads one array."""
    if isinstance(obs_space, Dict):
        raise UnsupportedSpace(
            f"{agent} reads observations of one array, but this environment's are {describe(obs_space)}; "
            f"choose another agent (see 'rl-jax list'), or join their parts to one array"
        )
