"""Base policies of token worlds, cloned from a demonstrator whose faults are known."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.agents.base import AgentWrapper
from rl_jax.agents.optimizers import optimizer
from rl_jax.envs.tokens.task import demonstrator
from rl_jax.envs.tokens.world import TokenWorld
from rl_jax.errors import RLJaxError
from rl_jax.networks.build import build_recurrent_network, init_params
from rl_jax.ops import apply_updates
from rl_jax.types import Key, PyTree, Spec


def demonstrations(world: TokenWorld, key: Key, batch: int, params: PyTree) -> tuple[jax.Array, jax.Array]:
    """Tapes of fresh problems: tokens ``int32 [L + 1, B]``, and which of them a policy is to write, ``bool [L + 1, B]``."""

    demonstrate = demonstrator(world.task, world.name)

    def tape(key: Key) -> tuple[jax.Array, jax.Array]:
        key_problem, key_tape = jax.random.split(key)
        return demonstrate(key_tape, world.task.draw(key_problem, params), params)

    return jax.vmap(tape, out_axes=1)(jax.random.split(key, batch))


def check_demonstrations(world: TokenWorld, params: PyTree, length: int) -> None:
    """Refuse a world whose tapes cannot be cloned in rollouts of ``length`` steps. Nothing is computed.

    Raises:
        RLJaxError: the task demonstrates nothing, or tapes of another shape, or rollouts are shorter than its tapes.
    """
    tapes = jax.eval_shape(lambda key: demonstrations(world, key, 1, params), jax.random.key(0))
    shape = (world.task.length + 1, 1)
    for name, dtype, found in zip(("tokens", "own"), (jnp.int32, jnp.bool_), tapes, strict=True):
        if (found.shape, found.dtype) != (shape, jnp.dtype(dtype)):
            raise RLJaxError(
                f"{world.name}: demonstrate returned {name} {found.dtype}{list(found.shape[:-1])}, expected the whole tape "
                f"{jnp.dtype(dtype)}[{shape[0]}]"
            )
    if length < world.own_limit:
        raise RLJaxError(
            f"demonstrations of {world.name} have {world.own_limit} steps, and rollouts {length}: use --rollout-length "
            f"{world.own_limit} and no shorter --time-limit, or --clone-steps 0"
        )


def cloning_loss(weights: PyTree, network: Any, tokens: jax.Array, own: jax.Array) -> jax.Array:
    """The mean of ``-log pi`` over own tokens, in nats; tapes ``[L + 1, B]``."""
    obs, action, own = tokens[:-1], tokens[1:], own[1:]
    first = jnp.zeros(obs.shape, bool).at[0].set(True)
    outputs = network.apply(weights, network.initial_carry(obs.shape[1]), obs, first)[1]
    return -jnp.sum(jnp.where(own, outputs.policy.log_prob(action), 0.0)) / jnp.maximum(jnp.sum(own), 1)


def warm_up(
    agent: Any,
    world: TokenWorld,
    key: Key,
    steps: int,
    batch: int,
    params: PyTree = None,
    learning_rate: float | jax.Array = 3e-3,
    steady: float = 0.75,
) -> PyTree:
    """Fresh parameters of an agent's network after ``steps`` steps of maximum likelihood, each on ``batch`` new tapes.

    No step is taken in the environment. Adam's learning rate falls linearly to zero, gradients are bounded by a global norm of 1, and
    what only a critic uses stays as it was drawn. Pure: ``jit`` and ``vmap`` over keys, ``params`` and learning rates work.

    The demonstrator does not slip in the first steps, if its task has ``without_slips(params)``: what is to be done is learned
    suddenly, after a plateau that slips make several times longer. Only then are slips learned, which takes few steps. Measured on
    ``tokens/chain`` (four operands, slip 0.3, two layers of 32, 1000 steps of 128 tapes, four seeds): sampled answers are right in 0.31
    to 0.37 of the cases, greedy ones in 0.95 to 1; with slips from the beginning (800 steps) in 0.19 to 0.23, and 0.23 to 0.45.

    Args:
        agent: whose network learns, such as a :class:`~rl_jax.agents.PolicyGradient`.
        world: whose task draws and demonstrates.
        key: of the parameters and the tapes.
        steps, batch: static.
        params: of the task; the world's defaults if ``None``.
        learning_rate: at the start.
        steady: share of the steps without slips.

    Returns:
        Parameters, as the agent's ``init`` makes them.
    """
    params = world.default_params if params is None else params
    spaces = world.observation_space(params), world.action_space(params)
    spec = Spec(*spaces, num_envs=batch, rollout_length=world.own_limit, whole=True)
    network = build_recurrent_network(agent.network, spec)
    key_init, key_tapes = jax.random.split(key)
    weights = init_params(network, key_init, spec, {"policy": ()})
    adam = optimizer("adam", max_grad_norm=1.0)
    without_slips = getattr(world.task, "without_slips", lambda params: params)(params)

    def step(state: tuple[PyTree, optax.OptState], index: tuple[jax.Array, Key]) -> tuple[Any, None]:
        weights, moments = state
        done, key = index
        now = jax.tree.map(lambda a, b: jnp.where(done < steady * steps, a, b), without_slips, params)
        grads = jax.grad(cloning_loss)(weights, network, *demonstrations(world, key, batch, now))
        updates, moments = adam.update(grads, moments, weights)
        return (apply_updates(weights, updates, learning_rate * (1.0 - done / steps)), moments), None

    items = jnp.arange(steps, dtype=jnp.float32), jax.random.split(key_tapes, steps)
    return jax.lax.scan(step, (weights, adam.init(weights)), items)[0][0]


@struct.dataclass
class ClonedState:
    """The state of the agent that was cloned."""

    agent: Any


@struct.dataclass
class Cloned(AgentWrapper):
    """An agent that begins with the parameters of :func:`warm_up`: each run has a base policy of its own.

    Attributes:
        agent: a :class:`~rl_jax.agents.PolicyGradient`.
        world: the token world that it is trained in.
        steps, batch: of cloning.
        task: the world's ``params``; its defaults if ``None``.
    """

    agent: Any
    world: TokenWorld = struct.field(pytree_node=False)
    steps: int = struct.field(pytree_node=False, default=1000)
    batch: int = struct.field(pytree_node=False, default=128)
    task: PyTree = None

    def init(self, key: Key, spec: Spec) -> ClonedState:
        """Clone, then begin as the agent does with these parameters."""
        key_clone, key_agent = jax.random.split(key)
        params = warm_up(self.agent, self.world, key_clone, self.steps, self.batch, self.task)
        return ClonedState(self.agent.replace(initial_params=params).init(key_agent, spec))
