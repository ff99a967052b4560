"""Every agent on the probes: the values and choices that it must find are known in advance, the truncated one's included.

The probes of one action space are tasks of one environment, so an agent's program is compiled once and learns them side by side.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_suite import ANSWERS, faults, suite

from rl_jax.agents.configs import CONFIGS
from rl_jax.envs import make
from rl_jax.loop import evaluate
from rl_jax.spaces import to_env_action

ON = dict(num_envs=32, rollout_length=8, learning_rate=1e-2, hidden=(16,))
MINI = dict(epochs=4, minibatches=2)
PLAIN = dict(entropy_weight=0.0, value_weight=1.0, normalize_obs=False, normalize_reward=False, max_grad_norm=10.0)
Q = dict(
    num_envs=8, rollout_length=1, buffer_size=2000, batch_size=64, learning_starts=100, learning_rate=5e-3, hidden=(16,),
    updates_per_step=0.5, target_period=20, anneal=False, epsilon_end=0.2, epsilon_steps=2000, huber=100.0,
)  # fmt: skip
SEQUENCES = dict(
    num_envs=8, rollout_length=2, buffer_size=2000, batch_size=32, burn_in=0, sequence_length=4, period=2, n_step=2,
    updates_per_step=0.5, learning_starts=100, learning_rate=5e-3, target_period=20, epsilon_end=0.2, epsilon_steps=2000,
    anneal=False, hidden=(16, 16), memory_width=16,
)  # fmt: skip
C51 = dict(distribution="c51", value_low=-3.0, value_high=3.0, atoms=21)
AC = dict(
    num_envs=8, rollout_length=1, buffer_size=2000, batch_size=64, learning_starts=100, random_steps=500, learning_rate=5e-3,
    hidden=(16,), tau=0.05,
)  # fmt: skip
STREAM = dict(hidden=(16,), normalize_obs=False, normalize_reward=False)
#: id -> (agent, its numbers, environment steps, continuous actions, tolerance of values)
AGENTS = {
    "ppo": ("ppo", ON | MINI | PLAIN, 16_000, False, 0.05),
    "ppo-continuous": ("ppo", ON | MINI | PLAIN | dict(learning_rate=5e-3), 40_000, True, 0.6),
    "a2c": ("a2c", ON | PLAIN | dict(gae_lambda=0.95), 60_000, False, 0.15),
    "mdpo": ("mdpo", ON | PLAIN | dict(epochs=10), 30_000, False, 0.15),
    "pqn": ("pqn", ON | MINI | dict(epsilon_steps=8000, epsilon_end=0.2, anneal=False), 40_000, False, 0.15),
    "dqn": ("dqn", Q, 4000, False, 0.15),
    "c51": ("dqn", Q | C51, 4000, False, 0.15),
    "quantile": ("dqn", Q | dict(distribution="quantile", atoms=8), 6000, False, 0.15),
    "r2d2": ("r2d2", SEQUENCES, 4000, False, 0.2),
    "sac": ("sac", AC | dict(temperature=0.02), 4000, True, 0.15),
    "sac-discrete-n-step": ("sac", AC | dict(temperature=0.02, n_step=3), 4000, False, 0.15),
    "sac-learned-temperature": ("sac", AC | dict(target_entropy=-3.0), 6000, True, 0.2),
    "mdpo-off-policy": ("mdpo-off-policy", AC | dict(temperature=0.02, kappa=0.1, refresh_period=100), 4000, True, 0.15),
    "td3": ("td3", AC | dict(actor_learning_rate=5e-3), 4000, True, 0.15),
    "ddpg": ("ddpg", AC | dict(actor_learning_rate=5e-3), 4000, True, 0.15),
    # Double, dueling, noisy networks, several steps and priorities are Rainbow's, together.
    "rainbow": ("rainbow", Q | C51, 4000, False, 0.2),
    "stream-q": ("stream-q", STREAM | dict(epsilon_end=0.2, epsilon_steps=2000), 20_000, False, 0.15),
    "stream-ac": ("stream-ac", STREAM, 20_000, False, 0.15),
    "stream-ac-continuous": ("stream-ac", STREAM, 40_000, True, 0.15),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_on_every_probe(name):
    agent, numbers, steps, continuous, tolerance = AGENTS[name]
    env, probes = suite(continuous)
    trainers = [CONFIGS[agent](**numbers, gamma=ANSWERS[p][0]).trainer(env, params=jnp.int32(i)) for i, p in enumerate(probes)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trainers)

    def learn(trainer, key):
        state, metrics = trainer.advance(trainer.init(key, steps), trainer.num_updates(steps))
        played = evaluate(trainer, state, jax.random.fold_in(key, 1), num_episodes=64, max_steps=20)
        obs = jnp.asarray([[-1.0], [0.0], [1.0]])
        first = jnp.ones((3,), bool)
        carry = trainer.agent.initial_carry(3)
        value = trainer.agent.value(state.agent, carry, obs, first)
        action = trainer.agent.act(state.agent, carry, obs, first, jax.random.fold_in(key, 2), True)[1]
        return metrics["nonfinite_update"], played.mean(), value, to_env_action(env.act_space, action)

    with jax.debug_key_reuse(False):  # the checker takes the transposed keys of a scan under vmap for used ones
        bad, played, value, action = jax.jit(jax.vmap(learn, in_axes=(0, None)))(stacked, jax.random.key(0))
    assert np.all(np.asarray(bad) == -1)
    wrong = faults(probes, value, action, tolerance)
    for i, probe in enumerate(probes):
        if probe in ("action-choice", "observed-action") and float(played[i]) != 1.0:
            wrong.append(f"{probe}: return {float(played[i])}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["a2c", "mdpo"])
def test_recurrent_policy_gradients_remember_the_cue(agent):
    """PPO's own memory is tested more closely among the probes; these share its parts."""
    more = dict(epochs=4) if agent == "mdpo" else {}
    numbers = ON | PLAIN | dict(rollout_length=12, gae_lambda=0.95, gamma=0.9, memory="gru", memory_width=16) | more
    trainer = CONFIGS[agent](**numbers).trainer(make("probe/memory", delay=1))

    def learn(key):
        state, _ = trainer.advance(trainer.init(key, 60_000), trainer.num_updates(60_000))
        return evaluate(trainer, state, jax.random.fold_in(key, 1), num_episodes=64, max_steps=20).mean()

    assert float(jax.jit(learn)(jax.random.key(0))) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["gru", "none"])
def test_recurrent_q_learning_remembers_the_cue(memory):
    """Sequences begin with the memory that was stored, carry the cue over a blank step, and end with the episode."""
    numbers = SEQUENCES | dict(sequence_length=6, memory=memory, gamma=0.9)
    trainer = CONFIGS["r2d2"](**numbers).trainer(make("probe/memory", delay=1))

    def learn(key):
        state, _ = trainer.advance(trainer.init(key, 6000), trainer.num_updates(6000))
        return evaluate(trainer, state, jax.random.fold_in(key, 1), num_episodes=64, max_steps=20).mean()

    played = float(jax.jit(learn)(jax.random.key(0)))
    assert played == 1.0 if memory == "gru" else abs(played) < 0.5
