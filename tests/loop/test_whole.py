"""Rollouts of whole episodes, and rounds that build on one another."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from toy import Clock, unchecked

import rl_jax as rl
from rl_jax.curricula import FixedTask
from rl_jax.curricula.prompts import Prompts
from rl_jax.errors import RLJaxError
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.weights import own_weight
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Start, Step


class FuseState(NamedTuple):
    length: jax.Array
    time: jax.Array


@dataclass(frozen=True)
class Fuse:
    """Episodes of 2 to 5 steps, drawn at reset; reward 1 a step and 10 at the end; every odd step is the environment's own."""

    name: str = "fuse"
    time_limit: int | None = None
    own_limit: int = 5

    @property
    def default_params(self):
        return ()

    def observation_space(self, params):
        return Box.of(-np.inf, np.inf, (2,))

    def action_space(self, params):
        return Discrete(2)

    def look(self, state):
        return jnp.stack([state.length, state.time]).astype(jnp.float32)

    def reset(self, key, params):
        state = FuseState(jax.random.randint(key, (), 2, 6), jnp.int32(0))
        return state, self.look(state)

    def step(self, key, state, action, params):
        over = state.time + 1 >= state.length
        own = state.time % 2 == 0
        state = FuseState(state.length, state.time + 1)
        return Step(state, self.look(state), 1.0 + 10.0 * over, over, jnp.zeros((), bool), {"own": own})


FUSE = Fuse()


def trainer_of(env=FUSE, num_envs=8, length=7, experience=None, **options):
    agent = rl.agents.ppo(hidden=(4,), epochs=1, minibatches=1)
    experience = rl.experience.gae(0.9, 0.8) if experience is None else experience
    return rl.Trainer.create(env, agent, experience, num_envs=num_envs, rollout_length=length, whole=True, **options)


@pytest.mark.slow
def test_a_column_is_one_episode_and_stands_still_after_it():
    trainer = trainer_of()
    state, rollout, metrics = jax.jit(trainer.collect)(trainer.init(jax.random.key(0), 1000))
    for _ in range(2):  # nothing is carried over
        lengths = np.asarray(rollout.env_state.length[0])
        time = np.arange(7)[:, None]
        alive = time < lengths
        np.testing.assert_array_equal(rollout.first, np.broadcast_to(time == 0, alive.shape))
        np.testing.assert_array_equal(rollout.reward, alive + 10.0 * (time == lengths - 1))
        np.testing.assert_array_equal(rollout.terminated, time == lengths - 1)
        np.testing.assert_array_equal(rollout.extras["own"], alive & (time % 2 == 0))
        np.testing.assert_array_equal(rollout.env_state.time, np.minimum(time, lengths))
        np.testing.assert_array_equal(rollout.obs[..., 1], np.minimum(time, lengths))
        assert not rollout.truncated.any()
        assert metrics["episode/length"] == pytest.approx(lengths.mean())
        assert metrics["episode/return"] == pytest.approx(lengths.mean() + 10.0)
        state, rollout, metrics = jax.jit(trainer.collect)(state.replace(updates=state.updates.next()))
    assert len(set(lengths.tolist())) > 1


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_a_limit_ends_a_whole_episode_once(ends):
    """An episode cut at 3 steps, in a rollout of 8: the frozen columns count no second limit."""
    trainer = trainer_of(Clock(3 if ends == "terminated" else 99, "terminated"), length=8, time_limit=3)
    _, rollout, _ = jax.jit(trainer.collect)(trainer.init(jax.random.key(0), 1000))
    expected = np.broadcast_to(np.arange(8)[:, None] == 2, (8, 8))
    np.testing.assert_array_equal(getattr(rollout, ends), expected)
    np.testing.assert_array_equal(rollout.done, expected)


def test_advantages_of_whole_episodes_are_those_of_each_by_itself():
    trainer = trainer_of()
    state = trainer.init(jax.random.key(1), 1000)
    _, rollout, _ = jax.jit(trainer.collect)(state)
    value, advantage = (np.asarray(rollout.extras[name], np.float64) for name in ("value", "advantage"))
    for column, length in enumerate(np.asarray(rollout.env_state.length[0])):
        trace = 0.0
        for t in reversed(range(length)):
            after = value[t + 1, column] if t + 1 < length else 0.0
            trace = float(rollout.reward[t, column]) + 0.9 * after - value[t, column] + 0.9 * 0.8 * trace
            assert advantage[t, column] == pytest.approx(trace, abs=1e-5)


@struct.dataclass
class Counting(FixedTask):
    """Its state is the number of its updates, which every start is shown as its level."""

    def init(self, key, spec):
        return jnp.int32(0)

    def start(self, state, key, index):
        start = super().start((), key, index)
        return start._replace(level=state)

    def update(self, state, rollout, context):
        return state + 1, {}


@pytest.mark.slow
def test_a_rollout_begins_under_the_curriculum_as_it_is_now():
    trainer = trainer_of(curriculum=Counting(FUSE))
    state = trainer.init(jax.random.key(0), 1000)
    for update in range(3):
        state, rollout, _ = jax.jit(trainer.collect)(state)
        assert (np.asarray(rollout.level) == update).all()
        state = state.replace(updates=state.updates.next())


