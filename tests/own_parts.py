"""Parts that a user might write, in one file that is no part of the package: a network, a transform, an agent, an environment."""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import struct

import rl_jax as rl
from rl_jax.experience import Transform
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Step
from rl_jax.values import Range


@dataclass(frozen=True)
class Net:
    """Logits and a value from one hidden layer; without flax, which takes long to trace."""

    width: int = 4

    def init(self, key, obs):
        keys = jax.random.split(key)
        return {"in": jax.random.normal(keys[0], (*obs.shape, self.width)), "out": jax.random.normal(keys[1], (self.width, 3))}

    def apply(self, params, obs):
        outputs = jnp.tanh(obs @ params["in"]) @ params["out"]
        return outputs[..., :2], outputs[..., 2]


@struct.dataclass
class Bonus(Transform):
    """Adds a number to each reward, and counts the steps."""

    weight: Any = 0.1

    def init(self, key, spec):
        return jnp.zeros(())

    def update(self, state, rollout, context):
        return state + rollout.reward.size, rollout.replace(reward=rollout.reward + self.weight), {"bonus/steps": state}


@struct.dataclass
class Reinforce:
    """REINFORCE with a learned value, by plain gradient descent."""

    learning_rate: Any = 0.1
    net: Any = struct.field(pytree_node=False, default=Net())
    name: str = struct.field(pytree_node=False, default="Reinforce")

    def bind(self, spec):
        return self

    def init(self, key, spec):
        return self.net.init(key, jnp.zeros(spec.obs_space.shape))

    def initial_carry(self, num_envs):
        return ()

    def prepare(self, state, context):
        return state

    def act(self, state, carry, obs, first, key, greedy=False):
        logits = self.net.apply(state, obs)[0]
        action = jnp.argmax(logits, -1) if greedy else jax.random.categorical(key, logits)
        return carry, action.astype(jnp.int32), {"value": self.net.apply(state, obs)[1]}

    def value(self, state, carry, obs, first):
        return self.net.apply(state, obs)[1]

    def learn(self, state, sample, context):
        def loss(params):
            logits, value = self.net.apply(params, sample.batch.obs)
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), sample.batch.action[..., None], -1)[..., 0]
            error = sample.batch.extras["value_target"] - value
            return jnp.mean(error**2) - jnp.mean(chosen * sample.batch.extras["advantage"])

        value, gradient = jax.value_and_grad(loss)(state)
        state = jax.tree.map(lambda x, g: x - self.learning_rate * g, state, gradient)
        return state, {"loss/all": value}, None

    def refresh(self, state, carry):
        return carry

    def params(self, state):
        return state


@dataclass(frozen=True)
class Line:
    """A walk on a line: right is rewarded; it draws itself."""

    name: str = "line"
    time_limit: int | None = 5

    @property
    def default_params(self):
        return jnp.float32(1.0)

    def observation_space(self, params):
        return Box.of(-10.0, 10.0, (1,))

    def action_space(self, params):
        return Discrete(2)

    def reset(self, key, params):
        start = jax.random.uniform(key)
        return start, start[None]

    def step(self, key, state, action, params):
        state = state + 2.0 * action - 1.0
        no = jnp.zeros((), bool)
        return Step(state, state[None], params * action, no, no, {})

    def draw(self, state, params):
        return jnp.full((8, 8, 3), 100 + 10 * state, jnp.uint8)


def make_line(limit: int = 5):
    """An environment for the command line."""
    return Line(time_limit=limit)


@dataclass(frozen=True)
class Config:
    """The run's numbers."""

    num_envs: Annotated[int, Range(1, 1000)] = 2
    """Environments side by side."""
    learning_rate: Annotated[float, Range(0, 10)] = 0.1
    """Step size of the descent."""
    bonus: Annotated[float, Range(-10, 10)] = 0.1
    """What is added to each reward."""
    width: Annotated[int, Range(1, 1000)] = 4
    """Hidden units."""

    def trainer(self, env, **options):
        """The whole run."""
        return rl.Trainer.create(
            env=env,
            agent=Reinforce(self.learning_rate, Net(self.width)),
            experience=rl.chain(Bonus(self.bonus), rl.experience.gae()),
            num_envs=self.num_envs,
            rollout_length=4,
            **options,
        )
