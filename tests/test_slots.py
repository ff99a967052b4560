"""Ideas fit into their slots: each test puts one in without touching the loop."""

from dataclasses import replace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import SMALL, compiled
from flax import struct
from toy import Clock, Spy, leaves_equal, plain, shaken

from rl_jax.agents import PolicyGradient
from rl_jax.experience import Transform, chain, gae, normalize_obs
from rl_jax.loop import Trainer
from rl_jax.networks import MLP
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Start, Step

PLAIN = replace(SMALL, normalize_obs=False, normalize_reward=False)

# ------------------------------------------------------------------------- a transform with a network of its own


class NoveltyState(NamedTuple):
    target: Any
    predictor: Any
    opt_state: Any


@struct.dataclass
class Novelty(Transform):
    """Random network distillation (Burda et al. 2019), in short: the bonus is the error in predicting random features."""

    weight: Any = 1.0
    learning_rate: Any = 1e-2
    net: nn.Module = struct.field(pytree_node=False, default=MLP((16, 8)))

    def init(self, key, spec):
        keys, obs = jax.random.split(key), jnp.zeros((1, *spec.obs_space.shape))
        target, predictor = self.net.init(keys[0], obs), self.net.init(keys[1], obs)
        return NoveltyState(target, predictor, optax.adam(1.0).init(predictor))

    def error(self, predictor, state, obs):
        return jnp.mean((self.net.apply(predictor, obs) - self.net.apply(state.target, obs)) ** 2, axis=-1)

    def update(self, state, rollout, context):
        bonus = self.error(state.predictor, state, rollout.next_obs)
        grads = jax.grad(lambda p: jnp.mean(self.error(p, state, rollout.next_obs)))(state.predictor)
        updates, opt_state = optax.adam(1.0).update(grads, state.opt_state)
        predictor = optax.apply_updates(state.predictor, optax.tree.scale(self.learning_rate, updates))
        rollout = rollout.replace(reward=rollout.reward + self.weight * bonus)
        return NoveltyState(state.target, predictor, opt_state), rollout, {"novelty/bonus": jnp.mean(bonus)}


@pytest.mark.slow
def test_a_bonus_that_learns_inside_a_chain():
    """Its predictor trains within ``update``, its bonus falls where the agent has been, and its state is in the TrainState."""
    trainer = PLAIN.trainer(Clock(3))
    trainer = trainer.replace(experience=chain(Spy(), Novelty(weight=2.0), gae(0.9), Spy()))
    run = compiled(trainer)
    state = run.init(trainer, jax.random.key(0), 1000)
    first = state.experience[1]
    state, metrics = run.train_step(trainer, state)
    raw, novelty, _, seen = state.experience
    assert leaves_equal(novelty.target, first.target)
    assert not leaves_equal(novelty.predictor, first.predictor)
    np.testing.assert_allclose((seen.reward - raw.reward).mean(), 2.0 * metrics["novelty/bonus"], rtol=1e-3)
    later, _ = run.advance(trainer, state, 50)
    _, end = run.train_step(trainer, later)
    assert 0 < float(end["novelty/bonus"]) < 0.3 * float(metrics["novelty/bonus"])
    # A state never visited is still new.
    seen_before, new = jnp.asarray([[0.5, 1.0]]), jnp.asarray([[8.0, -9.0]])
    error = [
        float(trainer.experience.transforms[1].error(later.experience[1].predictor, later.experience[1], o)[0])
        for o in (seen_before, new)
    ]
    assert error[1] > 10 * error[0]
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(later))
    leaves, treedef = jax.tree.flatten(later)
    assert leaves_equal(run.train_step(trainer, jax.tree.unflatten(treedef, leaves))[0], run.train_step(trainer, later)[0])


@pytest.mark.slow
def test_a_bonus_weight_is_swept_by_vmap():
    """The transform's numbers are leaves of the trainer: one program runs all weights."""
    trainer = PLAIN.trainer(Clock(3)).replace(experience=chain(Novelty(), gae(0.9), Spy()))
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)

    def reward(weight):
        transforms = (trainer.experience.transforms[0].replace(weight=weight), *trainer.experience.transforms[1:])
        return trainer.replace(experience=chain(*transforms)).train_step(state)[0].experience[-1].reward

    with jax.debug_key_reuse(False):
        none, one, two = jax.jit(jax.vmap(reward))(jnp.asarray([0.0, 1.0, 2.0]))
    assert float(jnp.abs(one - none).min()) > 0
    np.testing.assert_allclose(two - none, 2 * (one - none), rtol=1e-3, atol=1e-5)


