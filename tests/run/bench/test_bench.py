"""The benchmark's machinery: what it counts, and that every suite runs. Nothing here looks at a clock."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import call, failed

from rl_jax.ops.arrays.product import product
from rl_jax.run.bench import devices, parts, report, scale_seeds, suites
from rl_jax.run.bench.apart import measured_apart
from rl_jax.run.bench.flops import count
from rl_jax.run.bench.row import Row, Setup, finished
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


@pytest.fixture
def traces_kept(monkeypatch):
    """The benchmark clears jax's caches to time compiling from a cold start; other tests of this process need what is in them."""
    monkeypatch.setattr(jax, "clear_caches", lambda: None)


def rows_of(folder, *suites):
    """The rows that ``rl-jax bench --small`` wrote, each checked."""
    outcome = call("bench", *suites, "--small", "--seconds", 0.01, "--out", folder, "--quiet")
    assert outcome.status == 0, outcome.err
    content = json.loads((folder / "bench.json").read_text())
    assert content["matmul_peak"] > 0
    assert content["versions"]["jax"] == jax.__version__
    assert len(content["rows"]) == outcome.result["rows"] > 0
    for row in content["rows"]:
        assert row["suite"] in suites
        assert row["seconds_run"] > 0
        assert row["steps"] > 0
        assert row["device"]
        assert np.isfinite(row["steps_per_second"])
    for suite in suites:
        assert (folder / f"{suite}.png").exists() == suite.startswith("scale")
    return content["rows"]


MEASURED = ("envs", "rollout", "update", "train", "replay", "start")


@pytest.mark.slow
@pytest.mark.parametrize("suite", MEASURED)
def test_every_suite_runs(suite, tmp_path, traces_kept, monkeypatch):
    if suite == "update":  # of the two, the one whose number of learning steps is not that of train steps
        monkeypatch.setattr(suites, "_cases", lambda setup: ("dqn",))
    rows_of(tmp_path, suite)


#: What a suite varies, as a field of its rows, over its full range.
SCALED = {
    "scale-envs": ("envs", [4**i for i in range(1, 9)]),
    "scale-length": ("length", [8, 32, 128, 512, 1024]),
    "scale-width": ("width", [32, 64, 128, 256, 512, 1024]),
    "scale-replay": ("capacity", [10_000, 100_000, 1_000_000, 10_000_000]),
}


@pytest.mark.parametrize("suite", SCALED)
def test_a_scaling_suite_varies_its_size(suite, monkeypatch):
    """Each row is one of ``train`` or ``replay``, which are measured above: here its trainer is made in the full size, and not run."""

    def made(setup, suite, case, **changes):
        trainer, row = suites._trainer(case, setup, **changes)
        assert (trainer.num_envs, trainer.rollout_length) == (row.envs, row.length)
        return dataclasses.replace(row, suite=suite)

    monkeypatch.setattr(suites, "_train", made)
    monkeypatch.setattr(parts, "_buffer", lambda setup, suite, case, capacity, options: [Row(suite, case, capacity=capacity)])
    name, sizes = SCALED[suite]
    rows = list(SUITES[suite](Setup(1.0, 1.0)))
    assert [getattr(row, name) for row in rows] == sizes
    assert {row.suite for row in rows} == {suite}


@pytest.mark.slow
def test_suites_of_many_devices_have_processes_of_their_own(tmp_path, monkeypatch):
    """Those with two devices are started. One device is the case of every other suite: its rows are made up."""

    def with_two(module, devices, setup, *words):
        if devices > 1:
            return measured_apart(module, devices, setup, *words)
        named, case = ("scale-seeds", "one device") if module.endswith("seeds") else ("scale-devices", "envs")
        return finished(Row(named, case, envs=8, steps=1, seconds_collect=0.1, seconds_processor=0.1), [1.0], None, 0.0)

    monkeypatch.setattr(scale_seeds, "measured_apart", with_two)
    monkeypatch.setattr(scale_seeds, "cores_that_divide", lambda runs: runs)
    monkeypatch.setattr(devices, "measured_apart", with_two)
    rows = rows_of(tmp_path, "scale-seeds", "scale-devices")
    assert [(row["suite"], row["devices"]) for row in rows] == [
        *[("scale-seeds", 1)] * 2, ("scale-seeds", 2), ("scale-devices", 1), ("scale-devices", 2)
    ]  # fmt: skip
    assert {*MEASURED, *SCALED, "scale-seeds", "scale-devices"} == set(SUITES)


def test_what_cannot_be_measured(tmp_path):
    failed(call("bench", "speed", "--out", tmp_path), "speed", "scale-envs")
    failed(call("bench", "envs", "--seconds", 0, "--out", tmp_path), "--seconds")
    failed(call("bench", "envs", "--minutes", 0, "--out", tmp_path), "--minutes")


@pytest.mark.slow
def test_no_row_begins_after_its_time(tmp_path, traces_kept):
    """The first row is always measured, and profiled if asked; what is left out is said, also in the file."""
    arguments = ("train", "replay", "--small", "--seconds", 0.01, "--minutes", 1e-6, "--profile", "--quiet")
    outcome = call("bench", *arguments, "--out", tmp_path)
    assert outcome.status == 0 and "train, replay are left out" in outcome.err
    content = json.loads((tmp_path / "bench.json").read_text())
    assert len(content["rows"]) == 1 and content["left_out"] == ["train", "replay"]
    assert list((tmp_path / "profiles" / "ppo").rglob("*.xplane.pb"))
