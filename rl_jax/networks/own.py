"""Networks that a user gives: made, looked at, and given their first parameters."""

import inspect
from typing import Any

import flax.linen as nn

from rl_jax.errors import RLJaxError
from rl_jax.types import PyTree, Spec

#: How an agent calls a network, and what it gets.
CALL = "(carry, obs [T, N, ...], first [T, N]) -> (carry, outputs)"
_HOW = "rl.networks.ActorCritic and QNetwork make one of a torso"


def made(network: Any, spec: Spec, **options: Any) -> Any:
    """The module: what was given, or what the function that was given makes of the spaces.

    Raises:
        RLJaxError: it is neither, or the function makes something else.
    """
    if isinstance(network, nn.Module):
        return network
    how = "give a flax module, or a function from Spec to one, such as rl.networks.actor_critic"
    if not callable(network):
        raise RLJaxError(f"network is {repr(network)[:80]}: {how}")
    name = getattr(network, "__name__", type(network).__name__)
    if not _takes(network, spec, **options):
        takes = ", ".join(["spec", *options])
        raise RLJaxError(f"network is the function {name}, which cannot be called as {name}({takes}): let it take these")
    try:
        module = network(spec, **options)
    except TypeError as error:
        if not isinstance(network, type):  # flax hides the signatures of classes
            raise
        raise RLJaxError(f"network is the class {name}, which cannot be made from a Spec: {how}") from error
    if not isinstance(module, nn.Module):
        raise RLJaxError(
            f"network is the function {name}, which returned a {type(module).__name__}: let it return a flax module"
        )
    return module


def made_remembering(network: Any, spec: Spec, **options: Any) -> Any:
    """:func:`made`, of a network that is called with a memory, be it empty.

    Raises:
        RLJaxError: besides, the module cannot be called so.
    """
    module = made(network, spec, **options)
    if not hasattr(module, "initial_carry") or not _takes(module.__call__, (), None, None):
        lacks = (
            "" if hasattr(module, "initial_carry") else " and has initial_carry(num_envs), which returns () if it has no memory"
        )
        raise RLJaxError(f"network is a {type(module).__name__}; an agent's is called as {CALL}{lacks}: {_HOW}")
    return module


def first_params(network: Any, key: Any, carry: PyTree, obs: Any, first: Any, needs: tuple[str, ...]) -> PyTree:
    """Fresh parameters of a network that is called with a memory.

    Raises:
        RLJaxError: its outputs lack what the agent needs of them.
    """
    result, params = network.init_with_output(key, carry, obs, first)
    pair = isinstance(result, tuple) and len(result) == 2
    if not pair or (missing := [name for name in needs if not hasattr(result[1], name)]):
        kind = type(result[1] if pair else result).__name__
        lacks = f"outputs of the type {kind}, without {', '.join(missing)}" if pair else f"a {kind}, not a pair"
        raise RLJaxError(f"network is a {type(network).__name__}, and returns {lacks}; an agent's is called as {CALL}: {_HOW}")
    return params


def _takes(function: Any, *args: Any, **options: Any) -> bool:
    """Whether a function can be called so, as far as its signature says."""
    try:
        inspect.signature(function).bind(*args, **options)
    except TypeError:
        return False
    except ValueError:  # it has none
        return True
    return True
