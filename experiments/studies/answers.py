"""What to do with a group of answers: policy gradients, cloning of the right ones, likelihood of the wrong ones, weights of tokens."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from studies.tokens import CURVES, MEASURES, SAMPLES, Setting, answers, arm, is_right, solve

import rl_jax as rl
from rl_jax.envs.tokens import Chain
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

SHORT = Setting(Chain(operands=4, slip=0.25, misconception=0.6))
LONG = Setting(Chain(operands=6, slip=0.1, misconception=0.6), prompts=32)
#: Chosen on tuning seeds from 1e-4, 3e-4 and 6e-4, for each family.
GRPO_RATE, NFT_RATE, OREAL_RATE, SCORER_RATE = 3e-4, 3e-4, 3e-4, 1e-3


def grouped_answers(setting: Setting, params: Any, scale: str = "std", weight: str = "token") -> tuple[Any, ...]:
    """Advantages within groups; every token counts alike."""
    return group_advantage(setting.answers, scale=scale), own_weight(weight)


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


def nft(rate: float = NFT_RATE, term: NegativeAware | None = None, **options: Any) -> Callable[..., Any]:
    """NFT, or RFT, whose wrong answers have weight 0 and whose prompts count alike."""
    return arm(SHORT, {"policy": term or NegativeAware()}, grouped_answers, learning_rate=rate, **options)


def grpo(setting: Setting = SHORT, rate: float = GRPO_RATE, **options: Any) -> Callable[..., Any]:
    """GRPO, with options of its experience."""
    return arm(setting, {"policy": ClippedTokens()}, partial(grouped_answers, **options), learning_rate=rate)


def oreal(
    setting: Setting, negative: float, weighted: bool = False, rate: float = OREAL_RATE, **options: Any
) -> Callable[..., Any]:
    """OREAL, or parts of it."""
    terms = {"policy": OutcomeReward(negative, weighted), "reference": ReferenceKL()}
    question = blame if weighted else solve
    weights = {"reference": 0.01}
    learn = {"learning_rate": rate, "epochs": 1, "minibatches": 4}
    return arm(setting, terms, partial(pairs, weighted=weighted), weights=weights, question=question, **learn | options)


LOST = {"pass@1": 0.0, "greedy": 0.0, "pass@16": 0.0, "policy/entropy": 0.0}
MANY = {"epochs": 4, "minibatches": 4}
STUDY = Study(
    name="answers",
    environment="Chains of sums, differences and products of digits modulo 10, written result by result by a transformer of two "
    "layers of 32 units. The base policy of each seed clones a demonstrator that slips (each result with probability 0.25) and mostly "
    "takes products for one more than they are (0.6). 64 prompts x 8 answers and 100 train steps; the long problems have five results "
    "in place of three, slips of 0.1, and 32 prompts.",
    arms={
        "base": grpo(rate=0.0),
        "GRPO": grpo(),
        "Dr. GRPO": grpo(scale="none", weight="constant"),
        "RFT": nft(term=NegativeAware(negative=0.0, weighting="equal")),
        "NFT": nft(),
        "NFT, 16 updates": nft(diverged=LOST, **MANY),
        "NFT, 16 updates, no bound": nft(term=NegativeAware(bound=1e-6), diverged=LOST, **MANY),
        "positives": oreal(SHORT, 0.0),
        "positives and negatives": oreal(SHORT, 0.5),
        "long base": grpo(LONG, rate=0.0),
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
