"""How time and memory grow: ``a + b x``, fitted to what ``rl-jax bench`` measured, and a plot of both.

    rl-jax bench scale-envs scale-length scale-seeds scale-width scale-replay --out bench/cost
    python experiments/benchmarks/cost_model.py bench/cost/bench.json

The fit makes relative errors small, so that the small end counts as much as the large one; neither number may be negative. It is
an account of these measurements on that machine, and says how far it is off.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from rl_jax.run.bench.report import VARIED
from rl_jax.run.report.plots import COLOURS

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PLOT = ROOT / "experiments" / "results" / "cost_model.json", ROOT / "docs" / "assets" / "cost_model.png"


def fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """``a, b >= 0`` of ``a + b x`` with the least squared relative error."""
    features = np.stack([np.ones_like(x), x], axis=1) / y[:, None]
    best, least = (0.0, 0.0), np.inf
    for columns in ([0, 1], [1], [0]):
        found = np.zeros(2)
        found[columns] = np.linalg.lstsq(features[:, columns], np.ones(len(y)), rcond=None)[0]
        error = float(np.sum((features @ found - 1.0) ** 2))
        if (found >= 0).all() and error < least:
            best, least = (float(found[0]), float(found[1])), error
    return best


def model(rows: list[dict], name: str) -> dict:
    """What was measured of one suite, and both fits."""
    power = 2 if name == "width" else 1
    x = np.array([row[name] for row in rows], float)
    result: dict = {"varied": name, "power": power, "x": x.tolist()}
    for what, field in (("seconds", "seconds_run"), ("bytes", "bytes_peak")):
        y = np.array([row[field] for row in rows], float)
        a, b = fit(x**power, y)
        off = np.abs((a + b * x**power) / y - 1.0)
        result[what] = {
            "measured": y.tolist(),
            "a": a,
            "b": b,
            "mean_error": float(off.mean()),
            "worst_error": float(off.max()),
        }
    return result


def draw(models: dict[str, dict], device: str) -> None:
    """Time above, memory below, one column for each thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(models), figsize=(3.1 * len(models), 5.6), squeeze=False)
    for column, (suite, about) in enumerate(models.items()):
        x = np.array(about["x"])
        fine = np.geomspace(x.min(), x.max(), 100)
        for row, (what, scale, label) in enumerate((("seconds", 1e3, "ms"), ("bytes", 2**-20, "MiB"))):
            one, plot = about[what], axes[row, column]
            plot.loglog(x, scale * np.array(one["measured"]), "o", color=COLOURS[row])
            plot.loglog(fine, scale * (one["a"] + one["b"] * fine ** about["power"]), "--", color=COLOURS[row])
            plot.set_xlabel(VARIED[suite][1])
            plot.set_ylabel(label)
            plot.grid(alpha=0.3)
    figure.suptitle(f"Time of a train step and memory of its program ({device}); dashed: the fit")
    figure.tight_layout()
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path, help="a bench.json with the suites above")
    content = json.loads(parser.parse_args().bench.read_text())
    models = {}
    for suite, (name, _) in VARIED.items():
        cases = [
            row for row in content["rows"] if row["suite"] == suite and row["devices"] == 1 and not row["case"].endswith(" add")
        ]
        if len(cases) > 2:
            models[suite] = model(cases, name)
    RESULTS.write_text(
        json.dumps(
            {"experiment": "cost_model", "device": content["device"], "models": models, "rows": content["rows"]}, indent=1
        )
        + "\n"
    )
    draw(models, content["device"])
    print(f"{'grows':28} {'time: a':>10} {'b':>10} {'off by':>7} {'memory: a':>12} {'b':>10} {'off by':>7}")
    for suite, about in models.items():
        s, m = about["seconds"], about["bytes"]
        word = VARIED[suite][1] + (" (squared)" if about["power"] == 2 else "")
        print(
            f"{word:28} {1e3 * s['a']:8.2f}ms {1e6 * s['b']:8.3f}us {s['mean_error']:7.0%} "
            f"{m['a'] / 2**20:9.2f}MiB {m['b']:9.1f}B {m['mean_error']:7.0%}"
        )
