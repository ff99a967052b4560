"""How much of a network is still in use: functions of the activations of its hidden layers, of any network.

A layer is an array ``[..., units]``; all axes but the last are a batch (observations, time, places of a convolution's map).
:func:`rl_jax.networks.activations` reads the layers of a network as it computes.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError


def active_units(layers: Sequence[jax.Array]) -> jax.Array:
    """FAU, the fraction of active units: the share of all activations that are above zero; ``float32``, a scalar.

    Ma et al. 2024, "Revisiting Plasticity in Visual Reinforcement Learning" (arXiv 2310.07418), section 2. Meant for ReLU, where a
    unit that is zero passes no gradient for this input. All layers are counted together, as in the authors' code, so a wide layer
    weighs more than a narrow one.

    Args:
        layers: after the activation function, ``[..., units]`` each.
    """
    _check(layers)
    active = sum((jnp.sum(x > 0, dtype=jnp.float32) for x in layers), start=jnp.zeros((), jnp.float32))
    return active / sum(x.size for x in layers)


def dormant_units(layer: jax.Array, tau: Any = 0.025) -> jax.Array:
    """Which units of a layer ``[..., units]`` are ``tau``-dormant; ``bool [units]``.

    Sokar et al. 2023, "The Dormant Neuron Phenomenon" (arXiv 2302.12902), definition 3.1: the mean absolute activation of the unit
    over the batch is at most ``tau`` times the mean over the layer's units. In a layer without any activity all are dormant.
    """
    size = jnp.mean(jnp.abs(layer.astype(jnp.float32)).reshape(-1, layer.shape[-1]), axis=0)
    return size <= tau * jnp.mean(size)


def dormant_ratio(layers: Sequence[jax.Array], tau: Any = 0.025) -> jax.Array:
    """The share of dormant units among all units of all layers; ``float32``, a scalar.

    Sokar et al. 2023, section 3; Xu et al. 2024, "DrM" (arXiv 2310.19668), section 3.1, with their ``tau``. DrM's code looks at the
    outputs of all linear layers *before* their activation functions, the policy's output among them, and at a unit *below* the
    threshold; give it those layers for that number.

    Args:
        layers: ``[..., units]`` each.
        tau: threshold, as a share of the mean of the layer.
    """
    _check(layers)
    dormant = sum((jnp.sum(dormant_units(x, tau), dtype=jnp.float32) for x in layers), start=jnp.zeros((), jnp.float32))
    return dormant / sum(x.shape[-1] for x in layers)


def _check(layers: Sequence[jax.Array]) -> None:
    if not layers:
        raise RLJaxError(
            "there is no hidden layer to look at: name the network's activation functions in "
            "rl_jax.networks.activations(..., names=('relu',))"
        )
