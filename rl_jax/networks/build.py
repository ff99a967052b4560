"""Networks that a user gives: construction, checks and first parameters."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError
from rl_jax.masks import MASK
from rl_jax.spaces import Dict, Discrete, MultiDiscrete, describe, example, shown_to_actor
from rl_jax.types import PyTree, Spec

#: A network: a module, or a function from :class:`~rl_jax.types.Spec`, and options that the agent names, to one.
Maker = nn.Module | Callable[..., nn.Module]

#: How an agent calls a network, and what it gets.
CALL = "(carry, obs [T, N, ...], first [T, N]) -> (carry, outputs)"
_HOW = "rl.networks.ActorCritic and QNetwork make one of a torso"


def actor_spec(spec: Spec) -> Spec:
    """The spec of a network that acts: without what is privileged."""
    return replace(spec, obs_space=shown_to_actor(spec.obs_space))


def build_network(network: Any, spec: Spec, **options: Any) -> Any:
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


def build_recurrent_network(network: Any, spec: Spec, **options: Any) -> Any:
    """:func:`build_network`, of a network that is called with a memory, be it empty.

    Raises:
        RLJaxError: besides, the module cannot be called so.
    """
    module = build_network(network, spec, **options)
    if not hasattr(module, "initial_carry") or not _takes(module.__call__, (), None, None):
        lacks = (
            "" if hasattr(module, "initial_carry") else " and has initial_carry(num_envs), which returns () if it has no memory"
        )
        raise RLJaxError(f"network is a {type(module).__name__}; an agent's is called as {CALL}{lacks}: {_HOW}")
    return module


def init_params(network: Any, key: Any, spec: Spec, needs: dict[str, tuple[int, ...]]) -> PyTree:
    """Fresh parameters of a network that is called with a memory.

    Args:
        network: the module.
        key: typed key.
        spec: with the spaces.
        needs: outputs that the agent reads, ``[T, N, ...]``, with the axes that follow; ``hidden`` may have any, and ``policy`` is a
            distribution over the action space.

    Raises:
        RLJaxError: its outputs lack what the agent needs of them, or these or the memory are of another shape or type.
    """
    obs, first = example(spec.obs_space, 1, 1), jnp.ones((1, 1), bool)
    carry = network.initial_carry(1)
    result, params = network.init_with_output(key, carry, obs, first)
    pair = isinstance(result, tuple) and len(result) == 2
    if not pair or (missing := [name for name in needs if not hasattr(result[1], name)]):
        kind = type(result[1] if pair else result).__name__
        lacks = f"outputs of the type {kind}, without {', '.join(missing)}" if pair else f"a {kind}, not a pair"
        raise RLJaxError(f"network is a {type(network).__name__}, and returns {lacks}; an agent's is called as {CALL}: {_HOW}")
    wrong = _memory(carry, result[0]) or next(filter(None, (_output(result[1], name, needs[name], spec) for name in needs)), "")
    if wrong:
        raise RLJaxError(f"network is a {type(network).__name__}, and for T = N = 1 {wrong}")
    return params


def _memory(carry: PyTree, next_carry: PyTree) -> str:
    """How a memory differs after a call."""
    old, new = (jax.tree.map(_kind, tree) for tree in (carry, next_carry))
    return "" if old == new else f"its carry is {old} before a call and {new} after it: let it stay of one kind"


def _output(outputs: Any, name: str, axes: tuple[int, ...], spec: Spec) -> str:
    """How an output differs from what an agent reads."""
    output = getattr(outputs, name)
    if name == "policy":
        return _policy(output, spec)
    expected = f"float32{[1, 1, *axes]}"
    if name == "hidden":
        return "" if jnp.shape(output)[:2] == (1, 1) else f"hidden is {_kind(output)}: let it be [T, N, features]"
    return "" if _kind(output) == expected else f"{name} is {_kind(output)}, expected {expected}: reshape or cast it"


def _policy(policy: Any, spec: Spec) -> str:
    """How a distribution differs from one over the action space, without what a mask forbids."""
    space = spec.action_space
    if isinstance(spec.obs_space, Dict) and MASK in spec.obs_space and not hasattr(policy, "masked"):
        return f"its policy is a {type(policy).__name__}, which cannot obey an {MASK}: give it a method masked(mask) -> policy"
    choices = [space.n] if isinstance(space, Discrete) else [sum(space.nvec)] if isinstance(space, MultiDiscrete) else None
    if choices and hasattr(policy, "logits") and jnp.shape(policy.logits) != (1, 1, *choices):
        return f"its policy's logits are {_kind(policy.logits)}, expected float32{[1, 1, *choices]} for {describe(space)}"
    try:
        action = jax.eval_shape(policy.sample, jax.random.key(0))
        chance = jax.eval_shape(policy.log_prob, action)
    except Exception as error:  # any error of a user's distribution
        return f"its policy cannot be sampled: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    expected = f"{'int32' if choices else 'float32'}{[1, 1, *space.shape]}"
    if _kind(action) != expected:
        return f"its policy's actions are {_kind(action)}, expected {expected} for {describe(space)}"
    return "" if _kind(chance) == "float32[1, 1]" else f"its policy's log_prob is {_kind(chance)}, expected float32[1, 1]"


def _kind(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else type(leaf).__name__


def _takes(function: Any, *args: Any, **options: Any) -> bool:
    """Whether a function can be called so, as far as its signature says."""
    try:
        inspect.signature(function).bind(*args, **options)
    except TypeError:
        return False
    except ValueError:  # it has none
        return True
    return True
