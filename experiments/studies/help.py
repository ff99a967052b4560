"""Hints: does the beginning of a solution help with problems that a whole group fails, and only where it is needed?"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from studies.buffers import COUNT, RATE, SETTING, TASK, UPDATES, grouped_experience, late, solve_set
from studies.buffers import STUDY as BUFFERS
from studies.tokens import CURVES, Setting, arm

from rl_jax.curricula.prompts import Prompts
from rl_jax.envs.tokens.chain_problems import ChainParams
from rl_jax.envs.tokens.task import Problem
from rl_jax.ideas.group_policy.ghpo import HintedPrompts
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.run.claims import Axes, Gate, Outcome, Study

#: Stages of a hint: none, and shares of the three results.
SHARES = (0.0, 0.34, 0.67)


def solution(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """All results, as a demonstrator without faults writes them."""
    known = TASK.default_params
    faultless = ChainParams(known.tiers, known.operators, np.float32(0), np.float32(0), np.float32(0))
    tokens, own = TASK.demonstrate(jax.random.key(0), problem, faultless)
    return tokens[TASK.prompt_length :], jnp.sum(own) - 1


def hinted(setting: Setting, params: Any, lowest: int) -> dict[str, Any]:
    """The set of problems with hints."""
    prompts = Prompts(setting.world, setting.answers, COUNT)
    return {"curriculum": HintedPrompts(prompts, solution, lowest, SHARES)}


def unhinted(setting: Setting, params: Any) -> dict[str, Any]:
    """The set of problems."""
    return {"curriculum": Prompts(setting.world, setting.answers, COUNT)}


def falls(outcome: Outcome) -> np.ndarray:
    """The share of groups with a hint, its largest mean over a tenth of training minus that over the last tenth, ``[runs]``."""
    share = outcome.curves["hints/share"].y
    tenth = max(1, share.shape[1] // 10)
    means = np.stack([share[:, i : i + tenth].mean(axis=1) for i in range(0, share.shape[1] - tenth + 1, tenth)])
    return means.max(axis=0) - means[-1]


def learned(parts: Any, hints: bool = False, **options: Any) -> Any:
    """An arm on the fixed set."""
    more: dict[str, Any] = {"summaries": {"share": late, "falls": falls if hints else still}}
    usual: dict[str, Any] = {
        "updates": UPDATES,
        "learning_rate": RATE,
        "metrics": ("used/columns", *(["hints/share"] if hints else [])),
    }
    experience = partial(grouped_experience, before=(), after=())
    return arm(SETTING, {"policy": ClippedTokens()}, experience, parts=parts, question=solve_set, **usual | more | options)


def still(outcome: Outcome) -> np.ndarray:
    """Without hints nothing falls, ``[runs]``."""
    return np.zeros(len(outcome.curves["used/columns"].y))


STUDY = Study(
    name="help",
    environment=BUFFERS.environment,
    arms={
        "base": learned(unhinted, learning_rate=0.0),
        "GRPO": learned(unhinted),
        "hints by need": learned(partial(hinted, lowest=0), hints=True),
        "always hints": learned(partial(hinted, lowest=2), hints=True),
    },
    measures=BUFFERS.measures
    | {"falls": "share of groups with a hint, its largest mean over a tenth of training minus that over the last"},
    curves=CURVES | {"used/columns": Axes("environment steps", "columns learned from with an advantage")},
    gates=(
        Gate("the base has room", "set", "base", 0.1, 0.45),
        Gate("GRPO learns", "set", "GRPO", 0.15, baseline="base"),
    ),
    seeds=BUFFERS.seeds,
    tuning_seeds=BUFFERS.tuning_seeds,
    paired=True,
    departures=BUFFERS.departures,
    minutes=15,
)