@struct.dataclass
class GoOn(FixedTask):
    """The second round begins where the first one's columns stood at step 1."""

    def init(self, key, spec):
        envs = spec.num_envs // spec.rounds
        zeros = FuseState(jnp.zeros((envs,), jnp.int32), jnp.zeros((envs,), jnp.int32))
        return jnp.int32(0), zeros

    def start(self, state, key, index):
        now, places = state
        fresh = super().start((), key, index)
        place = jax.tree.map(lambda x: x[index % places.time.shape[0]], places)
        state = jax.tree.map(lambda a, b: jnp.where(now > 0, a, b), place, fresh.env_state)
        return Start(jnp.where(now > 0, index, -1 - index), state, FUSE.look(state))

    def between(self, state, rollout, context):
        return state[0] + 1, jax.tree.map(lambda x: x[1], rollout.env_state)

    def update(self, state, rollout, context):
        return (jnp.int32(0), state[1]), {"columns": jnp.float32(rollout.reward.shape[1])}


@pytest.mark.slow
def test_a_second_round_starts_where_the_first_one_stood():
    learned = rl.chain(rl.experience.gae(0.9, 0.8), own_weight())
    trainer = trainer_of(curriculum=GoOn(FUSE), experience=learned, rounds=2)
    assert (trainer.num_envs, trainer.base.num_envs, trainer.steps_per_update) == (8, 16, 7 * 16)
    state, rollout, metrics = jax.jit(trainer.collect)(trainer.init(jax.random.key(3), 1000))
    assert rollout.reward.shape == (7, 16) and metrics["columns"] == 16
    np.testing.assert_array_equal(rollout.level[0], [*range(-1, -9, -1), *range(8, 16)])
    np.testing.assert_array_equal(rollout.env_state.length[0, 8:], rollout.env_state.length[0, :8])
    np.testing.assert_array_equal(rollout.env_state.time[0], [0] * 8 + [1] * 8)
    assert rollout.start.obs.shape == (16, 2) and rollout.last.obs.shape == (16, 2)
    actions = np.asarray(rollout.action)
    assert (actions[:, :8] != actions[:, 8:]).any()  # other keys
    state, _ = jax.jit(trainer.train_step)(trainer.init(jax.random.key(3), 1000))
    assert trainer.env_steps(state) == 7 * 16


@pytest.mark.slow
def test_columns_alone_are_the_same_as_among_others():
    many, few = (trainer_of(num_envs=n, experience=rl.chain()) for n in (8, 4))
    state = many.init(jax.random.key(5), 1000)
    of_few = few.init(jax.random.key(5), 1000).replace(agent=state.agent)
    (_, a, _), (_, b, _) = jax.jit(many.collect)(state), jax.jit(few.collect)(of_few)
    np.testing.assert_array_equal(a.env_state.length[:, :4], b.env_state.length)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: trainer_of(length=4), "fuse can last 5 steps: give rollout_length=5"),
        (lambda: trainer_of(Clock(3)), "clock has no time limit: give time_limit=7"),
        (lambda: trainer_of(rounds=2), "rounds=2 needs a curriculum that says where the next round starts"),
        (
            lambda: rl.Trainer.create(FUSE, rl.agents.ppo(), rl.experience.gae(), num_envs=4, rollout_length=8, rounds=2),
            "rounds=2 are of rollouts of whole episodes: give whole=True",
        ),
        (lambda: trainer_of(curriculum=Prompts(FUSE, 3)).init(jax.random.key(0), 1), "8 environments are no groups of 3"),
        (lambda: trainer_of(curriculum=Prompts(FUSE, 0)).init(jax.random.key(0), 1), "Prompts' size must be"),
        (lambda: trainer_of(experience=group_advantage(3)).init(jax.random.key(0), 1), "8 environments are no groups of 3"),
        (lambda: trainer_of(experience=group_advantage(4, "median")).init(jax.random.key(0), 1), "baseline must be"),
        (lambda: trainer_of(experience=own_weight("word")).init(jax.random.key(0), 1), "rule must be"),
    ],
)
def test_what_cannot_be_is_one_line(make, words):
    with pytest.raises(RLJaxError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", [group_advantage(4), own_weight()])
def test_transforms_of_whole_episodes_refuse_others(part):
    trainer = rl.Trainer.create(FUSE, rl.agents.ppo(), part, num_envs=8, rollout_length=8)
    with pytest.raises(RLJaxError, match="looks at whole episodes: give whole=True"):
        trainer.init(jax.random.key(0), 1)


@pytest.mark.slow
def test_play_and_evaluate_take_whole_episodes():
    trainer = trainer_of()
    state = trainer.init(jax.random.key(0), 1000)
    rollout = rl.play(trainer, state, jax.random.key(1), 16, 7)
    lengths = np.asarray(rollout.env_state.length[0])
    np.testing.assert_array_equal(np.asarray(rollout.done).sum(0), np.ones(16))
    assert rl.evaluate(trainer, state, jax.random.key(1), 16).mean() == pytest.approx(lengths.mean() + 10.0)


@pytest.mark.slow
def test_several_seeds_are_each_as_alone_and_learn():
    """The probe that pays for the right answer to what is seen: each group of four sees one cue."""
    env = rl.make("probe/observed-action")
    agent = rl.agents.grpo(hidden=(8,), memory="none", epochs=1, minibatches=1, learning_rate=3e-2)
    chain = rl.chain(group_advantage(4), own_weight())
    options = {"num_envs": 32, "rollout_length": 1, "time_limit": 1, "whole": True}
    trainer = rl.Trainer.create(env, agent, chain, curriculum=Prompts(env, 4), **options)

    def run(seed):
        state, metrics = trainer.advance(trainer.init(jax.random.key(seed), 1000), 60)
        return trainer.params(state), metrics, rl.evaluate(trainer, state, jax.random.key(1), 32).mean()

    with unchecked():
        both = jax.jit(jax.vmap(run))(jnp.arange(2))
        alone = jax.jit(run)(1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[1], rtol=1e-3, atol=1e-4), alone, both)
    assert both[2].tolist() == [1.0, 1.0]