# --------------------------------------------------------------------------------------------------- meta-gradient


@pytest.mark.slow
def test_a_gradient_through_two_train_steps():
    """Derivatives of the final policy by the entropy weight, in both modes, are what finite differences say.

    Actions are Gaussian, so that they move smoothly with the parameters. The weight reaches the policy's mean only through the
    spread that the first step left behind: a gradient that is cut between the steps would be zero there.
    """
    config = replace(PLAIN, epochs=1, minibatches=1, anneal=False, learning_rate=0.3, max_grad_norm=1e6)
    trainer = config.trainer(Clock(5, act_space=Box.of(-1.0, 1.0, (2,))))
    # A large epsilon makes Adam nearly plain gradient descent: its first step hardly depends on the gradient's size otherwise.
    trainer = trainer.replace(agent=trainer.agent.replace(optimizer_epsilon=1.0), experience=gae(0.9))
    state = shaken(jax.jit(trainer.init)(jax.random.key(0), 1000), scale=0.7)
    obs = jnp.stack(jnp.meshgrid(jnp.linspace(0, 1, 5), jnp.arange(5.0)), axis=-1)

    def final(weight):
        weights = {**trainer.agent.weights, "entropy": weight}
        mine = trainer.replace(agent=trainer.agent.replace(weights=weights))
        after = mine.advance(state, 2)[0]
        _, out = mine.agent._apply(after.agent.params, (), obs, jnp.zeros((5, 5), bool))
        return jnp.stack([jnp.mean(out.policy.entropy()), jnp.mean(jnp.abs(out.policy.mean))])

    weight, step = jnp.float32(0.5), 0.05
    # Values and derivatives by one program.
    forward = jax.jit(lambda weight: jax.jvp(final, (weight,), (jnp.ones(()),)))
    difference = (forward(weight + step)[0] - forward(weight - step)[0]) / (2 * step)
    assert jnp.abs(difference).min() > 1e-3
    np.testing.assert_allclose(forward(weight)[1], difference, rtol=0.03)
    np.testing.assert_allclose(jax.jit(jax.jacrev(final))(weight), difference, rtol=0.03)


# ------------------------------------------------------------------- a curriculum that restores what was seen before


class Archive(NamedTuple):
    env_state: Any
    obs: jax.Array


@struct.dataclass
class Restore:
    """Go-Explore in short (Ecoffet et al. 2021): episodes start at the deepest state seen so far; the level says from where."""

    env: Any = struct.field(pytree_node=False)

    def init(self, key, spec):
        return Archive(*self.env.reset(key, self.env.default_params))

    def start(self, state, key, index):
        return Start(state.env_state.time, state.env_state, state.obs)

    def params(self, state, level):
        return self.env.default_params

    def update(self, state, rollout, context):
        time = jnp.where(rollout.env_state.time < 40, rollout.env_state.time, -1)
        t, n = jnp.unravel_index(jnp.argmax(time), time.shape)
        # What the environment showed, not what the experience chain made of it.
        best = Archive(jax.tree.map(lambda x: x[t, n], rollout.env_state), context.collected.obs[t, n])
        better = best.env_state.time > state.env_state.time
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), best, state), {"archive/time": best.env_state.time}


@pytest.mark.slow
def test_a_curriculum_that_restores_states():
    """Episodes go on from a stored environment state: the loop needs nothing but the state and its observation."""
    env = Clock(1000, "never")
    trainer = PLAIN.trainer(env, time_limit=6).replace(curriculum=Restore(env))
    run = compiled(trainer.replace(experience=chain(Spy(), normalize_obs(), gae())))
    state = run.init(run.trainer, jax.random.key(0), 1000)
    archive = []
    for _ in range(4):
        before = state.curriculum
        state, metrics = run.train_step(run.trainer, state)
        rollout = state.experience[0]
        started = np.asarray(rollout.first)[1:]
        # What began in this rollout began in the archive as it was when the rollout was collected.
        assert started.any()
        assert set(np.asarray(rollout.env_state.time)[1:][started].tolist()) == {int(before.env_state.time)}
        assert set(np.asarray(rollout.obs)[1:, :, 0][started].tolist()) == {float(before.obs[0])}
        assert set(np.asarray(rollout.level)[1:][started].tolist()) == {int(before.env_state.time)}
        archive.append(int(metrics["archive/time"]))
    # Six steps never lead beyond six; starting again from the deepest state leads on and on.
    assert archive == sorted(archive)
    assert archive[-1] > 12


