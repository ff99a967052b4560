"""Mistakes in how a trainer is put together end in one line that names the fix, and nothing is compiled before."""

import dataclasses
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import struct

import rl_jax as rl
from rl_jax.agents import ppo
from rl_jax.agents.configs import DQNConfig, PPOConfig, PQNConfig
from rl_jax.curricula import TaskSet
from rl_jax.errors import RLJaxError
from rl_jax.experience import Transform, chain, gae, standardize_advantage
from rl_jax.loop.metrics import RESERVED
from rl_jax.loop.parts import check_same
from rl_jax.losses import weighted_sum
from rl_jax.networks.actor_critic import Outputs
from rl_jax.networks.distributions import Categorical, DiagonalGaussian
from rl_jax.networks.q_network import QOutputs
from rl_jax.ops import joined
from rl_jax.replay import Buffer, n_step
from rl_jax.run.training.outcome import rows_of
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Step

UNIT, TWO = Box.of(0.0, 1.0, (2,)), Discrete(2)


@dataclasses.dataclass(frozen=True)
class Own:
    """An environment of one's own, right unless told otherwise."""

    name: str = "own"
    time_limit: Any = 10
    obs_space: Any = UNIT
    act_space: Any = TWO
    swapped: bool = False
    reward: tuple[int, ...] = ()
    pair: bool = False
    size: int = 2

    @property
    def default_params(self):
        return {"scale": jnp.float32(1.0), "goal": jnp.float32(2.0)}

    def observation_space(self, params):
        return self.obs_space

    def action_space(self, params):
        return self.act_space

    def reset(self, key, params):
        start = jnp.int32(0), jnp.zeros(self.size)
        return start[::-1] if self.swapped else start

    def step(self, key, state, action, params):
        no = jnp.zeros((), bool)
        out = Step(state + 1, jnp.zeros(2), params["scale"] * jnp.ones(self.reward), no, no, {})
        return out[:2] if self.pair else out


class Words:
    """No space."""

    def __repr__(self):
        return "Words()"


class Stateful:
    """As gymnasium's environments are."""

    observation_space = UNIT
    action_space = TWO

    def reset(self, *, seed=None, options=None):
        raise AssertionError("must not be called")

    def step(self, action):
        raise AssertionError("must not be called")


class Older(Stateful):
    """As gym's were."""

    def reset(self, seed=None, options=None):
        raise AssertionError("must not be called")


class Plain(nn.Module):
    """A network as any tutorial writes it."""

    @nn.compact
    def __call__(self, obs):
        return nn.Dense(2)(obs)


class Logits(nn.Module):
    """Called as an agent's network is, with other outputs."""

    def initial_carry(self, num_envs):
        return ()

    @nn.compact
    def __call__(self, carry, obs, first):
        return carry, nn.Dense(2)(obs)


class Answers(nn.Module):
    """A network of one's own, right unless told otherwise; the words say what is wrong."""

    wrong: str = ""
    memory: bool = False

    def initial_carry(self, num_envs):
        return jnp.zeros((num_envs, 2)) if self.memory else ()

    @nn.compact
    def __call__(self, carry, obs, first):
        policy, value = Categorical(nn.Dense(3 if self.wrong == "logits" else 2)(obs)), nn.Dense(1)(obs)[..., 0]
        value = {"value": value[..., None], "dtype": value.astype(jnp.bfloat16)}.get(self.wrong, value)
        policy = DiagonalGaussian(value, value, 0) if self.wrong == "kind" else policy
        carry = {"carry": carry.astype(jnp.bfloat16), "lost": ()}.get(self.wrong, carry) if self.memory else carry
        return carry, Outputs(policy, value, obs)


class Values(nn.Module):
    """The same for values of actions."""

    def initial_carry(self, num_envs):
        return ()

    @nn.compact
    def __call__(self, carry, obs, first):
        return carry, QOutputs(nn.Dense(3)(obs)[..., None], obs)


@struct.dataclass
class Says(Transform):
    """Reports what it is told to."""

    report: Any = struct.field(pytree_node=False)

    def update(self, state, rollout, context):
        return state, rollout, self.report(rollout)


@struct.dataclass
class Pair(Transform):
    """Forgets its metrics."""

    def update(self, state, rollout, context):
        return state, rollout


