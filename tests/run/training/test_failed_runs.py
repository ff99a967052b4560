"""Runs of a batch are independent: one that meets NaN is kept as it was, and is marked; the others are as if it had not."""

import functools
import json

import jax
import numpy as np
import pytest
from running import TINY, call, rows

from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import make
from rl_jax.errors import NonFinite
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.training.outcome import Failures

SMALL = PPOConfig(num_envs=4, rollout_length=8, epochs=1, minibatches=1, hidden=(8,), anneal=False)


@functools.cache
def programs(number):
    """The compiled programs of ``number`` runs: other learning rates are other arguments of them."""
    runs = CompiledRuns(stacked([1e-3] * number), list(range(number)), 4 * 8 * 6, 2, batched=True, rows=3)
    with jax.debug_key_reuse(False):
        runs.compile()
    return runs


def stacked(rates):
    trainers = [PPOConfig(**{**vars(SMALL), "learning_rate": rate}).trainer(make("CartPole-v1")) for rate in rates]
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x, np.float32) for x in leaves]), *trainers)


def batch(rates):
    of = programs(len(rates))
    # The check of reused keys takes both sides of a vmapped branch for used.
    with jax.debug_key_reuse(False):
        runs = of.with_trainer(stacked(rates), of.seeds, of.steps, of.rows, of.phase)
        state, failures, found = runs.init(), Failures([{"seed": seed} for seed in runs.seeds]), []
        for number in (2, 2, 2):
            before = jax.tree.map(np.asarray, runs.params(state))
            state, metrics = runs.advance(state, number, failures.frozen)
            failures.record(metrics, 0, 32, lambda at: {})
            failures.check("nowhere")
            found.append(metrics)
    return runs, state, failures, found, before


@pytest.mark.slow
def test_seven_of_eight_are_as_if_the_eighth_had_not_failed():
    rates = [1e-3] * 8
    _, whole, none, expected, _ = batch(rates)
    runs, state, failures, found, before = batch([*rates[:3], 1e30, *rates[4:]])
    assert not none.by_run and list(failures.by_run) == [3]
    others = [i for i in range(8) if i != 3]
    for a, b in zip(jax.tree.leaves(runs.params(whole)), jax.tree.leaves(runs.params(state)), strict=True):
        np.testing.assert_array_equal(a[others], b[others])
        assert np.isfinite(b[3]).all()  # kept as it was before
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(runs.params(state)), strict=True):
        np.testing.assert_array_equal(a[3], b[3])  # and learns nothing any more
    for a, b in zip(expected, found, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name][others], b[name][others], err_msg=name)


@pytest.mark.slow
def test_when_all_have_failed_there_is_nothing_to_go_on_with():
    with pytest.raises(NonFinite, match="all 8 runs have failed"):
        batch([1e30] * 8)


@pytest.mark.slow
def test_a_sweep_goes_on_without_its_failed_runs(tmp_path):
    """Rows, table, result and status say which; a resumed one does not meet it again."""
    options = ["sweep", "ppo", *TINY, "--learning-rate", "1e-3", "1e30", "--seeds", "2", "--no-anneal"]
    done = call(*options, "--out", tmp_path / "run")
    assert done.status == 4 and "2 of 4 runs failed" in done.err and "2 of 2 failed" in done.err
    assert done.err.count("; the others go on") == 2
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [(one["run"], one["learning_rate"]) for one in result["failed"]] == [(2, 1e30), (3, 1e30)]
    assert (result["seeds"], result["runs"]) == (2, 4) and result["eval_returns"][2:] == [None, None]
    marked = [row for row in rows(tmp_path / "run") if "failed" in row]
    assert len(marked) == 2 and all("NaN or infinity in" in row["failed"] for row in marked)
    last = [row for row in rows(tmp_path / "run") if row["steps"] == 4096]
    assert [row["run"] for row in last] == [0, 1]
    (tmp_path / "run" / "result.json").unlink()
    again = call("sweep", "ppo", "--resume", tmp_path / "run", "--quiet")
    assert again.status == 4 and "warning" not in again.err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["failed"] == result["failed"]
