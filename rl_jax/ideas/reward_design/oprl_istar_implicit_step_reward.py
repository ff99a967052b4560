"""iStar: a second policy network, fitted to which episodes of a group ended better, says what each step was worth.

Liu et al. 2025, "Agentic Reinforcement Learning with Implicit Step Rewards", arXiv:2509.19199 (ICLR 2026; first called "Online
Process Reward Learning"); checked with https://github.com/Tongyi-ConvAI/Qwen-Character, ``CharacterRL-iStar/istar``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.bonus.fit import Model
from rl_jax.experience.selection.columns import part_of
from rl_jax.experience.transform import Transform
from rl_jax.networks.build import Maker, build_recurrent_network, init_params
from rl_jax.ops.groups import episode_mean, grouped, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, NotNegative


@struct.dataclass
class ImplicitStepReward(Transform):
    """Adds ``extras["step_reward"]`` ``[T, N]``: ``beta log(pi_phi(a|s) / pi_old(a|s))`` on own steps, 0 on others.

    ``pi_old`` is the policy that acted. ``pi_phi`` begins as the policy and is fitted by the loss of DPO on pairs of episodes of
    one group, better over worse: ``-log sigmoid(q_better - q_worse)``, with ``q`` the *mean* of an episode's step rewards, over
    all pairs whose outcomes differ. (DPO has the sum; the released ``compute_eto_loss_rm`` takes the mean, and so does this.)
    Step rewards are those of ``pi_phi`` before it learns from the rollout, and are divided by the largest absolute one, both as
    released.

    Attributes:
        network: of ``pi_phi``; the agent's own, with whose parameters it starts.
        size: episodes of a group.
        beta: 0.05 in the released code.
        learning_rate: of Adam; twice the policy's in the released code.
        passes, minibatches: passes over each rollout, and pieces of whole groups per pass, one step of Adam each: the policy's, so that
            it does not fall behind.
        until: the train step after which it learns no more.
    """

    network: Maker = struct.field(pytree_node=False)
    size: int = struct.field(pytree_node=False)
    beta: Any = 0.05
    learning_rate: Any = 1e-3
    passes: int = struct.field(pytree_node=False, default=2)
    minibatches: int = struct.field(pytree_node=False, default=4)
    until: Any = jnp.inf

    def init(self, key: Key, spec: Spec) -> Model:
        check_groups(spec, "implicit_step_reward", self.size)
        check_numbers("implicit_step_reward's", self, beta=NotNegative, learning_rate=NotNegative)
        check_numbers("implicit_step_reward's", self, passes=Count, minibatches=Count)
        network = build_recurrent_network(self.network, spec)
        return Model.start(init_params(network, key, spec, {"policy": (), "value": (), "hidden": ()}))

    def update(self, state: Model, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        begins = context.update == 0
        policy = context.agent.params(context.agent_state)
        params = jax.tree.map(lambda own, policy: jnp.where(begins, policy, own), state.params, policy)
        state = Model(params, state.opt_state)

        def rewards(params: PyTree, rollout: Rollout) -> jax.Array:
            log_prob = context.agent.outputs(params, rollout).policy.log_prob(rollout.action)
            return self.beta * (log_prob - rollout.extras["log_prob"]) * rollout.extras["own"]

        def loss(params: PyTree, groups: jax.Array) -> jax.Array:
            columns = (groups[:, None] * self.size + jnp.arange(self.size)).reshape(-1)
            part = part_of(rollout, columns)
            score = episode_mean(rewards(params, part), part.extras["own"])
            return preference_loss(score, jnp.sum(part.reward, 0), self.size)[0]

        def learn(model: Model, key: Key) -> tuple[Model, jax.Array]:
            groups = jnp.arange(rollout.reward.shape[1] // self.size)
            learned, error = model.fit(loss, groups, key, self.learning_rate, self.minibatches)
            learns = context.update < self.until
            return jax.tree.map(lambda new, old: jnp.where(learns, new, old), learned, model), error

        raw = rewards(params, rollout)
        step_reward = raw / (jnp.max(jnp.abs(raw)) + 1e-6)
        score = episode_mean(raw, rollout.extras["own"])
        right = preference_loss(score, jnp.sum(rollout.reward, 0), self.size)[1]
        state, _ = jax.lax.scan(learn, state, jax.random.split(context.key, self.passes))
        return state, rollout.with_extras(step_reward=step_reward), {"istar/pairs_right": right}


def preference_loss(score: jax.Array, outcome: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """The mean of ``-log sigmoid(score_i - score_j)`` over all pairs of a group with ``outcome_i > outcome_j``; 0 if there is none.

    Args:
        score, outcome: of the episodes ``[N]``.
        size: episodes of a group.

    Returns:
        The loss, and the share of pairs that are in the right order.
    """
    scores, outcomes = grouped(score, size), grouped(outcome, size)
    apart = scores[:, :, None] - scores[:, None, :]
    better = (outcomes[:, :, None] > outcomes[:, None, :]).astype(jnp.float32)
    pairs = jnp.maximum(jnp.sum(better), 1.0)
    return jnp.sum(better * jax.nn.softplus(-apart)) / pairs, jnp.sum(better * (apart > 0)) / pairs


@struct.dataclass
class StepAdvantage(Transform):
    """Adds ``alpha`` times the step's advantage to ``extras["advantage"]``, which the episodes' outcomes have given.

    A step's advantage is its ``extras["step_reward"]`` minus the mean over all other own steps of the group: leave-one-out, as
    the paper's RLOO has it. (The released ``step_rloo_reward`` takes the mean over the *first* step of each episode, because it
    skips episodes it has seen; its comment says "all other steps".)

    Attributes:
        size: episodes of a group.
        alpha: 1 in the released code.
    """

    size: int = struct.field(pytree_node=False)
    alpha: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "step_advantage", self.size, least=1)
        check_numbers("step_advantage's", self, alpha=NotNegative)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = grouped(rollout.extras["own"].astype(jnp.float32), self.size)
        reward = grouped(rollout.extras["step_reward"], self.size) * own
        steps = jnp.sum(own, (0, 2), keepdims=True)
        others = (jnp.sum(reward, (0, 2), keepdims=True) - reward) / jnp.maximum(steps - 1, 1.0)
        advantage = rollout.extras["advantage"] + self.alpha * ungrouped((reward - others) * own)
        return state, rollout.with_extras(advantage=advantage), {}


def implicit_step_reward(network: Maker, size: int, **options: Any) -> ImplicitStepReward:
    """Step rewards of preferences between episodes; see :class:`ImplicitStepReward`."""
    return ImplicitStepReward(network, size, **options)


def step_advantage(size: int, alpha: Any = 1.0) -> StepAdvantage:
    """The steps' part of the advantage; see :class:`StepAdvantage`."""
    return StepAdvantage(size, alpha)