@struct.dataclass
class First(Transform):
    """Returns its things in another order."""

    def update(self, state, rollout, context):
        return rollout, state, {}


@struct.dataclass
class Sums(Transform):
    """Rewards of another shape."""

    def update(self, state, rollout, context):
        return state, rollout.replace(reward=jnp.sum(rollout.reward, axis=0)), {}


@struct.dataclass
class Reads(Transform):
    """Reads a field of ``extras``."""

    def update(self, state, rollout, context):
        return state, rollout.with_extras(more=rollout.extras["novelty"]), {}


@struct.dataclass
class Grows(Transform):
    """Its state is of another shape after an update."""

    def init(self, key, spec):
        return jnp.zeros(())

    def update(self, state, rollout, context):
        return jnp.zeros((3,)), rollout, {}


OWN, WIDE = Own(), Own(obs_space=Box.of(0.0, 1.0, (3,)), size=3)
TASK = OWN.default_params
STACKED = jax.tree.map(lambda x: jnp.stack([x, x, x]), TASK)


def say(report):
    return {"experience": chain(Says(report), gae())}


def term(function):
    agent = ppo(minibatches=2)
    return {"agent": agent.replace(terms={**agent.terms, "mine": function}, weights={**agent.weights, "mine": 1.0})}


def dqn(**options):
    return {"agent": DQNConfig().agent(), "experience": None, **options}


