"""GRPO and its relatives in token worlds: what acts is what learns, and what the environment wrote teaches nothing."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import Clock, context, unchecked

import rl_jax as rl
from rl_jax.agents.configs import DrGRPOConfig, GRPOConfig, RLOOConfig
from rl_jax.agents.policy_gradient.cloning import Cloned
from rl_jax.curricula.pooled import PooledStarts
from rl_jax.envs.tokens import Attempts, Problem, Reply, TokenWorld
from rl_jax.envs.tokens.task import END, EQUALS
from rl_jax.errors import RLJaxError
from rl_jax.losses import weighted_sum
from rl_jax.ops.arrays.trees import replaced

SMALL = {"num_envs": 8, "group_size": 4, "minibatches": 2, "memory_width": 8, "memory_layers": 1, "clone_steps": 2}


@dataclass(frozen=True)
class Echo:
    """Write the digit of the prompt, then ``E``; nobody demonstrates it."""

    name: str = "echo"
    vocabulary: int = 18
    prompt_length: int = 2
    length: int = 3
    default_params: tuple = ()

    def draw(self, key, params):
        return Problem(jnp.array([4, EQUALS], jnp.int32), ())

    def start(self, problem, params):
        return ()

    def reply(self, key, tape, token, params):
        over = token == END
        return Reply(jnp.zeros((0,), jnp.int32), jnp.int32(0), jnp.float32(0), over, (), {"correct": over})


@dataclass(frozen=True)
class Short(Echo):
    """Its demonstrations lack a position."""

    def demonstrate(self, key, problem, params):
        return jnp.zeros((3,), jnp.int32), jnp.ones((3,), bool)


@pytest.fixture(scope="module")
def attempts():
    """A trainer of two attempts with a word of the environment between them, its cloned policy's rollout, and ``init`` compiled."""
    trainer = GRPOConfig(**SMALL).trainer(rl.make("tokens/attempts", turns=2, operands=2))
    with unchecked():
        init = jax.jit(trainer.init)
        state, rollout, _ = jax.jit(trainer.collect)(init(jax.random.key(0), 1000))
    return trainer, state, rollout, init


@pytest.mark.slow
def test_acting_and_learning_agree(attempts):
    trainer, state, rollout, _ = attempts
    policy = trainer.agent.outputs(trainer.params(state), rollout).policy
    np.testing.assert_allclose(policy.log_prob(rollout.action), rollout.extras["log_prob"], atol=1e-5)


def test_what_the_environment_wrote_carries_no_gradient(attempts):
    trainer, state, rollout, _ = attempts
    own = np.asarray(rollout.extras["own"])
    assert 0.1 < own.mean() < 0.9
    agent = trainer.agent.agent
    outputs = agent.outputs(trainer.params(state), rollout)
    advantage = jnp.asarray(np.random.default_rng(0).normal(size=own.shape), jnp.float32)
    rollout = rollout.with_extras(advantage=advantage)

    def loss(logits):
        changed = replaced(outputs, policy=replaced(outputs.policy, logits=logits))
        return weighted_sum(agent.terms, agent.weights, (), rollout, context(outputs=changed))[0]

    gradient = np.abs(np.asarray(jax.grad(loss)(outputs.policy.logits))).sum(-1)
    assert not gradient[~own].any() and (gradient[own] > 0).all()


def test_a_run_begins_with_a_base_policy_of_its_own(attempts):
    trainer, _, _, init = attempts
    assert isinstance(trainer.agent, Cloned) and trainer.agent.steps == 2
    with unchecked():
        one, two, again = (init(jax.random.key(seed), 1000) for seed in (1, 2, 1))
    same = jax.tree.map(lambda a, b: bool((a == b).all()), trainer.params(one), trainer.params(again))
    assert all(jax.tree.leaves(same))
    other = jax.tree.map(lambda a, b: bool((a == b).all()), trainer.params(one), trainer.params(two))
    assert not all(jax.tree.leaves(other))


