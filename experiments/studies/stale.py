"""Earlier answers: how much can be learned from what earlier policies wrote, and for how long is it a gain?"""

from functools import partial
from typing import Any

from studies.tokens import CURVES, MEASURES, SHORT, SHORT_WORDS, Setting, arm, early

from rl_jax.experience import Transform
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.remix import Anchors, ConvexKL, UpdatesUntil
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.proximal import ProximalMix
from rl_jax.replay.rollouts.recent_rollouts import RecentRollouts
from rl_jax.run.claims import Gate, Study

UPDATES, RATE = 40, 3e-4
#: Share of earlier answers, learning steps per rollout, rollouts that are kept: the paper's; the constraint's weight: ours.
SHARE, PASSES, WINDOW, CONSTRAINT = 0.4, 2, 2, 0.01
#: Progress at which the base is renewed and earlier answers are no longer used.
REBORN = 0.33


def grouped_experience(setting: Setting, params: Any) -> tuple[Transform, ...]:
    """Group advantages."""
    return own_weight(), group_advantage(setting.answers)


def replayed(setting: Setting, params: Any, share: float, passes: int, until: float, anchored: bool) -> dict[str, Any]:
    """The replay and the number of learning steps."""
    looks = {"transforms": Anchors(params, until)} if anchored else {}
    return {"replay": RecentRollouts(share=share, until=until, window=WINDOW, **looks), "updates": UpdatesUntil(passes, until)}


def learned(share: float = 0.0, passes: int = 1, until: float = 1.0, mixed: bool = False, **options: Any) -> Any:
    """An arm; ``mixed``: with the clip around the present policy and the convex constraint."""
    terms: dict[str, Any] = {"policy": ProximalMix(), "constraint": ConvexKL()} if mixed else {"policy": ClippedTokens()}
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "epochs": 1}
    return arm(
        SHORT,
        terms,
        grouped_experience,
        weights={"constraint": CONSTRAINT} if mixed else {},
        summaries={"early": partial(early, parts=3)},
        diverged={"pass@1": 0.0, "greedy": 0.0, "pass@16": 0.0},
        parts=partial(replayed, share=share, passes=passes, until=until, anchored=mixed),
        **usual | options,
    )


STUDY = Study(
    name="stale",
    environment=SHORT_WORDS + "answers to each of 64 fresh problems.",
    arms={
        "base": learned(learning_rate=0.0),
        "GRPO": learned(),
        "naive replay": learned(SHARE, PASSES),
        "8 naive passes": learned(SHARE, 8),
        "Mix-PPG": learned(SHARE, PASSES, mixed=True),
        "ReMix": learned(SHARE, PASSES, REBORN, mixed=True),
    },
    measures=MEASURES | {"early": "share of right answers sampled in training, its mean over the first third of it"},
    curves=CURVES,
    gates=(
        Gate("the base has room", "pass@1", "base", 0.1, 0.4),
        Gate("GRPO learns", "pass@1", "GRPO", 0.15, baseline="base"),
        Gate("GRPO keeps greedy answers", "greedy", "GRPO", 0.0, baseline="base"),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    departures="Arithmetic and a network of 30 thousand parameters instead of a language model. All arms generate the same "
    "number of tokens.",
    minutes=20,
)
