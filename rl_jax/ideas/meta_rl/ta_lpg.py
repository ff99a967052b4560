"""LPG and TA-LPG: an agent that learns by a rule which is itself a network."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.ideas.meta_rl._lpg_networks import Experienced, LPGRule, Readout
from rl_jax.networks.distributions import Categorical
from rl_jax.ops import apply_updates, clip_by_global_norm
from rl_jax.spaces import Discrete, Space, check_array, check_supported, example
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import NotNegative


@struct.dataclass
class LPGState:
    """``params`` has ``policy``, ``prediction`` and, with a critic, ``critic``."""

    params: dict[str, PyTree]


@struct.dataclass
class LPG(AgentBase):
    """Acts with a policy ``pi`` and predicts a categorical ``y(s)`` of no fixed meaning; ``rule`` says where both should go.

    Oh et al. 2020, "Discovering Reinforcement Learning Algorithms" (arXiv 2007.08794), eq. 2: a step up the gradient of

        ``mean(log pi(a_t|s_t) * pi_hat_t) - target_weight * mean(KL(y(s_t) || y_hat_t))``

    with ``pi_hat``, ``y_hat`` of the rule (:class:`~rl_jax.ideas.meta_rl._lpg_networks.LPGRule`), constants to this gradient. (The code
    of Jackson et al. 2024 has the other sign before ``pi_hat``, which the rule's last layer absorbs.) With a time-aware rule it is
    TA-LPG (arXiv 2402.05828).

    The rule's weights are a *hyperparameter*, a leaf of the agent and so of the trainer:
    ``trainer.replace(agent=agent.replace(rule=...))`` is another way of learning. They may be perturbed, vmapped over and
    differentiated through: the rule's inputs are functions of the parameters, and a derivative with respect to ``rule`` sees
    all of its effects. (That code cuts it at the inputs of later updates.)

    Attributes:
        rule: weights, from :meth:`LPGRule.weights` or an outer loop.
        policy_rate, prediction_rate: step sizes of ``pi`` and ``y``; the defaults are those of the paper's tabular agents,
            whose gradient is a mean over steps and so is small in each place.
        max_grad_norm: bound on the norm of each one's gradient.
        target_weight: ``alpha_y``.
        critic_rate: step size of the critic.
        form: the rule network.
        hidden: widths of hidden layers; none is a table.
        critic: learn a value too, by regression on ``extras["value_target"]`` of :func:`rl_jax.experience.gae`. The rule does
            not see it; an outer loop's policy gradient needs it for the advantage.
        name: what errors call this agent.
    """

    rule: PyTree
    policy_rate: Any = 40.0
    prediction_rate: Any = 4.0
    max_grad_norm: Any = 0.5
    target_weight: Any = 0.5
    critic_rate: Any = 4.0
    form: LPGRule = struct.field(pytree_node=False, default=LPGRule())
    hidden: tuple[int, ...] = struct.field(pytree_node=False, default=())
    critic: bool = struct.field(pytree_node=False, default=False)
    obs_space: Space | None = struct.field(pytree_node=False, default=None)
    actions: int = struct.field(pytree_node=False, default=0)
    name: str = struct.field(pytree_node=False, default="LPG")

    def bind(self, spec: Spec) -> "LPG":
        """Fit the tables to the spaces.

        Raises:
            UnsupportedSpace: the actions are not one choice.
        """
        check_supported(self.name, spec.action_space, (Discrete,))
        check_array(self.name, spec.obs_space)
        check_numbers(f"{self.name}'s", self, policy_rate=NotNegative, prediction_rate=NotNegative, critic_rate=NotNegative)
        return self.replace(obs_space=spec.obs_space, actions=spec.action_space.n)  # type: ignore[attr-defined, union-attr]

    def _parts(self) -> dict[str, Readout]:
        sizes = {"policy": self.actions, "prediction": self.form.bins} | ({"critic": 1} if self.critic else {})
        assert self.obs_space is not None
        return {name: Readout(self.obs_space, size, self.hidden) for name, size in sizes.items()}

    def _read(self, params: dict[str, PyTree], part: str, obs: jax.Array) -> jax.Array:
        return self._parts()[part].apply(params[part], obs)  # type: ignore[return-value]

    def init(self, key: Key, spec: Spec) -> LPGState:
        """A uniform policy and uniform predictions; only hidden layers are random."""
        obs = example(spec.obs_space, 1)
        keys = jax.random.split(key, 3)
        return LPGState({name: part.init(keys[i], obs) for i, (name, part) in enumerate(self._parts().items())})

    def act(
        self, state: LPGState, carry: PyTree, obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N]``; extras ``log_prob`` and, with a critic, ``value``."""
        policy = Categorical(self._read(state.params, "policy", obs))
        action = policy.mode() if greedy else policy.sample(key)
        value = {"value": self.value(state, carry, obs, first)} if self.critic else {}
        return carry, action, {"log_prob": policy.log_prob(action), **value}

    def value(self, state: LPGState, carry: PyTree, obs: jax.Array, first: jax.Array) -> jax.Array:
        """The critic's values ``[N]``; zeros without one, since ``y`` is in no unit of reward."""
        return self._read(state.params, "critic", obs)[..., 0] if self.critic else jnp.zeros(first.shape, jnp.float32)

    def advice(self, params: dict[str, PyTree], batch: Rollout, context: Context) -> tuple[jax.Array, jax.Array]:
        """The rule's outputs on a rollout: ``pi_hat`` ``[T, N]`` and the logits of ``y_hat`` ``[T, N, m]``."""
        policy = Categorical(self._read(params, "policy", batch.obs))
        obs = jnp.concatenate([batch.obs, batch.next_obs])
        prediction, next_prediction = jnp.split(jax.nn.softmax(self._read(params, "prediction", obs)), 2)
        chance = jnp.exp(policy.log_prob(batch.action))
        time = context.progress, context.horizon
        inputs = Experienced(batch.reward, batch.terminated, batch.done, chance, prediction, next_prediction, *time)
        return self.form.apply(self.rule, inputs)  # type: ignore[return-value]

    def loss(
        self, params: dict[str, PyTree], pi_hat: jax.Array, y_hat: jax.Array, batch: Rollout
    ) -> tuple[jax.Array, Categorical]:
        """The loss, a scalar, given the rule's outputs; and the policy on the rollout."""
        policy = Categorical(self._read(params, "policy", batch.obs))
        prediction = Categorical(self._read(params, "prediction", batch.obs))
        apart = jnp.mean(prediction.kl(Categorical(y_hat)))
        loss = self.target_weight * apart - jnp.mean(policy.log_prob(batch.action) * pi_hat)
        if self.critic:
            value = self._read(params, "critic", batch.obs)[..., 0]
            loss = loss + 0.5 * jnp.mean((value - batch.extras["value_target"]) ** 2)
        return loss, policy

    def learn(self, state: LPGState, sample: Sample, context: Context) -> tuple[LPGState, Metrics, None]:
        """One gradient step on the rollout.

        ``policy/entropy`` is that of the policy which collected the rollout. ``lpg/policy_entropy`` and ``lpg/prediction_entropy``
        are those of the updated parameters on the same observations, so that a derivative with respect to the rule sees the update.

        Raises:
            RLJaxError: there is a critic and nothing for it to learn from, or the rollout was not just collected.
        """
        batch = sample.batch
        if sample.indices is not None:
            raise RLJaxError(
                f"{self.name} learns from each rollout once: leave out replay (the default is rl_jax.replay.OnPolicy)"
            )
        if self.critic and "value_target" not in batch.extras:
            raise RLJaxError(
                f"{self.name}'s critic needs the experience chain to end in rl_jax.experience.gae(); or critic=False"
            )
        pi_hat, y_hat = self.advice(state.params, batch, context)
        grads, policy = jax.grad(self.loss, has_aux=True)(state.params, pi_hat, y_hat, batch)
        rates = {"policy": self.policy_rate, "prediction": self.prediction_rate, "critic": self.critic_rate}
        next_params = {
            name: apply_updates(state.params[name], clip_by_global_norm(grad, self.max_grad_norm), rates[name])
            for name, grad in grads.items()
        }
        moved, prediction = (Categorical(self._read(next_params, part, batch.obs)) for part in ("policy", "prediction"))
        metrics = {
            "policy/entropy": jnp.mean(policy.entropy()),
            "policy/kl": jnp.mean(policy.kl(moved)),
            "lpg/pi_hat_squared": jnp.mean(pi_hat**2),
            "lpg/policy_entropy": jnp.mean(moved.entropy()),
            "lpg/prediction_entropy": jnp.mean(prediction.entropy()),
            "lpg/y_hat_squared": jnp.mean(jnp.sum(jax.nn.softmax(y_hat) ** 2, axis=-1)),
        }
        return LPGState(next_params), metrics, None
