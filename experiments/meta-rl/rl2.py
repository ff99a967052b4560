"""Does a policy with a memory, trained by ordinary reinforcement learning over trials, learn a bandit within one trial?"""

from functools import partial

import jax
import jax.numpy as jnp

import rl_jax as rl
from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import Bandit, Trial
from rl_jax.networks import Transformer, actor_critic
from rl_jax.run.claims import Axes, Outcome, Prediction, Recipe, Trained, Work, answered

PULLS, ARMS, STEPS, TRIALS = 10, 5, 400_000, 1024
BANDIT = Bandit(arms=ARMS)


def trainer(quick: bool, memory: str) -> rl.Trainer:
    """PPO on trials; without a memory nothing of the pulls before is seen either."""
    env = Trial(BANDIT, episodes=PULLS, feedback=memory != "none")
    config = PPOConfig(
        num_envs=8 if quick else 128,
        rollout_length=PULLS,
        epochs=4,
        minibatches=4,
        hidden=(32,),
        learning_rate=3e-3,
        entropy_weight=0.003,
        normalize_obs=False,
        normalize_reward=False,
    )
    chosen = Transformer(32, PULLS, layers=1, heads=2) if memory == "transformer" else memory
    agent = config.agent().replace(network=partial(actor_critic, hidden=config.hidden, memory=chosen, memory_width=32))
    return rl.Trainer.create(env, agent, config.experience(), num_envs=config.num_envs, rollout_length=PULLS)


def look(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """What the greedy policy earns in fresh trials."""
    return measures(rl.play(trainer, state, key, TRIALS, PULLS).reward)


def measures(reward: jax.Array) -> dict[str, jax.Array]:
    """Of rewards ``[PULLS, trials]``."""
    curve = jnp.mean(reward, axis=1)
    return {"return": jnp.sum(curve), "improvement": jnp.mean(curve[-3:]) - curve[0], "reward": curve}


def thompson(work: Work) -> Outcome:
    """Thompson sampling with the true prior: draw every mean from its posterior and pull the best."""

    def pull(counts: jax.Array, key: jax.Array, means: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_draw, key_pay = jax.random.split(key)
        action = jnp.argmax(jax.random.beta(key_draw, counts[0], counts[1]))
        reward = BANDIT.step(key_pay, jnp.int32(0), action, means).reward
        return counts.at[:, action].add(jnp.stack([reward, 1 - reward])), reward

    def trial(key: jax.Array) -> jax.Array:
        key_task, key_pulls = jax.random.split(key)
        means = BANDIT.sample_task(key_task)
        start = jnp.ones((2, ARMS), jnp.float32)
        return jax.lax.scan(partial(pull, means=means), start, jax.random.split(key_pulls, PULLS))[1]

    @jax.jit
    def run(seed: jax.Array) -> dict[str, jax.Array]:
        return measures(jax.vmap(trial, out_axes=1)(jax.random.split(jax.random.key(seed), TRIALS)))

    return answered(run, work.seeds)


def arm(memory: str) -> Trained:
    """One memory, trained and looked at."""
    return Trained(partial(trainer, memory=memory), steps=STEPS, quick_steps=512, question=look)


GRU, TRANSFORMER, NONE, THOMPSON = "GRU", "transformer", "no memory", "Thompson sampling"
RECIPE = Recipe(
    slug="rl2",
    title="RL^2",
    paper="Duan, Schulman, Chen, Bartlett, Sutskever & Abbeel 2016, RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning, "
    "arXiv:1611.02779",
    claim="A policy with a memory that sees actions and rewards and is trained by ordinary policy gradients over whole trials learns a "
    "new bandit within its trial, nearly as well as algorithms that were designed for bandits.",
    environment=f"Bernoulli bandits of {ARMS} arms with means drawn uniformly from [0, 1], {PULLS} pulls of each.",
    arms={GRU: arm("gru"), TRANSFORMER: arm("transformer"), NONE: arm("none"), THOMPSON: thompson},
    measures={
        "return": f"reward of {PULLS} pulls",
        "improvement": "mean reward of the last three pulls minus that of the first",
    },
    predictions=(
        Prediction("return", GRU, NONE, 0.5, "what was seen in the trial is used"),
        Prediction("improvement", GRU, 0.0, 0.1, "the policy learns within the trial"),
        Prediction("return", GRU, THOMPSON, -0.1, "close to algorithms designed for bandits, which know the prior"),
        Prediction("return", TRANSFORMER, GRU, -0.1, "the kind of memory is not what it depends on"),
    ),
    curves={"reward": Axes("pull of the trial", "reward")},
    departures="PPO and a GRU of 32 units where the paper has TRPO and a larger one; one number of arms and of pulls; the transformer "
    "is not in the paper. The trained policies act greedily.",
    seeds=tuple(range(200, 240)),
    minutes=10,
)
