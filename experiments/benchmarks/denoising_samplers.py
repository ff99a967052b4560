"""Samples of a two-dimensional mixture by few and many steps of each sampler, with its exact denoiser.

Draws ``docs/assets/denoising_samplers.png``:

    python experiments/benchmarks/denoising_samplers.py

Nothing is trained, so all that differs from the truth is the sampler's. Seeded; some seconds on a CPU.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from rl_jax.ops.denoising import DDPM, EDM, Flow, Mixture
from rl_jax.run.report.plots import COLOURS

PLOT = Path(__file__).resolve().parents[2] / "docs" / "assets" / "denoising_samplers.png"
SAMPLES, STEPS = 2000, (1, 3, 10, 50)
ANGLES = np.linspace(0.0, 2.0 * np.pi, 6, endpoint=False) + np.pi / 2
#: Six modes on a circle, of two widths; the wide ones are drawn half as often.
RING = Mixture(
    np.float32(0.75 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)),
    np.float32([0.05, 0.12] * 3),
    np.float32([2 / 9, 1 / 9] * 3),
)
SMALL, CHAIN, KEY = EDM(sigma_min=0.005, sigma_max=2.0, rho=5.0), DDPM(100), jax.random.key(2)
#: The process, and its sampler ``(network, noise, steps)``.
SAMPLERS: dict[str, tuple[Any, Callable[..., jax.Array]]] = {
    "EDM, Euler": (SMALL, SMALL.euler),
    "EDM, Heun\n(two calls a step)": (SMALL, SMALL.heun),
    "DDPM, DDIM": (CHAIN, CHAIN.ddim),
    "DDPM, ancestral\n($\\eta = 1$)": (CHAIN, lambda network, noise, steps: CHAIN.ddim(network, noise, steps, 1.0, KEY)),
    "flow, Euler": (Flow(), Flow().euler),
}
#: Half of what is shown on either side.
SIDE = 1.3


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """The energy distance of two sets of points (Székely & Rizzo 2013): zero for one law."""

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a[:, None] - b[None], axis=-1).mean())

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def main() -> None:
    """Sample, and draw."""
    noise = jax.random.normal(jax.random.key(0), (SAMPLES, 2))
    truth = np.asarray(RING.draw(jax.random.key(1), SAMPLES))
    mpl.rcParams.update({"font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold"})
    figure, axes = plt.subplots(len(SAMPLERS), len(STEPS) + 1, figsize=(8.6, 9.0), layout="constrained")
    for row, (name, (process, sampler)) in enumerate(SAMPLERS.items()):
        network = RING.network(process)
        panels = {steps: np.asarray(jax.jit(lambda n, s=steps, f=sampler, a=network: f(a, n, s))(noise)) for steps in STEPS}
        for column, (steps, x) in enumerate([*panels.items(), (None, truth)]):
            axis = axes[row, column]
            one_point = np.ptp(x) < 0.1  # it would hardly be seen
            axis.scatter(
                *x.T, s=16 if one_point else 2, color="0.35" if steps is None else COLOURS[row], alpha=0.5, linewidths=0
            )
            axis.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), xticks=[], yticks=[], aspect="equal")
            axis.spines[:].set_color("0.8")
            if steps is not None:
                outside = float(np.mean(np.abs(x).max(axis=1) > SIDE))
                text = f"{distance(x, truth):.3f}" + (f"\n{outside:.0%} outside" if outside > 0.005 else "")
                back = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.8}
                axis.text(
                    0.97, 0.03, text, transform=axis.transAxes, ha="right", va="bottom", color="0.25", fontsize=8.5, bbox=back
                )
            if row == 0:
                axis.set_title("the truth" if steps is None else f"{steps} step{'s' * (steps > 1)}")
        axes[row, 0].set_ylabel(name)
    again = np.asarray(RING.draw(jax.random.key(3), SAMPLES))
    figure.supxlabel(
        f"numbers: energy distance to the truth; two draws of the truth have {distance(again, truth):.3f}", fontsize=10
    )
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
