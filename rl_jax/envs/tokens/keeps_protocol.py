"""Does a token task keep its protocol? Each function names what is wrong, while a world is made or traced."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_argument
from rl_jax.envs.tokens.task import Problem, Reply, TokenTask
from rl_jax.errors import ProtocolError
from rl_jax.values import Count, Range

MEMBERS = [name for name in vars(TokenTask) if not name.startswith("_")]


def check_task(task: Any) -> None:
    """Refuse what is no task, and a task in which the policy never writes.

    Raises:
        RLJaxError: a length or the vocabulary is no number in its range.
        ProtocolError: it is a class, or lacks members of :class:`~rl_jax.envs.tokens.task.TokenTask`.
    """
    if isinstance(task, type):
        raise ProtocolError(f"the task is the class {task.__name__}: pass an object of it, {task.__name__}()")
    if missing := [name for name in MEMBERS if not hasattr(task, name)]:
        raise ProtocolError(f"a token task needs {', '.join(missing)}, which this {type(task).__name__} lacks: add them")
    if not isinstance(task.name, str) or not task.name:
        raise ProtocolError(f"the name of this {type(task).__name__} is {task.name!r}: give what messages should call it")
    check_argument(f"{task.name}: vocabulary", task.vocabulary, Count)
    check_argument(f"{task.name}: length", task.length, Count, "it counts the steps of the longest episode, prompt and answer")
    check_argument(
        f"{task.name}: prompt_length",
        task.prompt_length,
        Annotated[int, Range(1, task.length)],
        f"at least one of the {task.length + 1} positions is the policy's",
    )


def check_problem(name: str, problem: Any, prompt_length: int) -> None:
    """Refuse a problem whose prompt is no tokens ``[P]``.

    Raises:
        ProtocolError: with what ``draw`` should return.
    """
    if not isinstance(problem, Problem):
        raise ProtocolError(f"{name}: draw returned a {type(problem).__name__}, expected a rl_jax.envs.tokens.Problem")
    shape, dtype = jnp.shape(problem.prompt), jnp.result_type(problem.prompt)
    if shape != (prompt_length,) or not jnp.issubdtype(dtype, jnp.integer):
        raise ProtocolError(
            f"{name}: the prompt is {dtype}{list(shape)}, expected int32[{prompt_length}], as prompt_length says; fill it up with PAD "
            f"on the left"
        )


def check_reply(name: str, reply: Any, known: dict[str, Any]) -> None:
    """Refuse a reply with parts of other shapes or types, and facts under names that are taken.

    Args:
        name: of the world.
        reply: the task's.
        known: facts that every task may say, with a number of the type that each has.

    Raises:
        ProtocolError: with the part.
    """
    if not isinstance(reply, Reply):
        raise ProtocolError(f"{name}: reply returned a {type(reply).__name__}, expected a rl_jax.envs.tokens.Reply")
    for part, kind, axes in (("tokens", np.integer, 1), ("size", np.integer, 0), ("over", np.bool_, 0)):
        _check(f"{name}: the reply's {part}", getattr(reply, part), kind, axes)
    if not isinstance(reply.facts, dict):
        raise ProtocolError(f"{name}: the reply's facts are a {type(reply.facts).__name__}, expected a dict; {{}} are none")
    if "own" in reply.facts:
        raise ProtocolError(f"{name}: a fact of the reply is called 'own', which the world says itself; give it another name")
    for fact, usual in known.items():
        if fact in reply.facts:
            _check(f"{name}: the reply's fact '{fact}'", reply.facts[fact], _KINDS[np.dtype(usual.dtype).kind], 0)


_KINDS: dict[str, type] = {"b": np.bool_, "i": np.integer, "f": np.floating}


def _check(what: str, value: Any, kind: type, axes: int) -> None:
    if not isinstance(value, bool | int | float | np.generic | np.ndarray | jax.Array):
        raise ProtocolError(f"{what} is a {type(value).__name__}, expected an array; make it with jax.numpy")
    dtype, shape = jnp.result_type(value), jnp.shape(value)
    if not jnp.issubdtype(dtype, kind) or len(shape) != axes:
        expected = {np.bool_: "bool", np.integer: "int32", np.floating: "float32"}[kind] + ("[K]" if axes else "[]")
        raise ProtocolError(f"{what} {'are' if axes else 'is'} {dtype}{list(shape)}, expected {expected}; cast or reshape it")
