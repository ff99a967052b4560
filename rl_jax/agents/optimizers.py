"""Optimisers by name, or as optax has them: either can be a static field of an agent, and two equal ones are the same program."""

from typing import Any, Literal

import optax

from rl_jax.errors import RLJaxError, chosen
from rl_jax.types import PyTree

Optimizer = Literal["adam", "radam", "rmsprop"]
#: What the names stand for, given the number added to the denominator.
NAMED = {
    "adam": lambda epsilon: optax.scale_by_adam(eps=epsilon),
    "radam": lambda epsilon: optax.scale_by_radam(eps=epsilon),
    "rmsprop": lambda epsilon: optax.scale_by_rms(decay=0.99, eps=epsilon),
}

#: Parameters up to which the optimiser works on one long vector. A small network's update is many tiny operations, whose number
#: is its cost; a large one's is memory traffic, to which packing would add.
SMALL = 50_000


def optimizer(
    kind: Optimizer | optax.GradientTransformation, epsilon: Any, max_grad_norm: Any, pack: PyTree = None
) -> optax.GradientTransformation:
    """Bound the gradient's *global* norm, then scale it; the step size is applied by the caller, see :func:`step_size`.

    Adam (Kingma & Ba 2015), RAdam (Liu et al. 2020) or RMSProp with decay 0.99 (Tieleman & Hinton 2012).

    Args:
        kind: a name, or a transformation of optax, which is taken as it is: bound, scale, step size and schedule are its own.
        epsilon: added to the denominator.
        max_grad_norm: the bound.
        pack: parameters of the shapes to come; if they are few, their gradients are treated as one vector.

    Raises:
        RLJaxError: there is no such optimiser.
    """
    if isinstance(kind, optax.GradientTransformation):
        return _alone(kind)
    scale = chosen("optimizer (besides transformations of optax)", kind, NAMED)(epsilon)
    whole = optax.chain(optax.clip_by_global_norm(max_grad_norm), scale)
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


def step_size(kind: Optimizer | optax.GradientTransformation, learning_rate: Any) -> Any:
    """What updates are multiplied with before they are *subtracted* from parameters: those of a transformation of optax are added."""
    return -1.0 if isinstance(kind, optax.GradientTransformation) else learning_rate
