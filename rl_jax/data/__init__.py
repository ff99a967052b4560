"""Recorded experience: data sets of whole episodes, from runs of one's own, plain arrays, files and other libraries."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.data.arrays import of_arrays
    from rl_jax.data.dataset import Dataset
    from rl_jax.data.files import load, save
    from rl_jax.data.joining import concat

lazy(__name__)

__all__ = ["Dataset", "concat", "load", "of_arrays", "save"]
