"""The benchmark's machinery: what it counts, and that every suite runs. Nothing here looks at a clock."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import call, failed

from rl_jax.ops.arrays.product import product
from rl_jax.run.bench import report
from rl_jax.run.bench.flops import count
from rl_jax.run.bench.row import Row, finished
from rl_jax.run.bench.suites import SUITES

X, W = jnp.ones((8, 4)), jnp.ones((4, 16))
ONE = 2 * 8 * 4 * 16


def test_products_are_counted():
    assert count(lambda x, w: x @ w, X, W) == ONE
    assert count(product, X, W) == ONE
    assert count(jax.vmap(product, (0, None)), jnp.ones((3, 8, 4)), W) == 3 * ONE
    assert count(lambda x, w: jnp.tanh(x) + 1, X, W) == 0


def test_a_gradient_is_two_more_products():
    def loss(x, w):
        return jnp.sum(product(x, w) ** 2)

    assert count(jax.grad(loss, (0, 1)), X, W) == 3 * ONE


def test_loops_count_their_passes():
    def scanned(x, w):
        return jax.lax.scan(lambda c, _: (c + jnp.sum(x @ w), None), 0.0, None, length=7)[0]

    def looped(x, w, n):
        return jax.lax.fori_loop(0, n, lambda i, c: c + jnp.sum(x @ w), 0.0)

    def skipped(x, w):
        return jax.lax.cond(jnp.any(x > 2), lambda: x @ w, lambda: jnp.zeros((8, 16)))

    assert count(scanned, X, W) == 7 * ONE
    assert count(looped, X, W, jnp.int32(5), loops=5) == 5 * ONE
    assert count(skipped, X, W) == 0
    assert count(jax.jit(scanned), X, W) == 7 * ONE


def test_convolutions_are_counted():
    image, kernel = jnp.ones((2, 10, 10, 3)), jnp.ones((3, 3, 3, 5))
    numbers = jax.lax.conv_dimension_numbers(image.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))

    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(image, kernel, (1, 1), "VALID", dimension_numbers=numbers)

    assert count(convolve, image, kernel) == 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)


def test_a_row_follows_from_its_times():
    row = finished(Row("s", "c", steps=100), [0.5, 0.25, 1.0], 1e6, 8e6)
    assert (row.seconds_run, row.steps_per_second, row.spread) == (0.25, 400.0, 4.0)
    assert (row.flops, row.share) == (4e6, 0.5)
    assert finished(Row("s", "c", steps=1), [1.0], None, 1.0).share is None


def test_the_table_has_a_cell_for_every_heading():
    rows = [Row("train", "ppo", "CartPole-v1", "ppo", 64, 1, 64, 8192, flops=1e9, share=0.5, result=12.0), Row("envs", "x")]
    assert all(len(report.cells(row)) == len(report.HEADINGS) for row in rows)
    lines = report.table(rows).splitlines()
    assert len(lines) == 3
    assert "50%" in lines[1]


@pytest.mark.parametrize("suite", list(SUITES))
def test_every_suite_runs(suite, tmp_path):
    outcome = call("bench", suite, "--small", "--seconds", 0.01, "--out", tmp_path, "--quiet")
    assert outcome.status == 0, outcome.err
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["matmul_peak"] > 0
    assert content["versions"]["jax"] == jax.__version__
    assert len(content["rows"]) == outcome.result["rows"] > 0
    for row in content["rows"]:
        assert row["suite"] == suite
        assert row["seconds_run"] > 0
        assert row["steps"] > 0
        assert row["device"]
        assert np.isfinite(row["steps_per_second"])
    assert (tmp_path / f"{suite}.png").exists() == suite.startswith("scale")


def test_what_cannot_be_measured(tmp_path):
    failed(call("bench", "speed", "--out", tmp_path), "speed", "scale-envs")
    failed(call("bench", "envs", "--seconds", 0, "--out", tmp_path), "--seconds")
    failed(call("bench", "envs", "--minutes", 0, "--out", tmp_path), "--minutes")


def test_no_row_begins_after_its_time(tmp_path):
    """The first row is always measured; what is left out is said, also in the file."""
    outcome = call("bench", "train", "replay", "--small", "--seconds", 0.01, "--minutes", 1e-6, "--out", tmp_path, "--quiet")
    assert outcome.status == 0 and "train, replay are left out" in outcome.err
    content = json.loads((tmp_path / "bench.json").read_text())
    assert len(content["rows"]) == 1 and content["left_out"] == ["train", "replay"]


def test_training_is_profiled(tmp_path):
    arguments = ("train", "--small", "--seconds", 0.01, "--minutes", 1e-6, "--profile", "--quiet")
    assert call("bench", *arguments, "--out", tmp_path).status == 0
    assert list((tmp_path / "profiles" / "ppo").rglob("*.xplane.pb"))
