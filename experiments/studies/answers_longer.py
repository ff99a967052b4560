"""The study ``answers`` again, on base policies that have all learned the arithmetic, and long enough for entropy to collapse."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from studies.answers import GRPO_RATE, LONG, entropy_left, oreal, policy_gradient, tabular
from studies.answers import STUDY as ANSWERS
from studies.tokens import SHORT

from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.covariance import ClipCov, KLCov

NEAR, FAR, UPDATES = replace(SHORT, clone_steps=1000), replace(LONG, clone_steps=1000), 100


def covered(term: Any, rate: float = GRPO_RATE) -> Callable[..., Any]:
    """A loss on the short problems."""
    return policy_gradient(term, rate, NEAR, updates=UPDATES)


ARMS = {
    "base": policy_gradient(ClippedTokens(), 0.0, NEAR, updates=1, summaries={"entropy left": entropy_left}),
    "GRPO": covered(ClippedTokens()),
    "Clip-Cov": covered(ClipCov(share=0.01)),
    "KL-Cov": covered(KLCov(share=0.01)),
    "positives": oreal(NEAR, 0.0, updates=UPDATES),
    "positives and negatives": oreal(NEAR, 0.5, updates=UPDATES),
    "tabular softmax": tabular,
    "long base": oreal(FAR, 0.5, rate=0.0, updates=1),
    "long, without token weights": oreal(FAR, 0.5, updates=UPDATES),
    "long, with token weights": oreal(FAR, 0.5, weighted=True, updates=UPDATES),
}
STUDY = replace(
    ANSWERS,
    name="answers_longer",
    environment=ANSWERS.environment.replace("40 train steps", f"{UPDATES} train steps"),
    arms=ARMS,
    gates=tuple(gate for gate in ANSWERS.gates if ARMS.keys() >= {*gate.arms}),
)
