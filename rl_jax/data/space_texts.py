"""Spaces as JSON."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, ObsSpace


def space_to_json(space: ObsSpace) -> dict[str, Any]:
    """A space as JSON has it; bounds that are all alike stand once."""
    if isinstance(space, Discrete):
        return {"kind": "Discrete", "n": space.n}
    if isinstance(space, MultiDiscrete):
        return {"kind": "MultiDiscrete", "nvec": list(space.nvec)}
    if isinstance(space, Dict):
        return {"kind": "Dict", "parts": {name: space_to_json(part) for name, part in space.items()}}
    low, high = (_bound(side) for side in (space.low, space.high))
    return {"kind": "Box", "low": low, "high": high, "shape": list(space.shape), "dtype": jnp.dtype(space.dtype).name}


def _bound(side: tuple[float, ...]) -> Any:
    texts = [float(x) if np.isfinite(x) else str(x) for x in side]
    return texts[0] if len({*texts}) == 1 else texts


def space_of_json(content: Any) -> ObsSpace:
    """The space that :func:`space_to_json` has written.

    Raises:
        RLJaxError: it is none.
    """
    try:
        kind = content["kind"]
        if kind == "Discrete":
            return Discrete(content["n"])
        if kind == "MultiDiscrete":
            return MultiDiscrete(tuple(content["nvec"]))
        if kind == "Dict":
            return Dict({name: space_of_json(part) for name, part in content["parts"].items()})
        shape = tuple(content["shape"])
        low, high = (
            np.asarray(content[side], np.float64).reshape(shape if np.ndim(content[side]) else ()) for side in ("low", "high")
        )
        return Box.of(low, high, shape, jnp.dtype(content["dtype"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise RLJaxError(f"{str(content)[:60]} is no space ({error}): record the data again") from None
