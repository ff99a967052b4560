"""Arms of token worlds whose trainers have a curriculum, a replay or updates of their own."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from studies import tokens
from studies.tokens import CURVES, Experience, Setting, Summary, area, solve

import rl_jax as rl
from rl_jax.curricula.prompts import Prompts
from rl_jax.run.claims import Outcome, Work
from rl_jax.run.claims.arms.trained import Question

#: Arguments of :meth:`rl_jax.Trainer.create` besides the usual, given the setting and the base's parameters.
Parts = Callable[[Setting, Any], Mapping[str, Any]]


def arm_with(
    parts: Parts,
    setting: Setting,
    terms: Mapping[str, Any],
    experience: Experience,
    *,
    weights: Mapping[str, Any] | None = None,
    updates: int = 60,
    question: Question = solve,
    metrics: tuple[str, ...] = (),
    summaries: Mapping[str, Summary] | None = None,
    diverged: dict[str, float] | None = None,
    **options: Any,
) -> Callable[[Work], Outcome]:
    """:func:`studies.tokens.arm` with other parts of the trainer."""
    make = partial(trainer_with, parts=parts, terms=terms, experience=experience, weights=weights or {}, options=options)
    return partial(
        tokens._learn,
        setting=setting,
        make=make,
        updates=updates,
        question=question,
        metrics=(*CURVES, *metrics),
        finals=("policy/entropy",),
        summaries={"area": area} | dict(summaries or {}),
        diverged=diverged,
    )


def trainer_with(
    params: Any, setting: Setting, parts: Parts, terms: Any, experience: Experience, weights: Any, options: Any
) -> rl.Trainer:
    """The trainer of one seed."""
    usual = {"curriculum": Prompts(setting.world, setting.answers)}
    return rl.Trainer.create(
        setting.world,
        setting.agent(terms, weights, initial_params=params, **options),
        rl.chain(*experience(setting, params)),
        num_envs=setting.prompts * setting.answers,
        rollout_length=setting.world.own_limit,
        whole=True,
        **usual | dict(parts(setting, params)),
    )
