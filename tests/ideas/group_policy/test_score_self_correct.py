"""Advantages of two attempts against the paper's two objectives, in loops."""

import jax.numpy as jnp
import numpy as np
import pytest
from answers import answers, gradient
from toy import context, rollout_of
from whole_columns import update

from rl_jax.ideas.group_policy.score_self_correct import AttemptKL, SelfCorrection
from rl_jax.losses.reference_kl import ReferenceKL

#: Rows: a prompt, two tokens of the first attempt, the instruction, two of the second. Columns: two groups of four.
FIRST, SECOND = [1, 0, 0, 1, 0, 0, 0, 0], [1, 1, 0, 0, 1, 0, 0, 0]


def two_attempts():
    own = np.zeros((6, 8), bool)
    own[[1, 2, 4, 5]] = True
    turn, correct = np.zeros((6, 8), np.int32), np.zeros((6, 8), bool)
    turn[4:], correct[2], correct[5] = 1, FIRST, SECOND
    rollout = rollout_of(np.zeros((6, 8)), own=own)
    return rollout.replace(info={"turn": jnp.asarray(turn), "correct": jnp.asarray(correct)})


@pytest.mark.parametrize(("progress", "shared", "stage"), [(0.2, 0.0, 1), (0.2, 1.0, 1), (0.5, 0.0, 2), (0.9, 1.0, 2)])
def test_each_attempt_is_paid_as_the_stage_says(progress, shared, stage):
    part = SelfCorrection(4, stage=0.5, alpha=10.0, strong=0.1, weak=0.01, shared=shared)
    _, rollout, _ = update(part, (), two_attempts(), context(progress=jnp.float32(progress)))
    pays = []
    for r1, r2 in zip(FIRST, SECOND, strict=True):
        bonus = 10.0 * (r2 - r1) if stage == 2 else 0.0
        pays.append((r1 + shared * (r2 + bonus) if stage == 2 else 0.0, r2 + bonus))
    for attempt, rows in enumerate([(1, 2), (4, 5)]):
        pay = np.array([one[attempt] for one in pays])
        expected = np.concatenate([pay[:4] - pay[:4].mean(), pay[4:] - pay[4:].mean()])
        for row in rows:
            np.testing.assert_allclose(rollout.extras["advantage"][row], expected, atol=1e-6)
            held = 0.1 if stage == 1 and attempt == 0 else 0.01
            np.testing.assert_allclose(rollout.extras["kl_weight"][row], held)


def test_the_divergence_is_weighted_step_by_step():
    logits, rollout = answers(shift=0.5)
    known = rollout.with_extras(reference_log_prob=rollout.extras["log_prob"])
    early = np.arange(6)[:, None] * np.ones((1, 20)) < 4
    weighted = [known.with_extras(kl_weight=jnp.asarray(one, jnp.float32)) for one in (early, ~early)]
    parts = [gradient(AttemptKL(), logits, one) for one in weighted]
    np.testing.assert_allclose(sum(parts), gradient(ReferenceKL(), logits, known), atol=1e-6)
    assert np.abs(parts[0]).max() > 1e-3
