"""A discriminator of an expert's and a learner's steps, whose output is the learner's reward."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.data.dataset import Dataset
from rl_jax.errors import RLJaxError, check_part, chosen
from rl_jax.ops import apply_updates, random_index
from rl_jax.rewards.discriminator_network import DiscriminatorNetwork
from rl_jax.rewards.divergences import REWARDS, Divergence, Logistic
from rl_jax.rewards.gradient_penalty import GradientPenalty
from rl_jax.rewards.steps import Part, as_vectors, check_expert, steps_of
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Range

#: What scales gradients unless told otherwise; one object, as programs are told apart by it.
ADAM = optax.scale_by_adam()
#: Below 1, for the value of what goes on for ever.
Discount = Annotated[float, Range(0, 0.999999)]
RewardForm = Literal["gail", "airl", "probability", "least-squares"]


class DiscriminatorState(NamedTuple):
    """The network's parameters, what it keeps besides (singular vectors; ``{}``: nothing), and the optimiser's state."""

    params: PyTree
    singular: PyTree
    opt_state: PyTree


class Sides(NamedTuple):
    """The vectors ``[B, D]`` of one side of the comparison, and their weights ``[B]``, whose sum is 1; ``between``: what is
    interpolated for the penalty ``[B, D]``."""

    x: jax.Array
    weights: jax.Array
    between: jax.Array


@struct.dataclass
class Discriminator:
    """Tells an expert's steps from a learner's, and pays the learner for what looks like the expert's.

    Ho & Ermon 2016 (GAIL, arXiv 1606.03476, eq. 14 and Algorithm 1) on fresh rollouts; Kostrikov et al. 2019 (DAC, arXiv 1809.02925,
    eq. 5 and Algorithm 1) on a replay buffer, without a correction for the older policies in it. Every batch of the learner meets as
    many steps of the expert, drawn uniformly with replacement.

    **Absorbing states.** After a termination nothing is paid, which is itself a reward: with rewards that are never negative to survive
    is better than to end, with negative ones to end is, whatever the expert does (DAC, section 4.1). DAC adds a state to the
    environment that follows each termination and then itself for ever, and has its reward learned as any other. Its value is then
    ``r / (1 - gamma)`` exactly, as nothing depends on what is done there. Here neither environment, replay nor critic are changed: with
    ``absorbing`` a step that terminated stands in the losses a second time, as the absorbing state (the zero vector with one more
    element, which is 1 there and 0 elsewhere; so it is met as often as DAC's buffer holds it), and is paid ``gamma / (1 - gamma)``
    times that state's reward besides its own. ``terminated`` stays what it is, and nothing is bootstrapped through it; truncated
    steps are paid as all others and bootstrap from their ``next_obs``.

    Attributes:
        expert: its data, a leaf: an argument of the compiled program; stacked over seeds, each seed has its own.
        learning_rate: of the discriminator.
        divergence: the losses, :class:`Logistic` or :class:`LeastSquares`.
        penalty: a :class:`GradientPenalty`, or ``None``.
        absorbing: the learner's discount, for absorbing states; ``None``: a terminal state is worth nothing.
        form: the reward's, see :data:`rl_jax.rewards.divergences.REWARDS`.
        sees: what of a step is compared: ``("obs", "action")``, ``("obs",)``, ``("obs", "next_obs")``.
        weigh: a name in a batch's ``extras``: how much each of the learner's steps counts ``[L, B]``; ``None``: alike.
        network: see :class:`DiscriminatorNetwork`; any module from vectors ``[B, D]`` to ``[B]`` that takes ``iterate``.
        optimizer: what scales gradients before ``learning_rate``, as ``optax.scale_by_adam()`` does.
    """

    expert: Dataset
    learning_rate: Any = 1e-3
    divergence: Any = Logistic()
    penalty: GradientPenalty | None = None
    absorbing: Any = None
    form: RewardForm = struct.field(pytree_node=False, default="gail")
    sees: tuple[Part, ...] = struct.field(pytree_node=False, default=("obs", "action"))
    weigh: str | None = struct.field(pytree_node=False, default=None)
    network: nn.Module = struct.field(pytree_node=False, default=DiscriminatorNetwork())
    optimizer: optax.GradientTransformation = struct.field(pytree_node=False, default=ADAM)

    def init(self, key: Key, spec: Spec) -> DiscriminatorState:
        """A fresh discriminator.

        Raises:
            RLJaxError: the data are of other spaces, or there is no such form, loss or part of a step.
        """
        check_numbers("a discriminator's", self, learning_rate=NotNegative, absorbing=Discount | None)
        check_expert("a discriminator", self.expert, spec)
        check_part("a discriminator's divergence", self.divergence, Divergence, "give Logistic() or LeastSquares()")
        chosen("form of the reward", self.form, REWARDS)
        if not self.sees or not {*self.sees} <= {"obs", "action", "next_obs"}:
            raise RLJaxError(f"a discriminator sees some of 'obs', 'action' and 'next_obs', not {self.sees!r}")
        variables = self.network.init(key, self.vectors(steps_of(self.expert, jnp.zeros((1,), jnp.int32))))
        params = variables["params"]
        return DiscriminatorState(params, variables.get("singular", {}), self.optimizer.init(params))

    def vectors(self, steps: Any) -> jax.Array:
        """What is compared of steps ``[...]``, as vectors ``[..., D]``."""
        x = as_vectors(steps, self.sees, self.expert.obs_space, self.expert.action_space)
        return x if self.absorbing is None else jnp.concatenate([x, jnp.zeros_like(x[..., :1])], axis=-1)

    def _absorbed(self, x: jax.Array) -> jax.Array:
        """The absorbing state in place of vectors."""
        return jnp.zeros_like(x).at[..., -1].set(1.0)

    def output(self, state: DiscriminatorState, x: jax.Array) -> jax.Array:
        """``f`` of steps as vectors ``[..., D]``; ``[...]``."""
        return self._apply(state.params, state.singular, x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1])

    def _apply(self, params: PyTree, singular: PyTree, x: jax.Array) -> jax.Array:
        return self.network.apply({"params": params, "singular": singular}, x)  # type: ignore[return-value]

    def reward(self, state: DiscriminatorState, batch: Rollout, context: Context) -> jax.Array:
        """The reward ``[L, B]`` of every step."""
        pay, x = REWARDS[self.form], self.vectors(batch)
        reward = pay(self.output(state, x))
        if self.absorbing is None:
            return reward
        for_ever = self.absorbing / (1.0 - self.absorbing) * pay(self.output(state, self._absorbed(x[0, :1])))
        return reward + jnp.where(batch.terminated, for_ever, 0.0)

    def learn(self, state: DiscriminatorState, batch: Rollout, context: Context) -> tuple[DiscriminatorState, Metrics]:
        """One step on a batch ``[L, B]`` of the learner's; rows that a trajectory only repeats (``extras["mask"]``) do not count."""
        keys = jax.random.split(context.key, 3)
        x = self.vectors(batch)
        count = batch.extras["mask"].astype(jnp.float32) if "mask" in batch.extras else jnp.ones(batch.reward.shape)
        if self.weigh is not None:
            count = count * batch.extras[self.weigh]
        learner = self._side(x.reshape(-1, x.shape[-1]), count.reshape(-1), batch.terminated.reshape(-1))
        number = learner.between.shape[0]
        rows = jax.lax.optimization_barrier(random_index(keys[0], (number,), self.expert.num_steps))
        steps = steps_of(self.expert, rows)
        expert = self._side(self.vectors(steps), jnp.ones((number,)), steps.terminated)

        singular: PyTree = state.singular
        if jax.tree.leaves(singular):
            variables = {"params": state.params, "singular": singular}
            _, kept = self.network.apply(variables, learner.x[:1], iterate=True, mutable="singular")
            singular = kept["singular"]

        def loss(params: PyTree) -> tuple[jax.Array, Metrics]:
            def f(x: jax.Array) -> jax.Array:
                return self._apply(params, singular, x)

            return self._loss(f, expert, learner, keys[1:])

        grads, metrics = jax.grad(loss, has_aux=True)(state.params)
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        return DiscriminatorState(apply_updates(state.params, updates, self.learning_rate), singular, opt_state), metrics

    def _side(self, x: jax.Array, count: jax.Array, terminated: jax.Array) -> Sides:
        """Vectors ``[B, D]`` that count ``[B]``; with absorbing states twice as many."""
        if self.absorbing is None:
            return Sides(x, _shares(count), x)
        absorbed = self._absorbed(x)
        between = jnp.where(terminated[:, None], absorbed, x)
        count = jnp.concatenate([count, count * terminated])
        return Sides(jnp.concatenate([x, absorbed]), _shares(count), between)

    def _loss(
        self, f: Callable[[jax.Array], jax.Array], expert: Sides, learner: Sides, keys: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """The weighted losses of both sides, and the penalty."""
        number = expert.x.shape[0]
        values = f(jnp.concatenate([expert.x, learner.x]))
        of_expert, of_learner = values[:number], values[number:]
        loss = jnp.sum(expert.weights * self.divergence.expert(of_expert, keys[0]))
        loss += jnp.sum(learner.weights * self.divergence.learner(of_learner))
        metrics = {
            "discriminator/loss": loss,
            "discriminator/expert": jnp.sum(expert.weights * of_expert),
            "discriminator/learner": jnp.sum(learner.weights * of_learner),
        }
        if self.penalty is None:
            return loss, metrics
        penalty = self.penalty(f, expert.between, learner.between, keys[1])
        return loss + penalty, {**metrics, "discriminator/penalty": penalty}


def _shares(count: jax.Array) -> jax.Array:
    """Counts ``[B]`` as shares of their sum; zeros if nothing counts."""
    return count / jnp.maximum(jnp.sum(count), 1e-12)
