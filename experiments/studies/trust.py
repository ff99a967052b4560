"""A judge of the reasoning that is wrong about some problems: what it does to what is learned, and how far it is to be trusted."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from studies.tokens import CURVES, MEASURES, SAMPLES, Setting, answers, arm, is_right

import rl_jax as rl
from rl_jax.envs.tokens import Chain
from rl_jax.experience import Transform
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.trust_grpo import TrustedScore
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.ops.groups import episode_mean
from rl_jax.run.claims import Gate, Study
from rl_jax.types import Context, Metrics, PyTree, Rollout

#: Products modulo 10 forget: an even digit or a 5 hides an error before it, so that right answers often have wrong reasons.
TASK = Chain(operands=5, operators="x", slip=0.25, misconception=0.5)
SETTING = Setting(TASK, prompts=32, clone_steps=1000, clone_batch=128)
UPDATES, RATE = 40, 6e-4
#: Problems that begin with one of these digits are marked: the judge is wrong about them.
MARKED = 3
#: Never.
NEVER = 1e30


def is_marked(rollout: Rollout) -> jax.Array:
    """Whether each column's problem ``[N]`` is marked."""
    return rollout.env_state.problem.hidden.digits[0, :, 0] < MARKED


def validity(rollout: Rollout, own: jax.Array) -> jax.Array:
    """The share of right results among those that each answer ``[N]`` has."""
    return episode_mean(rollout.info["step_ok"].astype(jnp.float32), own & rollout.info["step_end"])


@struct.dataclass
class RuleJudge(Transform):
    """Adds ``extras["score"]`` ``[T, N]``: the share of right results; with ``inverted=1`` one minus it on marked problems."""

    inverted: Any = 1.0

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        score = validity(rollout, rollout.extras["own"])
        score = jnp.where((self.inverted > 0) & is_marked(rollout), 1.0 - score, score)
        return state, rollout.with_extras(score=jnp.broadcast_to(score, rollout.reward.shape)), {}


def judged(setting: Setting, params: Any, inverted: float, **options: Any) -> tuple[Transform, ...]:
    """GRPO on outcomes and what is paid for the score."""
    return RuleJudge(inverted), TrustedScore(setting.answers, **options), group_advantage(setting.answers), own_weight()


def split(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """How many fresh problems are solved, marked ones apart, and how many right answers have a valid scratch."""
    samples, greedy = (answers(trainer, state, key, size, is_greedy) for size, is_greedy in ((SAMPLES, False), (1, True)))
    right, marked = is_right(samples), is_marked(samples)
    score = validity(samples, samples.info["own"])
    return {
        "pass@1": jnp.mean(right.astype(jnp.float32)),
        "greedy": jnp.mean(is_right(greedy).astype(jnp.float32)),
        "marked": jnp.mean(right, where=marked),
        "unmarked": jnp.mean(right, where=~marked),
        "valid": jnp.mean(score == 1.0, where=right),
        "scratch": jnp.mean(score),
    }


def learned(alpha: float = 0.3, inverted: float = 1.0, trusts: float = 1.0, time: float = NEVER, **options: Any) -> Any:
    """An arm; with ``alpha=0`` outcomes alone."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "question": split, "metrics": ("trust/gamma",)}
    experience = partial(judged, inverted=inverted, alpha=alpha, trusts=trusts, time=time)
    return arm(SETTING, {"policy": ClippedTokens()}, experience, **usual | options)


#: Of the annealing: a third of training, as published (500 of 1500 steps).
FADES = UPDATES / 3
STUDY = Study(
    name="trust",
    environment="Products of five digits modulo 10, written result by result by a transformer of two layers of 32 units; an error is "
    "often forgotten later, as a product with 0 or 5 is the same of many digits. The base policy of each seed clones a "
    "demonstrator that takes half of the products for one more than they are and replaces a quarter of its results by "
    "random digits. The judge is a rule: it scores an answer by the share of its results that follow from what stands "
    "before them, and problems that begin with 0, 1 or 2 (three of ten) by one minus that. Each train step has eight "
    "answers to each of 32 fresh problems; "
    f"{UPDATES} train steps.",
    arms={
        "base": learned(0.0, learning_rate=0.0),
        "outcome only": learned(0.0),
        "no trust": learned(trusts=0.0),
        "trust": learned(),
        "trust, annealed": learned(time=FADES),
        "perfect judge, no trust": learned(inverted=0.0, trusts=0.0),
        "perfect judge, trust": learned(inverted=0.0),
    },
    measures={
        "pass@1": MEASURES["pass@1"],
        "greedy": MEASURES["greedy"],
        "area": MEASURES["area"],
        "policy/entropy": MEASURES["policy/entropy"],
        "marked": "share of right answers to problems about which the judge is wrong",
        "unmarked": "share of right answers to the other problems",
        "valid": "share of right answers all of whose steps are right",
        "scratch": "share of right steps in an answer",
    },
    curves=CURVES,
    gates=(
        Gate("the base has room", "pass@1", "base", 0.1, 0.5),
        Gate("GRPO learns", "pass@1", "outcome only", 0.1, baseline="base"),
        Gate("right answers have wrong reasons", "valid", "outcome only", high=0.9),
    ),
    seeds=tuple(range(100, 110)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    minutes=8,
)
