"""Down-sampling: from which answers of a batch, and from which of their tokens, is it enough to learn?"""

from functools import partial
from typing import Any

import numpy as np
from studies.tokens import CURVES, MEASURES, SHORT, SHORT_WORDS, Setting, arm, early

from rl_jax.experience import Transform
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.selection.max_variance import max_variance
from rl_jax.experience.selection.subsets import count_used, random_subset
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.d3s_dual_level_downsampling import d3s
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.run.claims import Axes, Gate, Outcome, Study

UPDATES, RATE = 40, 3e-4
#: Shares of columns and of their tokens at the start; at the end of a schedule all are learned from.
COLUMNS, TOKENS = 0.25, 0.2
#: Tokens learned from up to which accuracy is averaged: D3S has about so many in all.
BUDGET = 33_000


def chosen(setting: Setting, params: Any, select: tuple[Transform, ...]) -> tuple[Transform, ...]:
    """Group advantages, and what of them is learned from."""
    return (own_weight(), group_advantage(setting.answers), *select, count_used())


def per_token(outcome: Outcome) -> np.ndarray:
    """The mean of the sampled accuracy over the first :data:`BUDGET` tokens that were learned from, ``[runs]``."""
    accuracy, used = outcome.curves["episode/return"], outcome.curves["used/steps"].y
    train_steps = np.diff(accuracy.x, prepend=0.0) * UPDATES / accuracy.x[-1]
    spent = np.cumsum(used * train_steps, axis=1)
    grid = np.linspace(0.0, BUDGET, 200)
    return np.asarray([np.interp(grid, x, y).mean() for x, y in zip(spent, accuracy.y, strict=True)])


def learned(*select: Transform, **options: Any) -> Any:
    """An arm that learns from a selection."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "metrics": ("used/steps", "used/columns")}
    return arm(
        SHORT,
        {"policy": ClippedTokens()},
        partial(chosen, select=select),
        summaries={"area per token": per_token, "early": partial(early, parts=5)},
        **usual | options,
    )


ARMS = {
    "base": learned(learning_rate=0.0),
    "GRPO": learned(),
    "random subset": learned(random_subset(COLUMNS, 1.0), random_subset(TOKENS, 1.0, steps=True)),
    "PODS": learned(max_variance(COLUMNS, COLUMNS, group=SHORT.answers, renormalize=True)),
    "D1S": learned(max_variance(COLUMNS, COLUMNS)),
    "D2S": learned(d3s((COLUMNS, COLUMNS), (TOKENS, TOKENS))),
    "D3S": learned(d3s((COLUMNS, 1.0), (TOKENS, 1.0))),
}
STUDY = Study(
    name="samples",
    environment=SHORT_WORDS + "answers to each of 64 fresh problems.",
    arms=ARMS,
    measures=MEASURES
    | {
        "policy/entropy": "entropy at the tokens that are learned from in the last tenth of training, in nats",
        "area per token": f"share of right answers sampled in training, its mean over the first {BUDGET:,} tokens that were "
        "learned from",
        "early": "share of right answers sampled in training, its mean over the first fifth of it",
    },
    curves=CURVES | {"used/steps": Axes("environment steps", "tokens learned from in a train step")},
    gates=(
        Gate("the base has room", "pass@1", "base", 0.1, 0.4),
        Gate("GRPO learns", "pass@1", "GRPO", 0.15, baseline="base"),
        Gate("GRPO keeps greedy answers", "greedy", "GRPO", 0.0, baseline="base"),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    departures="Arithmetic and a network of 30 thousand parameters instead of a language model. All arms generate the same "
    "number of tokens and make the same number of updates; what is not learned from has weight zero and costs the "
    "same time. Adam's step does not depend on the scale of the loss, so leaving out answers without an advantage "
    "changes the noise of a step and hardly its size.",
    minutes=12,
)
