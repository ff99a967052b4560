"""Noise schedules of DDPM: the share of the variance that each step replaces by noise, ``beta`` ``[T]``, in double precision."""

import math
from collections.abc import Callable

import numpy as np


def cosine(steps: int) -> np.ndarray:
    """Nichol & Dhariwal 2021 (arXiv 2102.09672), eq. 17 with ``s = 0.008``; no ``beta`` is above 0.999."""

    def remaining(t: np.ndarray) -> np.ndarray:
        return np.cos((t / steps + 0.008) / 1.008 * math.pi / 2.0) ** 2

    t = np.arange(steps + 1.0)
    return np.minimum(1.0 - remaining(t[1:]) / remaining(t[:-1]), 0.999)


def linear_betas(steps: int) -> np.ndarray:
    """Ho et al. 2020 (arXiv 2006.11239), section 4: from ``1e-4`` to ``0.02`` for ``T = 1000``; fewer in proportion larger."""
    return np.minimum(np.linspace(1e-4, 0.02, steps) * 1000.0 / steps, 0.999)


def variance_preserving(steps: int) -> np.ndarray:
    """The variance preserving SDE of Song et al. 2021, in ``T`` steps, with rates 0.1 to 10: Diffusion-QL (arXiv 2208.06193)."""
    t = np.arange(1.0, steps + 1.0)
    return 1.0 - np.exp(-0.1 / steps - 0.5 * 9.9 * (2.0 * t - 1.0) / steps**2)


#: By name.
SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {"cosine": cosine, "linear": linear_betas, "vp": variance_preserving}