WRONG = {
    # the environment
    "a name": ({"env": "CartPole-v1"}, r"pass rl\.make\('CartPole-v1'\)"),
    "a class": ({"env": Own}, r"env is the class Own: pass an object of it"),
    "nothing": ({"env": None}, r"env is a NoneType, which lacks name"),
    "gymnasium": ({"env": Stateful()}, r"its reset\(seed, options\) keeps the state inside.*JAX version"),
    "gym": ({"env": Older()}, r"its step\(action\) keeps the state inside.*JAX version"),
    "observations": ({"env": Own(obs_space=Words())}, r"the observation space is Words\(\).*Box and Dict are served.*one array"),
    "actions": ({"env": Own(act_space={"a": 1})}, r"the action space is .*Box are served"),
    "swapped": ({"env": Own(swapped=True)}, r"own: reset returned \(obs, state\).*swap them"),
    "reward": ({"env": Own(reward=(1,))}, r"own: reward is float32\[1\], expected float32\[\]; reshape it"),
    "no Step": ({"env": Own(pair=True)}, r"own: step returned a tuple, expected a rl_jax\.types\.Step"),
    # its parameters
    "stacked": ({"params": STACKED}, r"several tasks.*TaskSet\(env, params\)"),
    "one leaf stacked": ({"params": {**TASK, "goal": jnp.zeros(5)}}, r"several tasks.*TaskSet\(env, params\)"),
    "a list of tasks": ({"params": [TASK, TASK]}, r"list of 2 tasks: stack them.*TaskSet\(env, tasks\)"),
    "other params": ({"params": 3}, r"own: step cannot be traced.*\(params that fit.*'scale': \(\)"),
    "one task as a set": ({"curriculum": TaskSet(OWN, TASK)}, r"TaskSet need one leading axis \[K\].*no tasks: stack"),
    "ragged": ({"curriculum": TaskSet(OWN, {"scale": jnp.ones(2), "goal": jnp.ones(3)})}, r"leading axis \[K\].*2, 3: stack"),
    # the agent
    "a configuration": ({"agent": PPOConfig()}, r"PPOConfig, which lacks .*: call its \.trainer\(env\), or pass its \.agent\(\)"),
    "a function": ({"agent": ppo}, r"the function ppo: call it"),
    "a word": ({"agent": "ppo"}, r"agent is 'ppo'.*pass one of rl\.agents"),
    "plain network": ({"agent": ppo(network=Plain())}, r"network is a Plain.*initial_carry.*ActorCritic"),
    "plain, made": ({"agent": ppo(network=lambda spec: Plain())}, r"network is a Plain.*initial_carry.*ActorCritic"),
    "network class": ({"agent": ppo(network=Plain)}, r"the class Plain, which cannot be made from a Spec: give a flax m"),
    "network's word": ({"agent": ppo(network="mlp")}, r"network is 'mlp': give a flax module, or a function"),
    "maker of nothing": ({"agent": ppo(network=lambda spec: None)}, r"returned a NoneType: let it return a flax module"),
    "maker of two": ({"agent": ppo(network=lambda a, b: None)}, r"cannot be called as <lambda>\(spec\)"),
    "logits": ({"agent": ppo(network=Logits())}, r"network is a Logits.*without policy, value, hidden"),
    "values": (dqn(agent=rl.agents.dqn(Plain()), replay=Buffer(capacity=100)), r"network is a Plain"),
    "three logits": ({"agent": ppo(network=Answers("logits"))}, r"Answers, .*logits are float32\[1, 1, 3\], expected .*2\] for Disc"),
    "another policy": ({"agent": ppo(network=Answers("kind"))}, r"actions are float32\[1, 1\], expected int32\[1, 1\] for Discrete"),
    "value's axes": ({"agent": ppo(network=Answers("value"))}, r"value is float32\[1, 1, 1\], expected float32\[1, 1\]: reshape"),
    "value's type": ({"agent": ppo(network=Answers("dtype"))}, r"value is bfloat16\[1, 1\], expected float32\[1, 1\]: .*cast"),
    "carry's type": ({"agent": ppo(network=Answers("carry", True))}, r"carry is float32\[1, 2\] before a call and bfloat16\[1, 2\]"),
    "carry lost": ({"agent": ppo(network=Answers("lost", True))}, r"carry is float32\[1, 2\] before a call and \(\) after it"),
    "three values": (dqn(agent=rl.agents.dqn(Values()), replay=Buffer(capacity=100)), r"raw is .*3, 1\], exp"),
    # what it learns from
    "no gae": ({"experience": None}, r"'policy' needs 'advantage'.*put rl\.experience\.gae\(\) into the experience chain"),
    "gae too late": ({"experience": chain(standardize_advantage(), gae())}, r"StandardizeAdvantage needs 'advantage'.*before"),
    "no targets": ({"agent": PQNConfig().agent(), "experience": None}, r"PQN needs 'value_target'.*gae"),
    "no buffer": (dqn(), r"DQN needs 'mask'.*give replay=rl\.replay\.Buffer"),
    "no such field": ({"experience": chain(Reads(), gae())}, r"Reads needs 'novelty', and .*extras are .*log_prob.*: put a transform"),
    "a list": ({"experience": [gae()]}, r"experience is a list.*rl\.chain\(first, second\)"),
    "not called": ({"experience": gae}, r"the function gae: call it"),
    "a capacity": (dqn(replay=100), r"replay is 100.*rl\.replay\.Buffer"),
    "capacity by place": (dqn(replay=Buffer(100)), r"sampler is 100.*Buffer\(capacity=100_000\)"),
    "a number of updates": ({"updates": 3}, r"updates is 3.*Constant\(4\)"),
    "tasks": ({"curriculum": STACKED}, r"curriculum is a dict.*TaskSet"),
    "half a step": ({"time_limit": 2.5}, r"time_limit must be an integer from 1 .*2\.5; leave"),
    "too long a limit": ({"time_limit": 2**40}, r"time_limit must be an integer from 1 to 2147483647"),
    "too many": ({"num_envs": 2**40}, r"num_envs must be an integer from 1 to 2147483647, not 1099"),
    "a number's text": ({"agent": ppo(learning_rate="1e-3")}, r"learning_rate must be a number from 0 .*, not '1e-3'"),
    "no number": ({"agent": ppo(entropy_weight=float("nan"))}, r"agent\.weights\['entropy'\] is nan: give a number"),
    "unlearning": ({"agent": ppo(learning_rate=-1.0)}, r"PPO's learning_rate must be a number from 0 .*, not -1\.0"),
    "no epochs": ({"agent": ppo(epochs=0)}, r"PPO's epochs must be an integer from 1 .*, not 0"),
    "no minibatches": ({"agent": ppo(minibatches=0)}, r"PPO's minibatches must be an integer from 1 .*, not 0"),
    "no optimizer": ({"agent": ppo().replace(optimizer={})}, r"there is no optimizer .* {}: use adam, radam, rmsprop"),
    "line search": ({"agent": ppo(minibatches=2).replace(optimizer=optax.lbfgs())}, r"needs more than gradients.*optax\.adam"),
    "an info's number": ({"episode_info": 5}, r"episode_info is 5: give a list of names"),
    "an info's text": ({"episode_info": "success"}, r"episode_info is 'success': give a list"),
    "no info": ({"episode_info": None}, r"episode_info is None: give a list"),
    "params and set": ({"params": TASK, "curriculum": TaskSet(OWN, STACKED)}, r"leave one of them out"),
    "another's tasks": ({"curriculum": TaskSet(WIDE, STACKED)}, r"curriculum's environment is own, and"),
    "replayed": ({"replay": Buffer(capacity=64, batch_size=4)}, r"learns from whole fresh rollouts: leave out replay"),
    "a word's buffer": (dqn(replay=Buffer(capacity="100")), r"capacity must be an integer from 1 .*, not '100'"),
    "no buffer's size": (dqn(replay=Buffer(capacity=None)), r"capacity must be an integer from 1 .*, not None"),
    "a word's finals": (dqn(replay=Buffer(capacity=100, finals="x")), r"finals (must be a number from|is) .*'x'"),
    "targets not called": (dqn(replay=Buffer(capacity=100, transforms=n_step)), r"transforms is the function n_step: call it"),
    # what parts return
    "rollout first": ({"experience": chain(First(), gae())}, r"First\.update returned a tuple as rollout: let it return \(state, r"),
    "rewards' shape": ({"experience": chain(gae(), Sums())}, r"whose reward is float32\[4\], expected float32\[8, 4\]: keep its shape"),
    "a number's name": (say(lambda rollout: {5: 1.0}), r"a metric is called 5: call it by a text"),
    "two of three": ({"experience": chain(Pair(), gae())}, r"Pair\.update returned a tuple of 2: let it return \(state, rollout, m"),
    "no metrics": (say(lambda rollout: None), r"Says\.update returned a NoneType as metrics: let it be a dict"),
    "alone too": ({"experience": Says(lambda rollout: None)}, r"Says\.update returned a NoneType as metrics"),
    "an array": (say(lambda rollout: {"mine/x": rollout.reward}), r"'mine/x' is an array of shape \[8, 4\]: report a number"),
    "words": (say(lambda rollout: {"mine/x": "much"}), r"'mine/x' is a str: report a number"),
    "taken by the loop": (say(lambda rollout: {"episode/return": 1.0}), r"two parts report a metric 'episode/return'"),
    "taken by the agent": (say(lambda rollout: {"policy/kl": 1.0}), r"two parts report a metric 'policy/kl'"),
    "taken by a term": (term(lambda p, b, c: (jnp.zeros(()), {"policy/kl": 1.0})), r"two parts report a metric 'policy/kl'"),
    "taken by rows": (say(lambda rollout: {"seed": 1.0}), r"called 'seed', as every row.*'mine/seed'"),
    "only a loss": (term(lambda p, b, c: jnp.zeros(())), r"'mine' returned a .*: let it return \(loss, metrics\)"),
    "growing": ({"experience": chain(Grows(), gae())}, r"state\.experience\[0\] is float32\[\] before a train step and float32\[3\]"),
}  # fmt: skip