# ------------------------------------------------------------------------------------ how often the agent learns


@struct.dataclass
class UntilAdamHas:
    """Learn twice per train step until the optimiser has taken ``steps``, then not at all."""

    steps: int

    def init(self, key):
        return jnp.int32(0)

    def count(self, state, rollout, context):
        taken = context.agent_state.opt_state[1].count
        return state + 1, jnp.where(taken < self.steps, 2, 0)


@pytest.mark.slow
def test_updates_that_read_the_agent():
    """The number of ``learn`` calls may depend on the agent's state, also where vmapped seeds disagree about it."""
    trainer = PLAIN.trainer(Clock(5), updates=UntilAdamHas(10))  # four Adam steps per learn, eight per train step
    init, step = jax.jit(trainer.init), jax.jit(trainer.train_step)
    state = init(jax.random.key(0), 1000)
    counts = []
    for _ in range(4):
        before = state.agent.params
        state, metrics = step(state)
        counts.append(int(state.agent.opt_state[1].count))
        assert leaves_equal(before, state.agent.params) == (len(counts) > 2)
    assert counts == [8, 16, 16, 16]
    assert int(state.schedule) == 4
    # Nothing was learned in the last train step, so there is nothing to report: NaN rather than 0.
    assert np.isnan(metrics["loss/value"])

    fresh = init(jax.random.key(1), 1000)
    tired = fresh.replace(agent=state.agent)
    with jax.debug_key_reuse(False):
        both, _ = jax.jit(jax.vmap(trainer.train_step))(jax.tree.map(lambda *x: jnp.stack(x), fresh, tired))
    assert both.agent.opt_state[1].count.tolist() == [8, 16]
    assert leaves_equal(jax.tree.map(lambda x: x[1], both.agent.params), state.agent.params)


# ------------------------------------------------------------------------------------------------ refreshed memory


@struct.dataclass
class Forgetful(PolicyGradient):
    """A recurrent agent whose running memories are rewritten after learning."""

    def refresh(self, state, carry):
        return carry * 0.0 + 7.0


@pytest.mark.slow
def test_refresh_rewrites_the_running_memories(recurrent):
    """What ``refresh`` returns is the memory that the next rollout begins with."""
    agent = recurrent.trainer.agent
    fields = {name: getattr(agent, name) for name in agent.__dataclass_fields__}
    trainer = recurrent.trainer.replace(
        agent=Forgetful(**fields), experience=chain(*recurrent.trainer.experience.transforms, Spy())
    )
    run = compiled(trainer)
    state = run.init(trainer, jax.random.key(0), 1000)
    np.testing.assert_array_equal(state.collector.boundary.carry, 0.0)
    state, _ = run.train_step(trainer, state)
    np.testing.assert_array_equal(state.collector.boundary.carry, 7.0)
    kept, _ = recurrent.train_step(recurrent.trainer, recurrent.init(recurrent.trainer, jax.random.key(0), 1000))
    assert np.abs(plain(kept.collector.boundary.carry)).max() < 1.0
    state, _ = run.train_step(trainer, state)
    np.testing.assert_array_equal(state.experience[-1].carry[0], 7.0)


# --------------------------------------------------------------------------------- environments that are not classes


class Bandit(NamedTuple):
    """The smallest environment there is: a NamedTuple, one step, three arms."""

    name: str = "bandit"
    default_params: float = 1.0
    time_limit: int | None = None

    def observation_space(self, params):
        return Box.of(0.0, 1.0, (1,))

    def action_space(self, params):
        return Discrete(3)

    def reset(self, key, params):
        return (), jnp.zeros((1,))

    def step(self, key, state, action, params):
        return Step((), jnp.zeros((1,)), params * action, jnp.ones((), bool), jnp.zeros((), bool), {})


@pytest.mark.slow
def test_an_environment_without_state():
    """A bandit is the case T = 1: no state, no observation to speak of, and it still learns."""
    trainer = Trainer.create(
        Bandit(), replace(PLAIN, learning_rate=0.05, anneal=False).agent(), gae(), num_envs=32, rollout_length=1
    )
    run = compiled(trainer)
    _, metrics = run.advance(trainer, run.advance(trainer, run.init(trainer, jax.random.key(0), 1000), 40)[0], 5)
    assert float(metrics["episode/return"]) > 1.8
