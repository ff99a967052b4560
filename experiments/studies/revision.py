"""Revision: a second answer, with no word on whether the one before was right. When is it better?"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from studies.tokens import PROBLEMS, SAMPLES, Setting, answers, arm

import rl_jax as rl
from rl_jax.envs.tokens import Attempts, Chain
from rl_jax.envs.tokens.attempts import right_attempts
from rl_jax.experience import Transform
from rl_jax.experience.reference import reference
from rl_jax.experience.selection.subsets import keep_steps
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.score_self_correct import AttemptKL, SelfCorrection
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.run.claims import Axes, Gate, Outcome, Study, Work
from rl_jax.types import Context, Metrics, PyTree, Rollout

TASK = Chain(operands=3, slip=0.2, misconception=0.6)
TWO = Setting(Attempts(TASK, 2, "revise"), prompts=32, clone_batch=128)
#: Train steps, and learning rates: of SCoRe and its naive form, and of cloning of corrections.
UPDATES, RATE, CORRECTION_RATE = 80, 3e-4, 1e-4


@struct.dataclass
class Corrections(Transform):
    """Learns from second attempts that are right after a wrong first one."""

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        first, second = right_attempts(rollout, 2)
        return state, keep_steps(rollout, (rollout.info["turn"] == 1) & second & ~first), {}


def corrected(setting: Setting, params: Any, **options: Any) -> tuple[Transform, ...]:
    """Advantages of two attempts."""
    return SelfCorrection(setting.answers, **options), own_weight(), reference(params)


def cloned(setting: Setting, params: Any) -> tuple[Transform, ...]:
    """Right second attempts."""
    return own_weight(), Corrections()


def revise(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """What becomes of fresh problems in two attempts."""
    rollout = answers(trainer, state, key, SAMPLES, greedy=False)
    right = right_attempts(rollout, 2)
    rate = jnp.mean(right.astype(jnp.float32), axis=1)
    return {
        "t1": rate[0],
        "last": rate[-1],
        "delta": rate[-1] - rate[0],
        "fixed": jnp.mean((right[-1] & ~right[0]).astype(jnp.float32)),
        "kept": -jnp.mean((right[0] & ~right[-1]).astype(jnp.float32)),
        "right": rate,
    }


def score(stage: float = 0.5, alpha: float = 10.0, shared: float = 0.0, **options: Any) -> Callable[[Work], Outcome]:
    """SCoRe, or parts of it."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "epochs": 1, "minibatches": 4}
    terms = {"policy": ClippedTokens(), "reference": AttemptKL()}
    experience = partial(corrected, stage=stage, alpha=alpha, shared=shared)
    return arm(TWO, terms, experience, question=revise, **usual | options)


STUDY = Study(
    name="revision",
    environment="Chains of three digits with sums, differences and products modulo 10, written result by result in two attempts. "
    "After each the environment writes '?', whether it was right or wrong. The policy is a transformer of "
    "two layers of 32 units; that of each seed begins as a clone of a demonstrator that takes six of ten products for one more than "
    "they are, replaces a fifth of its results by random digits, and revises without regard to what it has answered. Each train "
    f"step has eight episodes of each of {TWO.prompts} fresh problems.",
    arms={
        "base": score(learning_rate=0.0, updates=1),
        "cloning of corrections": arm(
            TWO,
            {"policy": NegativeLogLikelihood()},
            cloned,
            updates=UPDATES,
            question=revise,
            learning_rate=CORRECTION_RATE,
        ),
        "naive": score(0.0, 0.0),
        "without stage I": score(0.0),
        "without bonus": score(alpha=0.0),
        "SCoRe": score(),
        "SCoRe, bonus shared": score(shared=1.0),
    },
    measures={
        "t1": f"share of right first answers, {SAMPLES} episodes of each of {PROBLEMS} fresh problems",
        "last": "share of right last answers",
        "delta": "share of right last answers minus that of right first answers",
        "fixed": "share of episodes with a wrong first and a right last answer",
        "kept": "share of episodes with a right first and a wrong last answer, negated",
        "area": "share of right last answers sampled in training, its mean over training",
    },
    curves={
        "right": Axes("attempts", "right answers"),
        "episode/return": Axes("environment steps", "right last answers, sampled"),
        "policy/entropy": Axes("environment steps", "entropy of a token that is learned from, nats"),
    },
    gates=(
        Gate("the base has room", "t1", "base", 0.1, 0.5),
        Gate("two attempts are learned from", "last", "naive", 0.1, baseline="base"),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    departures="Arithmetic and a network of 30 thousand parameters instead of a language model.",
    minutes=8,
)
