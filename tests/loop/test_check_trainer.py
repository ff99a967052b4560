"""Mistakes in one's own parts are one line that names the part and the fix, before anything is compiled."""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from flax.core import FrozenDict
from own_parts import Bonus, Config, Line, Reinforce
from toy import unchecked

import rl_jax as rl
from rl_jax.loop.check_trainer import check_trainer
from rl_jax.networks.actor_critic import Outputs
from rl_jax.networks.distributions import Categorical


def built(agent=None, transform=None, env=None, gae=True, **options):
    """A trainer with parts that are right, but for those that are given."""
    chain = [Bonus() if transform is None else transform, *([rl.experience.gae()] if gae else [])]
    agent, env = agent or Reinforce(), env or Line()
    return rl.Trainer.create(env, agent, rl.chain(*chain), num_envs=2, rollout_length=4, **options)


@struct.dataclass
class Acts(Reinforce):
    """Changes the action that it returns."""

    change: Any = struct.field(pytree_node=False, default=None)

    def act(self, *args, **options):
        carry, action, extras = super().act(*args, **options)
        return carry, self.change(action), extras


@struct.dataclass
class Learns(Reinforce):
    """Changes the state, or the metrics, that it returns."""

    change: Any = struct.field(pytree_node=False, default=lambda state: state)
    metrics: Any = struct.field(pytree_node=False, default=None)

    def learn(self, *args):
        state, metrics, priorities = super().learn(*args)
        return self.change(state), self.metrics or metrics, priorities


@struct.dataclass
class Vector(Reinforce):
    """Differentiates a loss that is no number."""

    def learn(self, state, sample, context):
        def loss(params):
            return self.net.apply(params, sample.batch.obs)[1]

        return state, {}, jax.grad(loss)(state)


@struct.dataclass
class Asks(Bonus):
    """Asks an array in Python."""

    def update(self, state, rollout, context):
        if jnp.sum(rollout.reward) > 0:
            state = state + 1.0
        return state, rollout, {}


@struct.dataclass
class Keeps(Bonus):
    """Draws with a key of its own; ``how`` it goes on."""

    how: str = struct.field(pytree_node=False, default="same")

    def init(self, key, spec):
        return key

    def update(self, state, rollout, context):
        after, key = jax.random.split(state) if self.how == "split" else (state, state)
        noise = jax.random.normal(key, rollout.reward.shape)
        after = jax.random.PRNGKey(0) if self.how == "raw" else after
        return after, rollout.replace(reward=rollout.reward + noise), {}


class Plain:
    """A transform that is no pytree."""

    init, observe, update = Bonus.init, Bonus.observe, Bonus.update
    weight = 1.0


@struct.dataclass
class Table(Bonus):
    """Holds an array where programs are compared."""

    table: Any = struct.field(pytree_node=False, default=None)


class Wide(nn.Module):
    """Called as PPO's network is, with a logit too many."""

    @nn.compact
    def __call__(self, carry, obs, first):
        return carry, Outputs(Categorical(nn.Dense(3)(obs)), nn.Dense(1)(obs)[..., 0], obs)

    def initial_carry(self, num_envs):
        return ()


class Mutable(Line):
    """An environment that compares by value and cannot be hashed."""

    __hash__ = None


def ppo(**options):
    return rl.agents.ppo(minibatches=2, **options)


@struct.dataclass
class Term:
    """A loss term of the shape of some number of the batch."""

    loss: Any = struct.field(pytree_node=False)

    def __call__(self, params, batch, context):
        return self.loss(batch), {}


def with_term(term):
    agent = ppo()
    return agent.replace(terms={**agent.terms, "mine": term}, weights={**agent.weights, "mine": 1.0})


