"""Meta-gradients: how a later policy's objective changes with the weights of the rule that its agent learns by.

Oh et al. 2020, "Discovering Reinforcement Learning Algorithms" (arXiv 2007.08794), eq. 4 and 5, with the advantage and the
constants of https://github.com/EmptyJackson/groove: differentiated are ``K`` updates of an agent in the middle of its life, and
then a policy gradient on a fresh rollout of what it has become. Entropies in the penalties are those after each update, as there.

The critic learns one step on each of the ``K`` rollouts, before the advantages of the fresh one are taken. That is the order of that
code, which is meant to take one more step on the fresh rollout. But its gradient is always zero (``meta/train.py`` throws the state
with the differentiated parameters away), so that advantages there are relative to a critic that never learned.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, TrainState
from rl_jax.losses.terms import standardized
from rl_jax.ops import along, apply_updates, clip_by_global_norm, unrolled_threefry
from rl_jax.types import Key, Metrics, PyTree, Rollout

#: ``(weights, task) -> trainer``: an agent's life in a task, under a rule.
Make = Callable[[PyTree, PyTree], Trainer]
#: ``key -> (task, N)``: a new task and the number of train steps to live in it.
Draw = Callable[[Key], tuple[PyTree, jax.Array]]

#: What is added to the objective, by metric, averaged over the ``K`` updates: the published weights for LPG.
PENALTIES = {
    "lpg/policy_entropy": -5e-2,
    "lpg/prediction_entropy": -1e-3,
    "lpg/pi_hat_squared": 5e-3,
    "lpg/y_hat_squared": 1e-3,
}


def policy_objective(rollout: Rollout) -> jax.Array:
    """``-mean(A log pi(a|s))``, ``A`` standardised and constant: its derivative is that of the return, up to the scale, and the
    sign.

    Raises:
        RLJaxError: the rollout has no advantages.
    """
    if "advantage" not in rollout.extras:
        raise RLJaxError("a meta-gradient needs advantages: end the experience chain in rl_jax.experience.gae()")
    advantage = jax.lax.stop_gradient(standardized(rollout.extras["advantage"]))
    return -jnp.mean(advantage * rollout.extras["log_prob"])


def later_objective(
    trainer: Trainer, state: TrainState, key: Key, num_updates: int, penalties: dict[str, Any] | None = None
) -> tuple[jax.Array, TrainState]:
    """``num_updates`` train steps, then the objective on a fresh rollout of the policy that they led to.

    Differentiable with respect to anything in ``trainer`` that its agent's parameters are functions of. Every train step is
    computed again on the way back, so the memory is that of one step and of ``num_updates`` states. What a fresh rollout is
    made of comes from ``key``; the training that continues does not depend on it. Train steps beyond the planned ones are not done.

    Returns:
        The objective, with the penalties, to be minimised; and the state after the train steps.
    """
    weights = penalties or {}

    @jax.checkpoint
    def step(state: TrainState) -> tuple[TrainState, tuple[jax.Array, dict[str, jax.Array]]]:
        next_state, metrics = trainer.train_step(state)
        alive = state.updates.as_float() < state.horizon
        kept = jax.tree.map(lambda new, old: jnp.where(alive, new, old), next_state, state)
        return kept, (alive.astype(jnp.float32), {name: metrics[name] for name in weights})

    state, (alive, metrics) = jax.lax.scan(lambda state, _: step(state), state, length=num_updates)
    _, rollout, _ = trainer.collect(state.replace(key=unrolled_threefry(key)))  # type: ignore[attr-defined]
    loss = policy_objective(rollout)
    for name, weight in weights.items():
        loss = loss + weight * jnp.sum(alive * metrics[name]) / jnp.maximum(jnp.sum(alive), 1.0)
    return loss, state


class MetaState(NamedTuple):
    """``weights``: of the rule. ``opt_state``: Adam's. ``tasks``, ``lives``: of the agents, leading axis ``[agents]``."""

    weights: PyTree
    opt_state: PyTree
    tasks: PyTree
    lives: TrainState


@struct.dataclass
class MetaGradient:
    """Adam along the mean meta-gradient of many agents, each somewhere in its life, in a task of its own.

    An agent whose life is over is followed by a fresh one in a new task. The defaults are the published ones.

    Attributes:
        learning_rate: of Adam.
        max_grad_norm: bound on the mean gradient's norm.
        penalties: weights of metrics of the train step, added to the objective.
        agents: how many.
        updates: ``K``, train steps that are differentiated.
    """

    learning_rate: Any = 1e-4
    max_grad_norm: Any = 0.5
    penalties: dict[str, Any] = struct.field(default_factory=lambda: dict(PENALTIES))
    agents: int = struct.field(pytree_node=False, default=512)
    updates: int = struct.field(pytree_node=False, default=5)

    def init(self, weights: PyTree, make: Make, draw: Draw, key: Key) -> MetaState:
        """Fresh agents in new tasks, and the optimiser's state."""
        tasks, lives = jax.vmap(lambda key: _born(weights, make, draw, key))(jax.random.split(key, self.agents))
        return MetaState(weights, optax.scale_by_adam().init(weights), tasks, lives)

    def step(self, state: MetaState, make: Make, draw: Draw, key: Key) -> tuple[MetaState, Metrics]:
        """``K`` train steps of every agent and one of the rule."""
        keys = jax.random.split(key, (2, self.agents))

        def objective(weights: PyTree, task: PyTree, life: TrainState, key: Key) -> tuple[jax.Array, TrainState]:
            return later_objective(make(weights, task), life, key, self.updates, self.penalties)

        gradient = jax.vmap(jax.value_and_grad(objective, has_aux=True), (None, 0, 0, 0))
        (losses, lives), grads = gradient(state.weights, state.tasks, state.lives, keys[0])
        mean = jax.tree.map(lambda g: jnp.mean(g, axis=0), grads)
        updates, opt_state = optax.scale_by_adam().update(clip_by_global_norm(mean, self.max_grad_norm), state.opt_state)
        weights = apply_updates(state.weights, updates, self.learning_rate)

        over = lives.updates.as_float() >= lives.horizon
        born = jax.vmap(lambda key: _born(weights, make, draw, key))(keys[1])

        def choose(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(along(over, new), new, old)

        tasks, lives = jax.tree.map(choose, born, (state.tasks, lives))
        metrics = {
            "meta/objective": jnp.mean(losses),
            "meta/grad_norm": optax.tree.norm(mean),
            "meta/born": jnp.mean(over.astype(jnp.float32)),
        }
        return MetaState(weights, opt_state, tasks, lives), metrics


def _born(weights: PyTree, make: Make, draw: Draw, key: Key) -> tuple[PyTree, TrainState]:
    """A new task, and a fresh agent at the beginning of its life in it."""
    key_task, key_life = jax.random.split(key)
    task, num_updates = draw(key_task)
    trainer = make(weights, task)
    return task, trainer.init(key_life, num_updates * trainer.steps_per_update)
