"""What to do with a group of answers: policy gradients, cloning of the right ones, likelihood of the wrong ones, weights of tokens."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from studies.tokens import CURVES, LONG, MEASURES, SAMPLES, SHORT, SIZES, Setting, answers, arm, is_right, solve

import rl_jax as rl
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.reference import reference
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy._token_reward import TokenReward
from rl_jax.ideas.group_policy.nft_negative_aware import NegativeAware
from rl_jax.ideas.group_policy.oreal import OutcomeReward, oreal_experience
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.reference_kl import ReferenceKL
from rl_jax.networks.scorer import scorer_like
from rl_jax.networks.sequence import sequence_actor_critic
from rl_jax.run.claims import Gate, Study
from rl_jax.types import Spec

#: Train steps; and of policy gradients and of NFT, as in its published runs, 16 updates in each.
UPDATES, SIXTEEN = 60, {"epochs": 2, "minibatches": 8}
#: Chosen on tuning seeds from 1e-4, 3e-4 and 6e-4, for each family.
GRPO_RATE, NFT_RATE, OREAL_RATE, SCORER_RATE = 3e-4, 3e-4, 3e-4, 1e-3


def grouped_answers(setting: Setting, params: Any) -> tuple[Any, ...]:
    """Advantages within groups; every token counts alike."""
    return group_advantage(setting.answers), own_weight("token")


def scorer(setting: Setting) -> Any:
    """The token reward model's network: the policy's, with a number for each token."""
    world = setting.world
    spaces = world.observation_space(world.default_params), world.action_space(world.default_params)
    spec = Spec(*spaces, 1, world.own_limit + 1, whole=True)
    return scorer_like(sequence_actor_critic(spec, memory_width=setting.width, layers=setting.layers))


def pairs(setting: Setting, params: Any, weighted: bool = False) -> tuple[Any, ...]:
    """OREAL's: one right and one wrong answer of each group, a reference policy, and the token reward model."""
    model = TokenReward(scorer(setting), SCORER_RATE, params, freeze=10)
    return oreal_experience(setting.answers, *([model] if weighted else [])), reference()


def blame(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """:func:`~studies.tokens.solve`, and how well the scorer tells the first wrong step of wrong answers from their other steps."""
    rollout = answers(trainer, state, key, SAMPLES, greedy=False)
    model: TokenReward = trainer.experience.transforms[0].transforms[-1]
    tape = jnp.concatenate([rollout.obs[:1], rollout.next_obs])
    score = model.score(state.experience[0][-1].params, tape)
    step = rollout.info["step_end"] & ~is_right(rollout)
    wrong = step & ~rollout.info["step_ok"]
    first = wrong & (jnp.cumsum(wrong, axis=0) == 1)
    return solve(trainer, state, key) | {"importance": area_under_curve(-score, first, step & ~first)}


def area_under_curve(score: jax.Array, yes: jax.Array, no: jax.Array) -> jax.Array:
    """The probability that a random item of ``yes`` has a higher score than one of ``no``; 1/2 if there are none."""
    known = jnp.where(yes | no, score, -jnp.inf).reshape(-1)
    place = jnp.argsort(jnp.argsort(known)) - jnp.sum(~(yes | no))  # among the items of both, from 0
    many, others = jnp.sum(yes), jnp.sum(no)
    above = jnp.sum(jnp.where(yes.reshape(-1), place, 0)) - many * (many - 1) / 2
    return jnp.where((many > 0) & (others > 0), above / jnp.maximum(many * others, 1), 0.5)


def policy_gradient(term: Any, rate: float, **options: Any) -> Callable[..., Any]:
    """GRPO, NFT or RFT on the short problems."""
    return arm(SHORT, {"policy": term}, grouped_answers, updates=UPDATES, learning_rate=rate, **SIXTEEN | options)


def oreal(setting: Setting, negative: float, weighted: bool = False, rate: float = OREAL_RATE) -> Callable[..., Any]:
    """OREAL, or parts of it; each rollout is used once."""
    return arm(
        setting,
        {"policy": OutcomeReward(negative, weighted), "reference": ReferenceKL()},
        partial(pairs, weighted=weighted),
        weights={"reference": 0.01},
        updates=UPDATES,
        question=blame if weighted else solve,
        learning_rate=rate,
        epochs=1,
        minibatches=4,
    )


LOST = {"pass@1": 0.0, "greedy": 0.0, "pass@16": 0.0, "policy/entropy": 0.0}
STUDY = Study(
    name="answers",
    environment=SIZES,
    arms={
        "base": policy_gradient(ClippedTokens(), 0.0),
        "GRPO": policy_gradient(ClippedTokens(), GRPO_RATE),
        "RFT": policy_gradient(NegativeAware(negative=0.0, hard=0.0), NFT_RATE),
        "NFT": policy_gradient(NegativeAware(), NFT_RATE, diverged=LOST),
        "NFT, no bound": policy_gradient(NegativeAware(bound=1e-6), NFT_RATE, diverged=LOST),
        "positives": oreal(SHORT, 0.0),
        "positives and negatives": oreal(SHORT, 0.5),
        "long base": oreal(LONG, 0.5, rate=0.0),
        "long, without token weights": oreal(LONG, 0.5),
        "long, with token weights": oreal(LONG, 0.5, weighted=True),
    },
    measures=MEASURES
    | {"importance": "probability that the first wrong step of a wrong answer is scored below another step of such answers"},
    curves=CURVES,
    gates=(
        Gate("the base is neither lost nor done", "pass@1", "base", 0.1, 0.4),
        Gate("GRPO learns", "pass@1", "GRPO", 0.15, baseline="base"),
        Gate("and greedily does not get worse", "greedy", "GRPO", 0.0, baseline="base"),
        Gate("the long base is neither lost nor done", "pass@1", "long base", 0.1, 0.4),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    departures="Learning rates were chosen for GRPO, NFT and OREAL from three each on tuning seeds. Every token of the policy "
    "counts alike.",
    minutes=15,
)
