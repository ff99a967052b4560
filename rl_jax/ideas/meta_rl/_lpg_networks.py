"""The networks of a learned policy gradient: the agent's own, and the rule that says how the agent learns."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.networks.memory.recurrent import GRU
from rl_jax.networks.torsos import MLP, Dense, to_vector
from rl_jax.ops.arrays.product import product
from rl_jax.spaces import Discrete, Space
from rl_jax.types import Key, PyTree


class Readout(nn.Module):
    """Observations ``[..., space]`` to ``[..., features]``, all zero at initialisation.

    Without hidden layers it is one row of a table for each observation: looked up if these are numbers, else a sum of rows
    weighted by the vector's elements.

    Attributes:
        space: of the observations.
        features: outputs.
        hidden: widths of the layers between.
    """

    space: Space
    features: int
    hidden: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        if self.hidden:
            x = MLP(self.hidden, nn.relu)(to_vector(obs, self.space))
            return Dense(self.features, kernel_init=nn.initializers.zeros)(x)
        if isinstance(self.space, Discrete):
            return self.param("table", nn.initializers.zeros, (self.space.n, self.features), jnp.float32)[obs]
        x = to_vector(obs, self.space)
        table = self.param("table", nn.initializers.zeros, (x.shape[-1], self.features), jnp.float32)
        return product(x.reshape(-1, x.shape[-1]), table).reshape(*x.shape[:-1], self.features)


@struct.dataclass
class Experienced:
    """The rule's inputs from a rollout, all ``[T, N]`` but the predictions, ``[T, N, m]``, and the scalars ``progress``,
    ``horizon``.

    Attributes:
        reward: of the step.
        terminated: the task ended with it, so nothing follows.
        done: the episode ended with it, for whichever reason: what comes after in time is of another episode.
        chance: ``pi(a|s)`` of the action taken.
        prediction, next_prediction: ``y(s_t)`` and ``y(s_{t+1})``, probabilities.
        progress: ``n / N``, the share of the agent's life that is over.
        horizon: ``N``, the train steps of its life.
    """

    reward: jax.Array
    terminated: jax.Array
    done: jax.Array
    chance: jax.Array
    prediction: jax.Array
    next_prediction: jax.Array
    progress: jax.Array
    horizon: jax.Array


class LPGRule(nn.Module):
    """From experience, backwards in time, what each step should do to the policy and what it should have predicted.

    Oh et al. 2020, "Discovering Reinforcement Learning Algorithms" (arXiv 2007.08794), section 3.2: a recurrent network reads
    ``[r_t, d_t, pi(a_t|s_t), phi(y(s_t)), phi(y(s_{t+1}))]`` from the last step to the first, with the memory cleared where an
    episode ends. With ``time_aware`` it reads ``[n / N, log N]`` too (Jackson et al. 2024, arXiv 2402.05828, eq. 9). As in
    their code, https://github.com/EmptyJackson/groove, the memory is a GRU, and the discount, which is constant, is left out.
    That code passes ``n`` and ``N`` as they are; here it is the paper's ratio, and the logarithm to base 10, which is near 1
    for usual lives.

    ``d_t`` and the erased ``phi(y(s_{t+1}))`` say that the task ended. A time limit only clears the memory: the observation
    that it cut off is known, and so is what was predicted there. (The published code knows one kind of end.)

    Attributes:
        width: of the GRU.
        bins: ``m``, of the predictions.
        embedding: width of the hidden layer of ``phi``.
        time_aware: whether the rule reads ``progress`` and ``horizon``.
    """

    width: int = 32
    bins: int = 8
    embedding: int = 16
    time_aware: bool = True

    @nn.compact
    def __call__(self, inputs: Experienced) -> tuple[jax.Array, jax.Array]:
        """``pi_hat`` ``[T, N]``, an advantage in the rule's own unit, and the logits of ``y_hat`` ``[T, N, m]``."""
        hidden, last = MLP((self.embedding,), nn.relu, name="phi_hidden"), Dense(1, 1.0, name="phi")
        prediction, next_prediction = last(hidden(inputs.prediction)), last(hidden(inputs.next_prediction))
        parts = [inputs.reward[..., None], inputs.terminated[..., None], inputs.chance[..., None], prediction]
        parts.append(jnp.where(inputs.terminated[..., None], 0.0, next_prediction))
        if self.time_aware:
            clock = jnp.stack([inputs.progress, jnp.log10(inputs.horizon)])
            parts.append(jnp.broadcast_to(clock, (*inputs.reward.shape, 2)))
        x = jnp.concatenate([part.astype(jnp.float32) for part in parts], axis=-1)
        memory = GRU(self.width, name="memory")
        _, backwards = memory(memory.initial_carry(x.shape[1]), x[::-1], inputs.done[::-1])
        x = nn.relu(backwards[::-1])
        return Dense(1, 1.0, name="pi_hat")(x)[..., 0], Dense(self.bins, 1.0, name="y_hat")(x)

    @nn.nowrap
    def weights(self, key: Key) -> PyTree:
        """Random weights of a rule that nothing was learned of, but those of the clock, which are zero: time means nothing yet."""
        ones = jnp.ones((1, 1), jnp.float32)
        y = jnp.full((1, 1, self.bins), 1.0 / self.bins, jnp.float32)
        no = jnp.zeros((1, 1), bool)
        scalar = jnp.ones((), jnp.float32)
        params = self.init(key, Experienced(ones, no, no, ones, y, y, scalar, scalar))["params"]
        if not self.time_aware:
            return {"params": params}
        memory = params["memory"]
        kernel = memory["input"]["kernel"].at[-2:].set(0.0)
        return {"params": {**params, "memory": {**memory, "input": {**memory["input"], "kernel": kernel}}}}
