"""Step rewards against a slow model, the bounds that they have, and the advantages that they add."""

import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of

from rl_jax.ideas.reward_design.pr_clip_delta import StepRewards, step_rewards

SIZE, COLUMNS, LENGTH = 3, 6, 7


@pytest.fixture(scope="module")
def made():
    """Judgements ``[T, N]``, and where steps end: two groups of three answers, some with gaps between steps, one without any."""
    rng = np.random.default_rng(0)
    step = rng.random((LENGTH, COLUMNS)) < 0.6
    step[:, 1] = False
    return rng.random((LENGTH, COLUMNS)).astype(np.float32), step


def slow(judged, step, clip, delta):
    reward = np.zeros(judged.shape)
    for column in range(COLUMNS):
        group = slice(column // SIZE * SIZE, column // SIZE * SIZE + SIZE)
        eta = judged[:, group][step[:, group]].mean()
        rows = np.flatnonzero(step[:, column])
        values = [min(judged[row, column] - eta, 0) if clip else judged[row, column] for row in rows]
        for number, row in enumerate(rows):
            last = number == len(rows) - 1
            reward[row, column] = values[number] - (0 if last or not delta else values[number + 1])
    return reward


@pytest.mark.parametrize("clip", [0, 1])
@pytest.mark.parametrize("delta", [0, 1])
def test_step_by_step(made, clip, delta):
    np.testing.assert_allclose(step_rewards(*map(jnp.asarray, made), SIZE, clip, delta), slow(*made, clip, delta), atol=1e-6)


def test_what_can_be_earned_is_bounded():
    """Ten idle steps after a right one: raw rewards grow with their number, clipped ones never pay, differences pay the first step."""
    judged = jnp.concatenate([jnp.full((1, 2), 0.7), jnp.full((10, 2), 0.9)])
    step = jnp.arange(11)[:, None] < jnp.array([[3, 11]])
    for clip, delta, short, long in ((0, 0, 2.5, 9.7), (0, 1, 0.7, 0.7)):
        np.testing.assert_allclose(step_rewards(judged, step, 2, clip, delta).sum(0), [short, long], rtol=1e-5)
    eta = (0.7 * 2 + 0.9 * 12) / 14
    np.testing.assert_allclose(step_rewards(judged, step, 2, 1, 0).sum(0), [0.7 - eta] * 2, rtol=1e-4)
    np.testing.assert_allclose(step_rewards(judged, step, 2, 1, 1).sum(0), [0.7 - eta] * 2, rtol=1e-4)


def test_advantages_are_those_of_the_others_at_the_same_position(made):
    judged, step = made
    own = np.ones_like(step)
    own[0] = False
    outcome = np.full(step.shape, 0.25, np.float32)
    rollout = rollout_of(np.zeros(step.shape), judged=judged, own=own, advantage=outcome).replace(
        info={"step_end": jnp.asarray(step)}
    )
    found = StepRewards(SIZE, alpha=2.0, clip=1.0, delta=0.0).update((), rollout, context())[1].extras["advantage"]
    reward = slow(judged, step & own, 1, 0)
    to_go = np.cumsum(reward[::-1], 0)[::-1]
    for column in range(COLUMNS):
        others = [i for i in range(column // SIZE * SIZE, column // SIZE * SIZE + SIZE) if i != column]
        np.testing.assert_allclose(
            found[:, column], 0.25 + 2 * (to_go[:, column] - to_go[:, others].mean(1)), rtol=1e-4, atol=1e-5
        )
    found = StepRewards(SIZE, alpha=0.0).update((), rollout, context())[1].extras["advantage"]
    np.testing.assert_array_equal(found, outcome)
