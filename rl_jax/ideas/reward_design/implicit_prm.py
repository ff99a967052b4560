"""The implicit process reward model: a policy-like network, fitted to outcomes, whose log-ratio to a reference scores every token.

Yuan et al. 2024, "Free Process Rewards without Process Labels", arXiv:2412.01981 (ICML 2025); as a dense reward Cui et al. 2025,
"Process Reinforcement through Implicit Rewards" (PRIME), arXiv:2502.01456. Checked with https://github.com/PRIME-RL/PRIME,
``training/verl/trainer/ppo/core_algos.py``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.bonus.fit import Model
from rl_jax.experience.selection.columns import part_of
from rl_jax.experience.tape_scores import outcome_loss
from rl_jax.experience.transform import Transform
from rl_jax.ops.groups import episode_mean, from_here, leave_one_out
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, NotNegative


@struct.dataclass
class ImplicitReward(Transform):
    """Adds ``extras["implicit"]`` ``[T, N]``: ``r_t = beta log(pi_phi(a_t|s_t) / pi_ref(a_t|s_t))`` on own steps, 0 on others.

    ``pi_phi`` and ``pi_ref`` begin as the same policy, and ``pi_ref`` stays so. ``pi_phi`` learns from each rollout by the
    cross-entropy of ``sigmoid(sum_t r_t)`` against the outcome of the episode; then a partial sum ``r_1 + ... + r_t`` is
    ``beta log E_ref exp(sum of all r / beta)`` over what may follow, a soft Q value (proposition 3.1), and so each ``r_t`` tells a step
    from what the reference would have done.

    As in PRIME's released code, the model learns from a rollout before it scores it, and rewards are divided by the largest absolute
    sum of them from a step on (``prime_norm: batch_norm``), so that they are of the size of an outcome.

    Attributes:
        params: of the policy with which both begin.
        beta: 0.05 in the papers.
        learning_rate: of Adam; in PRIME twice the policy's.
        passes, minibatches: passes over each rollout, and pieces of whole columns per pass, one step of Adam each.
    """

    params: PyTree
    beta: Any = 0.05
    learning_rate: Any = 1e-3
    passes: int = struct.field(pytree_node=False, default=1)
    minibatches: int = struct.field(pytree_node=False, default=4)

    def init(self, key: Key, spec: Spec) -> Model:
        check_groups(spec, "implicit_reward", 1, least=1)
        check_numbers("implicit_reward's", self, beta=NotNegative, learning_rate=NotNegative, passes=Count, minibatches=Count)
        return Model.start(jax.tree.map(jnp.asarray, self.params))

    def rewards(self, params: PyTree, reference: jax.Array, rollout: Rollout, agent: Any) -> jax.Array:
        """``r_t`` ``[T, N]``, given log-probabilities of the reference."""
        log_prob = agent.outputs(params, rollout).policy.log_prob(rollout.action)
        return self.beta * (log_prob - reference) * rollout.extras["own"]

    def learn(self, model: Model, reference: jax.Array, rollout: Rollout, context: Context) -> tuple[Model, jax.Array]:
        """The model after its passes over a rollout, and the mean loss of the last."""
        outcome = jnp.sum(rollout.reward, axis=0)

        def loss(params: PyTree, columns: jax.Array) -> jax.Array:
            part = part_of(rollout, columns)
            rewards = self.rewards(params, reference[:, columns], part, context.agent)
            return jnp.mean(outcome_loss(jnp.sum(rewards, axis=0), outcome[columns]))

        def one(model: Model, key: Key) -> tuple[Model, jax.Array]:
            return model.fit(loss, jnp.arange(len(outcome)), key, self.learning_rate, self.minibatches)

        model, errors = jax.lax.scan(one, model, jax.random.split(context.key, self.passes))
        return model, errors[-1]

    def update(self, state: Model, rollout: Rollout, context: Context) -> tuple[Model, Rollout, Metrics]:
        reference = context.agent.outputs(self.params, rollout).policy.log_prob(rollout.action)
        state, error = self.learn(state, reference, rollout, context)
        reward = self.rewards(state.params, reference, rollout, context.agent)
        right = (jnp.sum(reward, axis=0) > 0) == (jnp.sum(rollout.reward, axis=0) > 0.5)
        metrics = {"implicit/loss": error, "implicit/accuracy": jnp.mean(right.astype(jnp.float32))}
        return state, rollout.with_extras(implicit=reward / (jnp.max(jnp.abs(from_here(reward))) + 1e-6)), metrics


@struct.dataclass
class DenseAdvantage(Transform):
    """Adds to ``extras["advantage"]``, which outcomes have given, ``weight`` times the sum of dense rewards from each step on.

    Each reward ``extras["implicit"]`` has the mean of the others' subtracted: over the group's other columns, of the mean of each one's
    own steps (PRIME, eq. 5). The released code subtracts more: with ``K`` columns also ``1 / (K - 1)`` of what a reward is above the
    mean of its *own* column, which makes that part ``K / (K - 1)`` times as large; here the paper holds. Both scale advantages of a
    rollout to deviation 1, which Adam's steps hardly feel; here they are left as they are.

    Attributes:
        size: columns of a group.
        weight: of the dense part; the released code's are 5 and 5, so 1 to 1.
    """

    size: int = struct.field(pytree_node=False)
    weight: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "dense_advantage", self.size)
        check_numbers("dense_advantage's", self, weight=NotNegative)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own, reward = rollout.extras["own"], rollout.extras["implicit"]
        centred = jnp.where(own, reward - leave_one_out(episode_mean(reward, own), self.size), 0.0)
        advantage = rollout.extras["advantage"] + self.weight * from_here(centred)
        return state, rollout.with_extras(advantage=advantage), {}
