"""What NaN in observations, rewards and parameters does to a run: one rule, for every agent of the table."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.agents.configs import CONFIGS
from rl_jax.errors import UnsupportedSpace
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Step

#: What happens in each run of the batch, and whether the run fails.
RULE = {
    "nothing": False,
    "an observation within an episode": True,
    "the last observation of a terminated episode": False,
    "the last observation of a truncated episode": False,
    "a reward": True,
    "a parameter": True,
}
NOTHING, WITHIN, TERMINATED, TRUNCATED, REWARD, PARAMETER = range(len(RULE))
LENGTH, BAD = 4, 2
#: As small as an agent lets it be; only what its configuration has.
SMALL = {
    **{"hidden": (4,), "memory_width": 4, "epochs": 1, "minibatches": 1, "batch_size": 4, "buffer_size": 64, "atoms": 3},
    **{"learning_starts": 8, "random_steps": 4, "sequence_length": 4, "period": 2, "updates_per_step": 1, "n_step": 1},
}


class Now(NamedTuple):
    time: jax.Array
    start: jax.Array


@dataclasses.dataclass(frozen=True)
class Faulty:
    """Episodes of four steps; ``params`` says what is NaN in each of them."""

    act_space: object
    name: str = "faulty"
    default_params: int = NOTHING
    time_limit: int | None = None

    def observation_space(self, params):
        return Box.of(-10, 10, (2,))

    def action_space(self, params):
        return self.act_space

    def reset(self, key, params):
        state = Now(jnp.int32(0), jax.random.uniform(key))
        return state, jnp.stack([state.start, 0.0])

    def step(self, key, state, action, params):
        state = Now(state.time + 1, state.start)
        over = state.time == LENGTH
        cut = over & (params == TRUNCATED)
        wrong = jnp.where(over, (params == TERMINATED) | cut, (params == WITHIN) & (state.time == BAD))
        obs = jnp.where(wrong, jnp.nan, jnp.stack([state.start, state.time.astype(jnp.float32)]))
        reward = jnp.where((params == REWARD) & (state.time == BAD), jnp.nan, state.start)
        return Step(state, obs, reward, over & ~cut, cut, {})


def runs(name):
    """A run for each line of the rule, as one program."""
    kind = CONFIGS[name]
    fields = {field.name for field in dataclasses.fields(kind)}
    sizes = {"num_envs": 2, "rollout_length": min(8, getattr(kind(), "rollout_length", 1))}
    config = kind(**{key: value for key, value in {**SMALL, **sizes}.items() if key in fields})

    def trainers(space):
        return [config.trainer(Faulty(space), params=np.int32(what)) for what in range(len(RULE))]

    try:
        made = trainers(Discrete(2))
    except UnsupportedSpace:
        made = trainers(Box.of(-1, 1, (1,)))
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(x, getattr(x, "dtype", np.float32)) for x in leaves]), *made)
    updates = 64 // made[0].rollout_length
    return CompiledRuns(stacked, list(range(len(RULE))), updates * made[0].steps_per_update, 2, batched=True, rows=1), updates


#: One agent for each way of learning; the others are the same parts with other numbers.
AGENTS = ("ppo", "pqn", "dqn", "sac", "td3", "stream-q", "stream-ac")


def test_every_way_of_learning_is_among_them():
    """But those that learn from recorded experience, which is checked before."""
    collecting = [kind for kind in CONFIGS.values() if not getattr(kind, "DATA", False)]
    assert {type(CONFIGS[name]().agent()) for name in AGENTS} == {type(kind().agent()) for kind in collecting}


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_one_rule_for_what_is_not_finite(name):
    with jax.debug_key_reuse(False):
        job, updates = runs(name)
        job.compile()
        state = job.init()

        def spoilt(x):
            return x.at[PARAMETER].set(jnp.nan) if jnp.issubdtype(x.dtype, jnp.floating) else x

        state = state.replace(agent=jax.tree.map(spoilt, state.agent))
        before = jax.tree.map(np.asarray, job.params(state))
        state, metrics = job.advance(state, updates, np.zeros(len(RULE), bool))
    after = jax.tree.map(np.asarray, job.params(state))
    assert dict(zip(RULE, metrics["failed"].astype(bool).tolist(), strict=True)) == RULE
    moved = np.zeros(len(RULE), bool)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        moved |= (old != new).reshape(len(RULE), -1).any(axis=1)
    failed = np.asarray(list(RULE.values()))
    assert moved[~failed].all(), "runs that go on learn"
    assert not moved[failed & (np.arange(len(RULE)) != PARAMETER)].any(), "a failed run keeps what it had"
