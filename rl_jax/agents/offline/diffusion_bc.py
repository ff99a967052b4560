"""Diffusion policy: behavioural cloning by a network that turns noise into actions."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.agents.chunked import Chunked
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.generative import DiffusionBCConfig, denoiser_layers
from rl_jax.agents.continuous import check_bounded, single_steps
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.argument_checks import check_numbers
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.denoiser import denoiser
from rl_jax.ops import apply_updates, batch_parallel, polyak
from rl_jax.ops.denoising.ddpm import DDPM
from rl_jax.ops.denoising.edm import EDM
from rl_jax.ops.denoising.flow import Flow
from rl_jax.ops.denoising.process import draw_targets, losses
from rl_jax.spaces import Box, Space, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec
from rl_jax.values import Count, Share

#: Of actions within -1 and 1, by name. EDM's noise levels are BESO's (Reuss et al. 2023, arXiv 2304.02532): no larger than the
#: actions, so that few steps suffice. DDPM is Chi et al.'s: 100 steps, cosine.
PROCESSES: dict[str, Any] = {
    "edm": EDM(sigma_min=0.005, sigma_max=1.0, rho=5.0, bound=1.0),
    "ddpm": DDPM(length=100, bound=1.0),
    "flow": Flow(),
}


@struct.dataclass
class DiffusionCloneState:
    """Parameters, their slow copy that acts (``target``), and the optimiser's state."""

    params: PyTree
    target: PyTree
    opt: PyTree


@struct.dataclass(kw_only=True)
class DiffusionClone(AgentBase):
    """Learns to remove noise from the data's actions, in single steps ``[1, B]``; acts by removing it from noise alone.

    Chi et al. 2023, "Diffusion Policy", arXiv 2303.04137: the loss is eq. 5 in the form that the process asks for, and an action is
    drawn by a deterministic sampler from noise. There is no mode to be greedy with, so acting draws noise always: what lies between
    two actions of the data is then neither theirs nor likely. Within :class:`rl_jax.agents.chunked.Chunked` an action is a whole chunk.

    Attributes:
        learning_rate: a number, an array to sweep, or a schedule of optax, in steps.
        optimizer: a name, or a transformation of optax.
        tau: share of the way that the copy of the network which acts moves per learning step.
        process: how actions become noise, a :class:`~rl_jax.ops.denoising.process.Process`.
        sampler_steps: calls of the network per action; static, and may be changed after learning.
        network: a module, or a function from :class:`~rl_jax.types.Spec` to one: noisy actions ``[B, ...]``, times ``[B]`` and
            observations to what the process asks for, ``[B, ...]``.
        space: the action space, set by :meth:`bind`.
        name: what errors call this agent.
    """

    learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    tau: Any
    process: Any
    sampler_steps: int = struct.field(pytree_node=False)
    network: Maker = struct.field(pytree_node=False)
    space: Space | None = struct.field(pytree_node=False, default=None)
    name: str = struct.field(pytree_node=False, default="diffusion BC")

    def bind(self, spec: Spec) -> "DiffusionClone":
        """Fit the network to the spaces.

        Raises:
            UnsupportedSpace: the action space is not a bounded box.
        """
        check_supported(self.name, spec.action_space, (Box,))
        check_bounded(self.name, spec.action_space)
        check_numbers(f"{self.name}'s", self, tau=Share, sampler_steps=Count)
        agent = bind_optimizer(self, "learning_rate").replace(space=spec.action_space)  # type: ignore[attr-defined]
        return agent.replace(network=build_network(self.network, actor_spec(spec)))

    def init(self, key: Key, spec: Spec) -> DiffusionCloneState:
        """Fresh parameters; those that act are a copy."""
        action = jnp.zeros((1, *spec.action_space.shape), jnp.float32)
        obs = without_privileged(example(spec.obs_space, 1))
        params = self.network.init(key, action, jnp.zeros((1,), jnp.float32), obs)  # type: ignore[union-attr]
        return DiffusionCloneState(params, jax.tree.map(jnp.copy, params), optimizer(self.optimizer, pack=params).init(params))

    def denoise(self, params: PyTree, obs: PyTree, x: jax.Array, time: jax.Array) -> jax.Array:
        """What the network says of noisy actions ``x`` ``[B, ...]`` at times ``[B]``."""
        return batch_parallel(self.network.apply, params, (x, time, without_privileged(obs)), (0, 0, 0), 0)  # type: ignore[union-attr]

    def act(
        self, state: DiffusionCloneState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]`` of fresh noise, greedy or not."""
        space: Any = self.space
        noise = jax.random.normal(key, (first.shape[0], *space.shape), jnp.float32)
        action = self.process.sample(partial(self.denoise, state.target, obs), noise, self.sampler_steps)
        return carry, jnp.clip(action, -1.0, 1.0), {}

    def value(self, state: DiffusionCloneState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """Zeros ``[N]``: cloning knows no values."""
        return jnp.zeros(first.shape, jnp.float32)

    def learn(self, state: DiffusionCloneState, sample: Sample, context: Context) -> tuple[DiffusionCloneState, Metrics, None]:
        """One step."""
        batch, weights = single_steps(sample), 1.0 if sample.weights is None else sample.weights
        targets = draw_targets(self.process, context.key, batch.action)

        def mean_loss(params: PyTree) -> jax.Array:
            return jnp.mean(weights * losses(partial(self.denoise, params, batch.obs), targets))

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        updates, opt = optimizer(self.optimizer, pack=state.params).update(grads, state.opt, state.params)
        params = apply_updates(state.params, updates, step_size(self.optimizer, self.learning_rate, context))
        return DiffusionCloneState(params, polyak(state.target, params, self.tau), opt), {"loss/denoise": loss}, None


def diffusion_bc(
    network: Maker | None = None, *, config: DiffusionBCConfig | None = None, **overrides: Any
) -> DiffusionClone | Chunked:
    """Diffusion policy (Chi et al. 2023, arXiv 2303.04137). With chunks it needs a replay with :class:`rl_jax.replay.ActionChunks`.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual denoiser.
        config: all numbers; default :class:`~rl_jax.agents.configs.DiffusionBCConfig` as it is.
        overrides: its fields that shall be others, such as ``sampler_steps=10``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(DiffusionBCConfig, config, overrides, network=network)
    agent = DiffusionClone(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        process=PROCESSES[numbers.process],
        sampler_steps=numbers.sampler_steps,
        network=usual(network, partial(denoiser, **denoiser_layers(numbers))),
    )
    return agent if numbers.chunk == 1 and numbers.executed == 1 else Chunked(agent, numbers.chunk, numbers.executed)