WRONG = {
    "a network's shape": (lambda: built(ppo(network=Wide())), r"Wide, .*logits are float32\[1, 1, 3\], expected float32\[1, 1, 2\]"),
    "an action's shape": (
        lambda: built(Acts(change=lambda x: x[:, None])),
        r"Acts\.act with greedy=False returned int32\[2, 1\] as action, expected int32\[2\] for Discrete\(2\); reshape",
    ),
    "an action's dtype": (
        lambda: built(Acts(change=lambda x: x.astype(jnp.float32))),
        r"Acts\.act .* returned float32\[2\] as action, expected int32\[2\].*cast",
    ),
    "a missing extra": (lambda: built(gae=False), r"Reinforce needs 'value_target'.*rl\.experience\.gae\(\) into the experience"),
    "a state's structure": (
        lambda: built(Learns(change=lambda state: {"more": state})),
        r"Learns: its state\['in'\].* is float32.* from init and missing after a train step",
    ),
    "a state's container": (
        lambda: built(Learns(change=FrozenDict)),
        r"Learns: its state is a dict from init and a FrozenDict after a train step; let both have one structure",
    ),
    "a state's dtype": (
        lambda: built(Learns(change=lambda state: jax.tree.map(lambda x: x.astype(jnp.bfloat16), state))),
        r"Learns: its state\['in'\].* is float32\[.*\] from init and bfloat16\[.*one structure, shape and dtype",
    ),
    "the same in a loop": (
        lambda: built(Learns(change=lambda state: jax.tree.map(lambda x: x[None], state)), updates=rl.loop.Constant(2)),
        r"Learns\.learn: its state\['in'\].* is float32\[1, 4\] before and float32\[1, 1, 4\] after it",
    ),
    "a loss that is a vector": (
        lambda: built(Vector()),
        r"Vector\.learn \(test_check_trainer\.py, line \d+\) raised TypeError: Gradient only defined for scalar.*mean",
    ),
    "a term of another shape": (
        lambda: built(with_term(Term(lambda batch: jnp.zeros(7)))),
        r"the loss term 'mine' returned a loss float32\[7\]: let it be a number, or one for each item of the batch \[T, B\]",
    ),
    "a term that is a function": (
        lambda: built(with_term(lambda params, batch, context: (0.0, {}))),
        r"agent\.terms\['mine'\] is a function, which is no pytree: write it as a class with __call__, @flax\.struct\.dataclass",
    ),
    "a metric that is a text": (
        lambda: built(Learns(metrics={"mine/x": "much"})),
        r"Learns\.learn: the metric 'mine/x' is a str: report a number",
    ),
    "a key used twice": (
        lambda: built(transform=Keeps()),
        r"Keeps: its state is a random key that a train step uses and does not change.*jax\.random\.split, or .*fold_in",
    ),
    "a key of another kind": (
        lambda: built(transform=Keeps(how="raw")),
        r"Keeps: its state is key<.*>\[\] from init and uint32\[2\] after a train step; let both be typed keys",
    ),
    "no pytree": (lambda: built(transform=Plain()), r"experience\.transforms\[0\] is a Plain, .*@flax\.struct\.dataclass"),
    "an array among static fields": (
        lambda: built(transform=Table(table=np.zeros(3))),
        r"Table: its static field table holds an array.*let the field be a leaf",
    ),
    "an environment without a hash": (lambda: built(env=Mutable()), r"Mutable: this environment cannot be hashed.*frozen=True"),
    "an array that is asked": (
        lambda: built(transform=Asks()),
        r"Asks\.update \(test_check_trainer\.py, line \d+\) raised TracerBool.*jnp\.where, jnp\.logical_and or jax\.lax\.cond",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_in_a_part_is_one_line(case):
    make, message = WRONG[case]
    with pytest.raises(rl.RLJaxError) as found, unchecked():
        check_trainer(make())
    assert "\n" not in str(found.value)
    assert re.search(message, str(found.value)), found.value


def test_parts_that_are_right_pass():
    check_trainer(Config().trainer(Line()))
    check_trainer(built(transform=Keeps(how="split")))
    check_trainer(built(with_term(Term(lambda batch: batch.reward)), updates=rl.loop.Constant(2)))


def test_what_no_part_has_raised_stays_what_it_is(monkeypatch):
    monkeypatch.setattr("rl_jax.loop.check_trainer._check_acting", {}.__getitem__)
    with pytest.raises(TypeError):
        check_trainer(built())