def test_the_demonstrator_does_the_task_that_is_trained(monkeypatch):
    """With other ``params`` other tapes are cloned."""
    cloned = []

    def warm_up(agent, world, key, steps, batch, params=None):
        cloned.append(params)
        raise InterruptedError

    monkeypatch.setattr("rl_jax.agents.policy_gradient.cloning.warm_up", warm_up)
    world = rl.make("tokens/chain", operands=2)
    task = world.default_params.replace(slip=np.float32(1.0))
    trainer = GRPOConfig(**SMALL).trainer(world, params=task)
    with pytest.raises(InterruptedError):
        trainer.agent.init(jax.random.key(0), trainer.base)
    assert cloned == [task] and trainer.curriculum.task is task


def test_rollouts_are_as_long_as_the_longest_episode():
    assert GRPOConfig().trainer(rl.make("tokens/chain"), time_limit=5000).rollout_length == 11
    assert GRPOConfig(clone_steps=0).trainer(rl.make("tokens/chain"), time_limit=5).rollout_length == 5
    assert GRPOConfig().trainer(Clock(9, time_limit=4), time_limit=9).rollout_length == 9  # in place of the environment's


@pytest.mark.parametrize(
    ("kind", "baseline", "scale", "weight", "pieces"),
    [
        (GRPOConfig, "mean", "std", "sequence", 8),
        (DrGRPOConfig, "mean", "none", "constant", 8),
        (RLOOConfig, "leave-one-out", "none", "constant", 1),
    ],
)
def test_the_three_are_choices_of_advantage_and_weight(kind, baseline, scale, weight, pieces):
    advantage, own = kind().experience().transforms
    assert (advantage.baseline, advantage.scale, own.rule) == (baseline, scale, weight)
    agent = kind().agent()
    assert agent.epochs * agent.minibatches == pieces


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GRPOConfig().trainer(Clock(5)), r"clock has no time limit.*give time_limit \(--time-limit 200\)"),
        (lambda: GRPOConfig(num_envs=12).trainer(Clock(5), time_limit=5).init(jax.random.key(0), 1), "no groups of 8"),
        (lambda: GRPOConfig(rollout_length=3).trainer(Clock(5), time_limit=5), "clock can last 5 steps: give rollout_length=5"),
        (
            lambda: GRPOConfig().trainer(rl.make("CartPole-v1"), curriculum=PooledStarts(rl.make("CartPole-v1"), 4)),
            "leave out curriculum",
        ),
        (lambda: GRPOConfig().trainer(TokenWorld(Echo())), r"tokens/echo demonstrates nothing.*--clone-steps 0"),
        (lambda: GRPOConfig().trainer(TokenWorld(Attempts(Echo()))), "the task of attempts demonstrates nothing"),
        (lambda: GRPOConfig().trainer(TokenWorld(Short())), r"demonstrate returned tokens int32\[3\].*int32\[4\]"),
        (
            lambda: GRPOConfig().trainer(rl.make("tokens/chain"), time_limit=3),
            "11 steps, and rollouts 3: use --rollout-length 11",
        ),
        (lambda: GRPOConfig(rollout_length=3).trainer(rl.make("tokens/chain")), "11 steps, and rollouts 3"),
        (lambda: GRPOConfig(memory_width=7).trainer(rl.make("tokens/chain")), "use --memory-width 8"),
        (lambda: GRPOConfig().trainer(rl.make("tokens/chain"), rounds=0), "rounds must be an integer from 1"),
        (lambda: GRPOConfig().trainer(rl.make("tokens/chain"), rounds=1.5), "rounds must be an integer from 1"),
        (lambda: replace(GRPOConfig(), group_size=1).check(), "group_size|--group-size"),
        (lambda: rl.agents.grpo(group_size=4), "group_size is no number of the agent alone"),
    ],
)
def test_what_cannot_be_is_one_line(make, words):
    with pytest.raises(RLJaxError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)
