"""The study ``answers`` again, on base policies that have all learned the arithmetic, and long enough for entropy to collapse."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from studies.answers import STUDY as ANSWERS
from studies.answers import entropy_left, policy_gradient, tabular
from studies.tokens import SHORT

from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.covariance import ClipCov, KLCov

SETTING, UPDATES = replace(SHORT, clone_steps=1000), 100


def longer(term: Any) -> Callable[..., Any]:
    """A loss on the short problems."""
    return policy_gradient(term, setting=SETTING, updates=UPDATES)


ARMS = {
    "base": policy_gradient(ClippedTokens(), 0.0, SETTING, updates=1, summaries={"entropy left": entropy_left}),
    "GRPO": longer(ClippedTokens()),
    "Clip-Cov": longer(ClipCov(share=0.01)),
    "KL-Cov": longer(KLCov(share=0.01)),
    "tabular softmax": tabular,
}
STUDY = replace(
    ANSWERS,
    name="answers_longer",
    environment=ANSWERS.environment.replace("40 train steps", f"{UPDATES} train steps"),
    arms=ARMS,
    gates=tuple(gate for gate in ANSWERS.gates if ARMS.keys() >= {*gate.arms}),
)
