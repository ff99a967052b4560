"""Optimisers by name, or as optax has them, and their step sizes: numbers, or schedules over environment steps."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import jax
import optax
from flax import struct

from rl_jax.agents.configs.base import OptimizerName
from rl_jax.argument_checks import check_argument
from rl_jax.errors import RLJaxError, chosen
from rl_jax.types import Context, PyTree
from rl_jax.values import NotNegative

A = TypeVar("A")
#: What an agent takes as its optimiser. Two equal ones are the same program.
Optimizer: TypeAlias = OptimizerName | optax.GradientTransformation
#: What the names stand for, given the number added to the denominator.
NAMED: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "adam": lambda epsilon: optax.scale_by_adam(eps=epsilon),
    "radam": lambda epsilon: optax.scale_by_radam(eps=epsilon),
    "rmsprop": lambda epsilon: optax.scale_by_rms(decay=0.99, eps=epsilon),
}

#: Parameters up to which the optimiser works on one long vector. A small network's update is many tiny operations, whose number
#: is its cost; a large one's is memory traffic, to which packing would add.
SMALL = 50_000


def optimizer(
    kind: Optimizer, epsilon: Any = 1e-8, max_grad_norm: Any = None, pack: PyTree = None
) -> optax.GradientTransformation:
    """Bound the gradient's *global* norm, then scale it; the step size is applied by the caller, see :func:`step_size`.

    Adam (Kingma & Ba 2015), RAdam (Liu et al. 2020) or RMSProp with decay 0.99 (Tieleman & Hinton 2012).

    Args:
        kind: a name, or a transformation of optax, which is taken as it is: bound, scale, step size and schedule are its own.
        epsilon: added to the denominator.
        max_grad_norm: the bound; ``None``: none.
        pack: parameters of the shapes to come; if they are few, their gradients are treated as one vector.

    Raises:
        RLJaxError: there is no such optimiser.
    """
    if isinstance(kind, optax.GradientTransformation):
        return _alone(kind)
    scale = chosen("optimizer (besides what optax makes, such as optax.adam(3e-4))", kind, NAMED)(epsilon)
    whole = scale if max_grad_norm is None else optax.chain(optax.clip_by_global_norm(max_grad_norm), scale)
    return optax.flatten(whole) if pack is not None and optax.tree.size(pack) <= SMALL else whole


def _alone(given: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same, and where it asks for more than gradients, which no agent gives it, that is said."""
    if not isinstance(given, optax.GradientTransformationExtraArgs):
        return given

    def update(updates: PyTree, state: PyTree, params: PyTree | None = None, **more: Any) -> tuple[PyTree, PyTree]:
        try:
            return given.update(updates, state, params, **more)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise RLJaxError(
                "the optimizer needs more than gradients, such as the loss itself for a line search: choose another, such as optax.adam"
            ) from error

    return optax.GradientTransformationExtraArgs(given.init, update)


@struct.dataclass
class Schedule:
    """A learning rate that is a function of time. It is static: no leaf of an agent, and not to be swept.

    Attributes:
        of: environment steps, over all environments, ``float32``, to the learning rate: any schedule of optax.
    """

    of: Callable[[Any], Any] = struct.field(pytree_node=False)


def bind_optimizer(agent: A, *rates: str) -> A:
    """An agent whose learning rates are leaves, or :class:`Schedule` where they were given as functions; what ``bind`` does first.

    Args:
        agent: with a ``name``, and an ``optimizer`` or ``None``.
        rates: the names of its learning rates.

    Raises:
        RLJaxError: a learning rate is neither a number, an array nor a function, or there is no such optimiser.
    """
    about: Any = agent
    if about.optimizer is not None:
        optimizer(about.optimizer)
    return about.replace(**{name: _rate(f"{about.name}'s {name}", getattr(agent, name)) for name in rates})


def _rate(what: str, rate: Any) -> Any:
    """A learning rate as an agent keeps it."""
    if isinstance(rate, Schedule):
        return rate
    if not callable(rate):
        fix = "schedules of optax fit here too, and its transformations are an optimizer="
        check_argument(what, rate, NotNegative, fix)
        return rate
    try:
        shape = jax.eval_shape(rate, jax.ShapeDtypeStruct((), "float32")).shape
    except Exception as error:  # whatever a function of one's own raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise RLJaxError(f"{what} is a function that cannot be asked for one number of environment steps ({reason})") from error
    if shape != ():
        raise RLJaxError(f"{what} is a function that returns an array of shape {list(shape)}: let it return one number")
    return Schedule(rate)


def rate_now(rate: Any, context: Context, anneal: bool = False) -> Any:
    """The learning rate of this train step.

    Args:
        rate: a number, or a :class:`Schedule`, which is asked for the environment steps done before this train step.
        context: the moment.
        anneal: let a number fall linearly to zero over the planned training. A schedule says all itself.
    """
    if isinstance(rate, Schedule):
        return rate.of(context.steps)
    return rate * (1.0 - context.progress) if anneal else rate


def step_size(kind: Optimizer, rate: Any, context: Context, anneal: bool = False) -> Any:
    """What updates are multiplied with before they are *subtracted* from parameters: those of a transformation of optax are added.

    Args:
        kind: the optimiser.
        rate, context, anneal: of :func:`rate_now`, for an optimiser that has no step size of its own.
    """
    return -1.0 if isinstance(kind, optax.GradientTransformation) else rate_now(rate, context, anneal)
