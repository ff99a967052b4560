"""Mistakes in how a trainer is put together, each in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Discrete, MultiDiscrete
from rl_jax.types import Metrics, PyTree

#: Who puts what into a rollout's extras, of the names that agents of this library read.
_FROM = {
    "advantage": "end the experience chain with rl.experience.gae()",
    "value_target": "end the experience chain with rl.experience.gae()",
    "mask": "give replay=rl.replay.Buffer(...), which the agent learns from",
    "discount": "give a replay with n-step targets, rl.replay.NStep(...)",
}


def check_parts(env: Any, agent: Any, params: PyTree) -> None:
    """Refuse what is no environment, no agent, or a batch of tasks given as one.

    Raises:
        RLJaxError: with what to pass instead.
    """
    if isinstance(env, str):
        raise RLJaxError(f"env is the text '{env}': pass rl.make('{env}')")
    missing = [
        name for name in ("reset", "step", "observation_space", "action_space", "default_params") if not hasattr(env, name)
    ]
    if missing:
        raise RLJaxError(f"env is a {type(env).__name__} without {', '.join(missing)}: pass it through rl.envs.adapt")
    if not hasattr(agent, "bind"):
        how = "call its .trainer(env), or pass its .agent()" if hasattr(agent, "trainer") else "pass one of rl.agents"
        raise RLJaxError(f"agent is a {type(agent).__name__}, which is no agent: {how}")
    if params is None:
        return
    one, many = (jax.tree.map(np.shape, tree) for tree in (env.default_params, params))
    shapes = jax.tree.leaves(one, is_leaf=_shape), jax.tree.leaves(many, is_leaf=_shape)
    if len(shapes[0]) == len(shapes[1]) and any(len(b) == len(a) + 1 for a, b in zip(*shapes, strict=True)):
        raise RLJaxError("params holds several tasks along a new first axis: pass curriculum=rl.curricula.TaskSet(env, params)")


def _shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(isinstance(n, int) for n in x)


def check_spaces(*spaces: Any) -> None:
    """Refuse spaces that no part serves.

    Raises:
        RLJaxError: with those that are served.
    """
    for space in spaces:
        if not isinstance(space, Discrete | MultiDiscrete | Box):
            raise RLJaxError(
                f"a space of the environment is {str(space)[:80]}, and Discrete, MultiDiscrete and Box are served: "
                f"give observations as one array, such as their parts concatenated"
            )


@contextmanager
def naming_what_lacks(agent: Any) -> Iterator[None]:
    """A field of the rollout that nobody has put there is said by name."""
    try:
        yield
    except KeyError as error:
        name = str(error.args[0]) if error.args else "?"
        fix = _FROM.get(name, "put a transform that adds it into the experience chain")
        raise RLJaxError(
            f"{getattr(agent, 'name', type(agent).__name__)} needs '{name}' of what it learns from: {fix}"
        ) from error


def check_metrics(metrics: Metrics) -> Metrics:
    """The same metrics.

    Raises:
        RLJaxError: one is an array.
    """
    for name, value in metrics.items():
        if jnp.ndim(value):
            raise RLJaxError(
                f"the metric '{name}' is an array of shape {list(jnp.shape(value))}: report a number, such as its mean"
            )
    return metrics


def distinct(tree: PyTree) -> PyTree:
    """The same values, no array under two names: such a state could not be donated. Costs nothing under ``jit``."""
    seen: set[int] = set()

    def one(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer):
            leaf = leaf.copy() if id(leaf) in seen else leaf
            seen.add(id(leaf))
        return leaf

    return jax.tree.map(one, tree)
