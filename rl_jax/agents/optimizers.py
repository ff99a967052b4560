"""Gradient transformations by name: a name can be a static field of an agent, and two equal ones are the same program."""

from typing import Any, Literal

import optax

from rl_jax.types import PyTree

Optimizer = Literal["adam", "radam", "rmsprop"]

#: Parameters up to which the optimiser works on one long vector. A small network's update is many tiny operations, whose number
#: is its cost; a large one's is memory traffic, to which packing would add.
SMALL = 50_000


def optimizer(kind: Optimizer, epsilon: Any, max_grad_norm: Any, pack: PyTree = None) -> optax.GradientTransformation:
    """Bound the gradient's *global* norm, then scale it; the step size is applied by the caller.

    Adam (Kingma & Ba 2015), RAdam (Liu et al. 2020) or RMSProp with decay 0.99 (Tieleman & Hinton 2012).

    Args:
        kind: which.
        epsilon: added to the denominator.
        max_grad_norm: the bound.
        pack: parameters of the shapes to come; if they are few, their gradients are treated as one vector.
    """
    if kind == "rmsprop":
        scale = optax.scale_by_rms(decay=0.99, eps=epsilon)
    elif kind == "radam":
        scale = optax.scale_by_radam(eps=epsilon)
    else:
        scale = optax.scale_by_adam(eps=epsilon)
    whole = optax.chain(optax.clip_by_global_norm(max_grad_norm), scale)
    return optax.flatten(whole) if pack is not None and optax.tree.size(pack) <= SMALL else whole
