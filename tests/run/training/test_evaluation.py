"""Evaluations: a budget in steps, unfinished episodes count, and what is given up is made up for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import TINY, call, rows
from toy import Clock

import rl_jax as rl
from rl_jax.envs.limits import longest_episode
from rl_jax.loop.evaluate import play_episodes, start_episodes
from rl_jax.run.devices.evaluation import Scores
from rl_jax.run.options import RunOptions
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.run.training.outcome import add_scores, evaluation_text, score, summarise


@dataclasses.dataclass(frozen=True)
class Limit:
    """A trainer as far as a budget is concerned."""

    time_limit: int
    steps_per_update: int = 100
    env: object = dataclasses.field(default_factory=Clock)
    collects: bool = True

    def num_updates(self, steps):
        return -(-steps // self.steps_per_update)


@pytest.mark.parametrize(
    ("limit", "options", "expected"),
    [
        (500, {"steps": 500_000}, (64, 500, 500)),  # 50,000 steps lie between two evaluations
        (500, {"steps": 100_000}, (20, 500, 500)),
        (10_000, {"steps": 500_000}, (5, 10_000, 10_000)),
        (10_000, {"steps": 2_560}, (1, 260, 10_000)),  # not one fits: cut, but for the last
        (4_000, {"steps": 500_000, "checkpoints": 100}, (1, 4_000, 4_000)),
        (500, {"steps": 1_000, "eval_episodes": 7}, (7, 500, 500)),
        (500, {"steps": 500_000, "eval_max_steps": 50}, (64, 50, 50)),
    ],
)
def test_a_budget_is_as_many_steps_as_training_has(limit, options, expected):
    assert tuple(evaluation_budget(Limit(limit), RunOptions(env="x", **options))) == expected


def test_own_limits_are_known():
    """gymnax ends CartPole after 500 steps itself, brax leaves it to the loop, and nobody ends a bandit of trials."""
    assert longest_episode(rl.make("CartPole-v1")) == 500
    assert longest_episode(rl.make("brax/ant")) == 1000
    assert longest_episode(rl.make("trial/bandit")) is None
    shorter = rl.envs.adapt(rl.make("CartPole-v1"), rl.make("CartPole-v1").default_params.replace(max_steps_in_episode=7))
    assert longest_episode(shorter) == 7


def test_who_lives_on_is_not_worse():
    """One that dies at once with 55 against one that has 50 after a third of its time, and goes on."""
    dies = Scores(np.full((1, 4), 55.0), np.full((1, 4), 3), np.ones((1, 4), bool))
    lives = Scores(np.asarray([[50.0, 5000.0, 5000.0, 5000.0]]), np.full((1, 4), 9), np.asarray([[True, False, False, False]]))
    none = np.zeros(1, bool)
    assert score(lives, none) > score(dies, none)
    assert summarise(lives)["eval_return_mean"] == 3762.5 and summarise(lives)["eval_unfinished"] == 3


def test_episodes_without_a_number_are_counted_and_the_row_agrees_with_the_result():
    returns = np.asarray([[1.0, np.nan, 3.0, np.inf], [5.0, 6.0, 7.0, 9.0], [np.nan] * 4])
    scores = Scores(returns, np.full((3, 4), 9), np.ones((3, 4), bool))
    found, none = [{}, {}, {}], np.zeros(3, bool)
    add_scores(found, scores, none)
    assert [(row["eval/return"], row["eval/nonfinite"]) for row in found[:2]] == [(2.0, 2), (6.75, 0)]
    assert np.isnan(found[2]["eval/return"]) and found[2]["eval/nonfinite"] == 4
    summary = summarise(scores)
    assert (summary["eval_returns"], summary["eval_nonfinite"]) == ([2.0, 6.75, None], 6)
    assert "6 of 12 without a number left out" in evaluation_text(summary) and score(scores, none) is None
    alone = Scores(returns[:1], np.full((1, 4), 9), np.ones((1, 4), bool))
    assert summarise(alone)["eval_return_mean"] == 2 and summarise(alone)["eval_episodes"] == 4
    assert evaluation_text(summarise(alone)) == "2 (mean of 2 episodes, 2 of 4 without a number left out)"


@pytest.mark.slow
def test_episodes_played_in_stretches_are_the_same(cartpole):
    state = cartpole.init(cartpole.trainer, jax.random.key(0), 1000)

    @jax.jit
    def played(state, stops):
        playing = start_episodes(cartpole.trainer, state, jax.random.key(1), 8)
        for i in range(3):
            playing = play_episodes(cartpole.trainer, state, playing, stops[i])
        return playing.result()

    whole, parts = played(state, jnp.asarray([20, 20, 20])), played(state, jnp.asarray([3, 11, 20]))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_an_evaluation_that_was_given_up_is_made_up_for(tmp_path, monkeypatch):
    """A run stopped while it evaluates says so, is saved, and ends with the rows and the result of one that was not."""
    from rl_jax.run import stopping
    from rl_jax.run.devices import evaluation

    options = ["train", "ppo", *TINY, "--checkpoints", "4", "--quiet", "--time-limit", "20000", "--eval-max-steps", "40"]
    whole = call(*options, "--out", tmp_path / "whole")
    # A limit of which no evaluation comes to the end is no reason to have no numbers.
    assert all(row["eval/return"] > 0 for row in rows(tmp_path / "whole") if "eval/return" in row)
    monkeypatch.setattr(evaluation, "FIRST_STEPS", 2)
    watched, number = [], 15

    def watch(self, steps, limit, running):
        watched.append(steps)
        if len(watched) == 5:
            stopping.current().signal = number
        return bool(self.stop.signal)

    monkeypatch.setattr("rl_jax.run.training.evaluating.Evaluator._watch", watch)
    cut = call(*options, "--out", tmp_path / "cut")
    assert cut.status == 128 + number and "stopped by SIGTERM" in cut.err
    assert "eval/return" not in rows(tmp_path / "cut")[-1]
    done = call("train", "ppo", "--resume", tmp_path / "cut", "--quiet")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    for name in ("params_sha256", "eval_return_mean", "eval_episodes"):
        assert done.result[name] == whole.result[name]