def shapes(**changes):
    """The shapes of a run, from which nothing is compiled."""
    given = {"env": OWN, "agent": ppo(minibatches=2), "experience": gae(), "num_envs": 4, "rollout_length": 8, **changes}
    trainer = rl.Trainer.create(**given)
    state = jax.eval_shape(lambda key: trainer.init(key, 1000), jax.random.key(0))
    return jax.eval_shape(trainer.advance, state, 2)


def test_parts_that_are_right_pass():
    assert "episode/return" in shapes()[1]
    assert "episode/return" in shapes(agent=ppo(network=Answers(memory=True), minibatches=2))[1]
    assert "episode/return" in shapes(curriculum=TaskSet(OWN, STACKED))[1]
    assert "mine/x" in shapes(**say(lambda rollout: {"mine/x": jnp.mean(rollout.reward)}))[1]


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_that_names_the_fix(case):
    changes, message = WRONG[case]
    with pytest.raises(RLJaxError) as found:
        shapes(**changes)
    assert "\n" not in str(found.value)
    assert re.search(message, str(found.value)), found.value


def test_an_error_that_is_none_of_these_stays_what_it_is():
    """The environment is right, so what fails elsewhere is not blamed on it."""
    with pytest.raises(ZeroDivisionError):
        shapes(**say(lambda rollout: {"mine/x": 1 / 0}))


