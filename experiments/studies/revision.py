"""Revision: a second answer, and more, with no word on whether the one before was right. When is it better?"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from studies.again import once
from studies.tokens import PROBLEMS, SAMPLES, Setting, answers, arm

import rl_jax as rl
from rl_jax.curricula.prompts import Prompts
from rl_jax.envs.tokens import Attempts, Chain
from rl_jax.envs.tokens.attempts import attempted_answers, right_attempts
from rl_jax.experience import Transform
from rl_jax.experience.reference import reference
from rl_jax.experience.selection.subsets import keep_steps
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.score_self_correct import AttemptKL, SelfCorrection
from rl_jax.ideas.meta_rl.rise_introspection import BestAttempts, ImprovedAttempts
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.run.claims import Axes, Gate, Outcome, Study, Work
from rl_jax.types import Context, Metrics, PyTree, Rollout

TURNS = 5
TASK = Chain(operands=3, slip=0.2, misconception=0.6)
MANY = Setting(Attempts(TASK, TURNS, "revise"), prompts=32, clone_batch=128)
TWO = Setting(Attempts(TASK, 2, "revise"), prompts=32, clone_batch=128)
#: Train steps of two attempts; of five, in two rounds each.
UPDATES, ROUNDS = 80, 80
#: Learning rates: of SCoRe and its naive form, of cloning of corrections, and of RISE and its single-turn form.
RATE, CORRECTION_RATE, CLONING_RATE = 3e-4, 1e-4, 1e-3


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


def best(setting: Setting, params: Any, **options: Any) -> tuple[Transform, ...]:
    """The best of several attempts, and those that came before."""
    return (BestAttempts(setting.answers, TURNS, **options),)


def two_rounds(setting: Setting, params: Any, first: int, last: int) -> dict[str, Any]:
    """Attempts, then several at what the first of them left."""
    return {"curriculum": ImprovedAttempts(Prompts(setting.world, setting.answers), TURNS, first, last), "rounds": 2}


def votes(answer: jax.Array, truth: jax.Array) -> jax.Array:
    """How often the most frequent of ``answer`` ``[K, N]`` is ``truth`` ``[N]``, of those equally frequent any: ``[N]``."""
    count = jnp.sum(answer[..., None] == jnp.arange(10), axis=0)
    most = (count == jnp.max(count, axis=-1, keepdims=True)) & (count > 0)
    return jnp.take_along_axis(most, truth[:, None], axis=1)[:, 0] / jnp.maximum(jnp.sum(most, axis=1), 1)


def revise(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array, turns: int) -> dict[str, jax.Array]:
    """What becomes of fresh problems, in so many attempts whatever came before."""
    rollout = answers(trainer, state, key, SAMPLES, greedy=False)
    right, answer = right_attempts(rollout, turns), attempted_answers(rollout, turns)
    truth = rollout.env_state.problem.hidden.answer[0]
    parallel = answer[0].reshape(PROBLEMS, SAMPLES)[:, :TURNS].T
    rate = jnp.mean(right.astype(jnp.float32), axis=1)
    return {
        "t1": rate[0],
        "last": rate[-1],
        "delta": rate[-1] - rate[0],
        "fixed": jnp.mean((right[-1] & ~right[0]).astype(jnp.float32)),
        "kept": -jnp.mean((right[0] & ~right[-1]).astype(jnp.float32)),
        "voted": jnp.mean(votes(answer, truth)),
        "parallel": jnp.mean(votes(parallel, truth[::SAMPLES])),
        "any": jnp.mean(jnp.any(right, axis=0).astype(jnp.float32)),
        "right": rate,
    }


def score(stage: float = 0.5, alpha: float = 10.0, shared: float = 0.0, **options: Any) -> Callable[[Work], Outcome]:
    """SCoRe, or parts of it."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "epochs": 1, "minibatches": 4}
    terms = {"policy": ClippedTokens(), "reference": AttemptKL()}
    experience = partial(corrected, stage=stage, alpha=alpha, shared=shared)
    return arm(TWO, terms, experience, question=partial(revise, turns=2), **usual | options)


def rise(first: int, last: int, failures: float = 1.0, **options: Any) -> Callable[[Work], Outcome]:
    """RISE, or parts of it."""
    usual: dict[str, Any] = {"updates": ROUNDS, "learning_rate": CLONING_RATE}
    return arm(
        MANY,
        {"policy": NegativeLogLikelihood()},
        partial(best, first=first, last=last, failures=failures),
        question=partial(revise, turns=TURNS),
        parts=partial(two_rounds, first=first, last=last),
        **usual | options,
    )


def independent(work: Work, policy: Callable[[Work], Outcome]) -> Outcome:
    """The same policy, whose five first answers vote in place of five attempts that follow one another."""
    outcome = once(work, policy)
    return replace(outcome, values=outcome.values | {"voted": outcome.values["parallel"]})


SINGLE = rise(0, 0)
STUDY = Study(
    name="revision",
    environment="Chains of three digits with sums, differences and products modulo 10, written result by result in two attempts "
    "(SCoRe) or five (RISE). After each the environment writes '?', whether it was right or wrong. The policy is a transformer of "
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
            question=partial(revise, turns=2),
            learning_rate=CORRECTION_RATE,
        ),
        "naive": score(0.0, 0.0),
        "without stage I": score(0.0),
        "without bonus": score(alpha=0.0),
        "SCoRe": score(),
        "SCoRe, bonus shared": score(shared=1.0),
        "base of five": rise(1, 1, learning_rate=0.0, updates=2),
        "single-turn": partial(once, policy=SINGLE),
        "single-turn, independent": partial(independent, policy=SINGLE),
        "successes alone": rise(1, 2, 0.0),
        "RISE, one round": rise(1, 1),
        "RISE": rise(1, 2),
    },
    measures={
        "t1": f"share of right first answers, {SAMPLES} episodes of each of {PROBLEMS} fresh problems",
        "last": "share of right last answers",
        "delta": "share of right last answers minus that of right first answers",
        "fixed": "share of episodes with a wrong first and a right last answer",
        "kept": "share of episodes with a right first and a wrong last answer, negated",
        "voted": "share of right answers by the majority of an episode's five",
        "parallel": "share of right answers by the majority of five independent first answers",
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
        Gate("the base of five has room", "t1", "base of five", 0.1, 0.5),
        Gate("cloning of the best works", "t1", "single-turn", 0.1, baseline="base of five"),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    departures="Arithmetic and a network of 30 thousand parameters instead of a language model.",
    minutes=16,
)
