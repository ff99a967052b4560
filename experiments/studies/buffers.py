"""Failing groups: what past answers can do for problems that a whole group fails, or solves."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from studies.tokens import CURVES, SAMPLES, Setting, arm, is_right, solve

import rl_jax as rl
from rl_jax.curricula.prompts import Prompts, Record
from rl_jax.envs.tokens.chain import Chain
from rl_jax.envs.tokens.task import PLUS, TIMES
from rl_jax.experience import Transform
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.selection.subsets import count_used, drop_uniform
from rl_jax.experience.selection.success_replay import success_replay
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.skywork_r1v2_ssb import fill_idle
from rl_jax.ideas.group_policy.vl_rethinker_ssr import selective_replay
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.run.claims import Axes, Gate, Outcome, Study

TASK = Chain(operands=4, slip=0.2, misconception=0.98)
SETTING = Setting(TASK, prompts=32, clone_batch=128)
#: Problems of the set, of which a train step has half.
COUNT, UPDATES, RATE = 64, 60, 3e-4


def solvable(record: Record, count: int, update: jax.Array, key: jax.Array) -> jax.Array:
    """Problems drawn without those that nobody has solved in the first 16 answers; of these as few as it takes."""
    draw = jax.random.uniform(key, record.tries.shape) - ((record.tries >= 16) & (record.solved == 0))
    return jax.lax.top_k(draw, count)[1].astype(jnp.int32)


def products(rollout: rl.types.Rollout) -> jax.Array:
    """How many products each column's problem ``[N]`` has."""
    terms = rollout.env_state.problem.hidden
    return jnp.sum(terms.operators[0] == TIMES - PLUS, axis=-1)


def solve_set(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """Right answers to the problems of the set without a hint, and to fresh ones."""
    prompts: Any = getattr(trainer.curriculum, "prompts", trainer.curriculum)
    known: Any = getattr(state.curriculum, "prompts", state.curriculum)
    key_set, key_fresh = jax.random.split(key)
    curriculum = Prompts(trainer.env, SAMPLES, prompts.count)
    spec = replace(trainer.base, num_envs=SAMPLES * prompts.count, rounds=1)
    asked = curriculum.init(key_set, spec)._replace(key=known.key, problems=jnp.arange(prompts.count, dtype=jnp.int32))
    trainer_set, state_set = trainer.replace(curriculum=curriculum, base=spec), state.replace(curriculum=asked)
    rollout = rl.play(trainer_set, state_set, key_set, spec.num_envs, spec.rollout_length, greedy=False)
    right, number = is_right(rollout), products(rollout)
    fresh = solve(trainer.replace(curriculum=prompts), state.replace(curriculum=known), key_fresh)
    return {
        "set": jnp.mean(right.astype(jnp.float32)),
        "hard": jnp.mean(right, where=number >= 1),
        "hardest": jnp.mean(right, where=number >= 2),
        **fresh,
    }


def late(outcome: Outcome) -> np.ndarray:
    """The share of columns that are learned from with an advantage, over the last third of training, ``[runs]``."""
    used = outcome.curves["used/columns"].y
    return used[:, -max(1, used.shape[1] // 3) :].mean(axis=1)


def grouped_experience(
    setting: Setting, params: Any, before: tuple[Transform, ...], after: tuple[Transform, ...]
) -> tuple[Transform, ...]:
    """Group advantages, with what looks at answers before them, and what looks at advantages after them."""
    return (*before, own_weight(), group_advantage(setting.answers), *after, count_used())


def a_set(setting: Setting, params: Any, draw: Any) -> dict[str, Any]:
    """The same problems throughout."""
    options = {} if draw is None else {"draw": draw}
    return {"curriculum": Prompts(setting.world, setting.answers, COUNT, **options)}


def learned(
    before: tuple[Transform, ...] = (),
    after: tuple[Transform, ...] = (),
    draw: Any = None,
    setting: Setting = SETTING,
    **options: Any,
) -> Any:
    """An arm on the fixed set."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "metrics": ("used/columns",)}
    return arm(
        setting,
        {"policy": ClippedTokens()},
        partial(grouped_experience, before=before, after=after),
        question=solve_set,
        summaries={"share": late},
        parts=partial(a_set, draw=draw),
        **usual | options,
    )


DROP = drop_uniform(SETTING.answers)
REPLAY = success_replay(COUNT, SETTING.answers)
ARMS = {
    "base": learned(learning_rate=0.0),
    "GRPO": learned(),
    "drop": learned(after=(DROP,)),
    "refill": learned(after=(DROP,), setting=replace(SETTING, prompts=2 * SETTING.prompts), updates=UPDATES // 2),
    "success replay": learned(before=(REPLAY,)),
    "success replay, solvable": learned(before=(REPLAY,), draw=solvable),
    "SSR": learned(after=(selective_replay(),)),
    "SSB": learned(after=(fill_idle(SETTING.prompts * SETTING.answers),)),
}
STUDY = Study(
    name="buffers",
    environment=f"Chains of four digits with sums, differences and products modulo 10, written result by result by a transformer "
    f"of two layers of 32 units; {COUNT} problems come again and again. The base policy of each seed clones a "
    f"demonstrator that takes 98 of 100 products for one more than they are and replaces a fifth of its results by "
    f"random digits, so it hardly ever solves a problem with a product (7 of 10). Each train step has eight answers "
    f"to each of {SETTING.prompts} problems.",
    arms=ARMS,
    measures={
        "set": f"share of right answers, {SAMPLES} sampled to each problem of the set",
        "hard": "the same of problems with a product",
        "hardest": "the same of problems with two or three products",
        "pass@1": "share of right answers sampled to fresh problems",
        "greedy": "share of right greedy answers to fresh problems",
        "pass@16": "share of fresh problems to which one of 16 sampled answers is right",
        "policy/entropy": "entropy at the tokens that are learned from in the last tenth of training, in nats",
        "area": "share of right answers sampled in training, its mean over training",
        "share": "share of columns that are learned from with an advantage, in the last third of training",
    },
    curves=CURVES | {"used/columns": Axes("environment steps", "columns learned from with an advantage")},
    gates=(
        Gate("the base has room", "set", "base", 0.1, 0.45),
        Gate("GRPO learns", "set", "GRPO", 0.15, baseline="base"),
        Gate("columns without an advantage", "share", "GRPO", high=0.6),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    departures="Arithmetic and a network of 30 thousand parameters instead of a vision-language model. All arms generate the "
    "same number of tokens. A policy of this size learns a set of this size by heart: answers to fresh problems are shown and "
    "not judged.",
    minutes=25,
)