def test_two_writers_of_one_metric_are_refused():
    assert joined({"a": 1}, {}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(RLJaxError, match="two parts report a metric 'a': give one of them another name"):
        joined({"a": 1}, {"b": 2}, {"a": 1})
    terms = {"one": lambda p, b, c: (1.0, {"loss/two": 1.0}), "two": lambda p, b, c: (2.0, {})}
    with pytest.raises(RLJaxError, match="loss/two"):
        weighted_sum(terms, {"one": 1.0, "two": 1.0}, None, None, None)
    # A sweep's label and a metric.
    with pytest.raises(RLJaxError, match="'gamma'"):
        rows_of([{"seed": 0, "gamma": 0.9}], {"gamma": jnp.ones(1)}, 8, 0.0, 1.0, jnp.zeros(1, bool))


def test_names_that_rows_have_are_reserved():
    row = rows_of([{"seed": 0}], {"mine/x": jnp.ones(1)}, 8, 0.0, 1.0, jnp.zeros(1, bool))[0]
    assert set(row) - {"mine/x"} <= set(RESERVED)


def test_a_state_that_changes_is_named():
    state = {"a": jnp.zeros(2), "b": (jnp.zeros((), jnp.int32),)}
    check_same(state, jax.tree.map(lambda x: x + 1, state))
    with pytest.raises(RLJaxError, match=r"state\['b'\]\[0\] is int32\[\] before a train step and float32\[\] after"):
        check_same(state, {**state, "b": (jnp.zeros(()),)})
    with pytest.raises(RLJaxError, match=r"state\['b'\]\[0\] is int32\[\] before a train step and missing after"):
        check_same(state, {**state, "b": ()})


def test_agents_refuse_numbers_out_of_range():
    """All alike, where they are bound."""
    spec = rl.types.Spec(UNIT, Box.of(-1.0, 1.0, (2,)), 1, 1)
    discrete = rl.types.Spec(UNIT, TWO, 1, 1)
    agents = rl.agents
    for agent in (agents.sac(), agents.td3(), agents.stream_ac(), agents.StreamTD()):
        for value in (-1.0, float("nan"), "1e-3"):
            with pytest.raises(RLJaxError, match="learning_rate must be a number from 0"):
                agent.replace(learning_rate=value).bind(spec)
    for agent in (agents.dqn(), agents.pqn(), agents.stream_q()):
        with pytest.raises(RLJaxError, match="learning_rate must be a number from 0"):
            agent.replace(learning_rate=-1.0).bind(discrete)


def test_a_run_that_cannot_be_played_or_begun():
    """How long it is, how many episodes are played, and in which task."""
    trainer = rl.Trainer.create(OWN, ppo(minibatches=2), gae(), num_envs=4, rollout_length=8)
    key = jax.random.key(0)
    for steps in (-1, "9", float("nan"), None):
        with pytest.raises(RLJaxError, match="num_steps must be a number from 0"):
            trainer.init(key, steps)
    for function, match in (
        (lambda: rl.evaluate(trainer, None, key, num_episodes=0), "num_episodes must be an integer from 1"),
        (lambda: rl.evaluate(trainer, None, key, max_steps=2.5), "max_steps must be an integer from 1"),
        (
            lambda: rl.evaluate(trainer, None, key, task=STACKED),
            r"task holds several tasks .*TaskSet\(env, task\), or give one",
        ),
        (lambda: rl.play(trainer, None, key, 0, 5), "num_envs must be an integer from 1"),
        (lambda: rl.play(trainer, None, key, 2, 0), "steps must be an integer from 1"),
        (lambda: rl.make(None), "name is a text, such as 'CartPole-v1', not None"),
    ):
        with pytest.raises(RLJaxError, match=match):
            function()
