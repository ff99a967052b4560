"""Adversarial imitation: what of one expert episode does a learner with a discriminator's reward get, and by which details?"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import rl_jax as rl
from rl_jax.agents.actor_critic.sac import sac
from rl_jax.agents.configs import SACConfig
from rl_jax.agents.configs.offline import BCConfig
from rl_jax.agents.rewarded import Rewarded
from rl_jax.ideas.imitation.ailboost import AILBoost, MixtureOfRounds, ReverseKL
from rl_jax.ideas.imitation.lipschitz_offpolicy_gail import Preconditioned, reward_gradient_norm
from rl_jax.loop import Constant
from rl_jax.loop.recording import record
from rl_jax.replay import Buffer, Mixed, Uniform, n_step
from rl_jax.rewards import Discriminator, DiscriminatorNetwork, GradientPenalty, Logistic
from rl_jax.run.claims import Axes, Gate, Phase, Phased, Study
from rl_jax.types import Context

ENV = rl.make("Pendulum-v1")
#: Steps of an episode, which are also those of a round; and of all rounds of a learner.
EPISODE, STEPS, BATCH = 200, 10_000, 64
#: Returns of a uniformly random policy and of a good one, about: scores 0 and 1.
RANDOM, GOOD = -1200.0, -150.0
LEARNER = SACConfig(batch_size=BATCH, learning_rate=1e-3, random_steps=EPISODE)
EXPERT = SACConfig(num_envs=1, buffer_size=15_000, batch_size=BATCH, updates_per_step=1)
TARGETS = rl.chain(n_step(1, 0.99))


def expert(quick: bool, kept: Any) -> rl.Trainer:
    """Who is imitated, trained on the environment's reward."""
    return EXPERT.trainer(ENV)


def shown(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> Any:
    """One greedy episode."""
    return record(trainer, state, key, 1, EPISODE, greedy=True, episodes=1)


def score(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """The return of 32 greedy episodes, as a share of the way from a random policy to a good one."""
    return {"final": (rl.evaluate(trainer, state, key, 32).mean() - RANDOM) / (GOOD - RANDOM)}


def smooth(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """The score, and how much of the replay is paid by a reward that is no steeper than 1."""
    nothing = jnp.zeros(())
    context = Context(key, trainer.agent, state.agent, jnp.int32(0), nothing, nothing, nothing)
    batch = trainer.replay.replace(batch_size=1024).sample(state.replay, context).batch
    model: Any = trainer.agent.model  # type: ignore[attr-defined]
    norm = reward_gradient_norm(getattr(model, "model", model), state.agent.model, batch)
    return {**score(trainer, state, key), "smooth": jnp.mean((norm <= 1.0).astype(jnp.float32))}


EXPERTS = Phase(expert, 15_000, 400, question=score, name="expert", keep=shown)


def rounds(agent: Any, replay: Any, updates: int) -> rl.Trainer:
    """An episode of the policy as it is, then learning steps."""
    return rl.Trainer.create(ENV, agent, replay=replay, updates=Constant(updates), num_envs=1, rollout_length=EPISODE)


def paid(
    quick: bool,
    kept: Any,
    penalty: GradientPenalty | None,
    form: str = "gail",
    spectral_norm: bool = False,
    preconditioned: bool = False,
) -> rl.Trainer:
    """A learner whose discriminator learns from all of its replay alike, at every learning step: DAC."""
    network = DiscriminatorNetwork((64, 64), "tanh", spectral_norm)
    model: Any = Discriminator(kept["expert"], 5e-4, Logistic(), penalty, form=form, network=network)  # type: ignore[arg-type]
    agent = Rewarded(sac(config=LEARNER), Preconditioned(model) if preconditioned else model, TARGETS)
    return rounds(agent, Buffer(capacity=STEPS, batch_size=BATCH), EPISODE)


def boosted(quick: bool, kept: Any, eta: float | None) -> rl.Trainer:
    """A learner whose discriminator learns from a weighted mixture of its policies, between rounds: AILBoost."""
    model = Discriminator(kept["expert"], 1e-3, ReverseKL(), GradientPenalty(), form="airl")
    agent = AILBoost(sac(config=LEARNER), model, TARGETS, discriminator_steps=50, policy_steps=EPISODE)
    of_learner = Buffer(capacity=STEPS, batch_size=BATCH)
    mixture = Buffer(Uniform() if eta is None else MixtureOfRounds(eta), capacity=STEPS, batch_size=BATCH)
    return rounds(agent, Mixed((of_learner, mixture)), 50 + EPISODE)


def cloned(quick: bool, kept: Any) -> rl.Trainer:
    """Behavioural cloning of the same episode."""
    return BCConfig(batch_size=BATCH).trainer(ENV, kept["expert"])


def of_training(make: Any, question: Any = score) -> Phased:
    """An arm that plays; its returns over the whole training are looked at too."""
    learner = Phase(make, STEPS, 400, question=question, name="learner", data=EPISODE)
    return Phased((EXPERTS, learner), share="experts")


def discriminated(penalty: GradientPenalty | None, **options: Any) -> Phased:
    """An arm of DAC, whose reward's slope is looked at."""
    return of_training(partial(paid, penalty=penalty, **options), smooth)


TWO_SIDED, ONE_SIDED = GradientPenalty(), GradientPenalty(one_sided=True)
STUDY = Study(
    name="adversarial_imitation",
    environment=f"Pendulum-v1. Each seed has an expert of its own: SAC, 15,000 steps, of which one greedy episode of {EPISODE} steps "
    f"is shown. Learners, without rewards: SAC, {STEPS:,} steps in rounds of one episode, {EPISODE} learning steps each; two layers of "
    "64, also the discriminator's, on observation and action.",
    arms={
        "DAC": of_training(partial(paid, penalty=TWO_SIDED, form="airl"), smooth),
        "no penalty": discriminated(None),
        "spectral norm": discriminated(None, spectral_norm=True),
        "two-sided": discriminated(TWO_SIDED),
        "one-sided": discriminated(ONE_SIDED),
        "preconditioned": discriminated(ONE_SIDED, preconditioned=True),
        "AILBoost": of_training(partial(boosted, eta=0.05)),
        "AILBoost, eta 1": of_training(partial(boosted, eta=1.0)),
        "AILBoost, uniform": of_training(partial(boosted, eta=None)),
        "BC": Phased(
            (EXPERTS, Phase(cloned, STEPS, 400, question=score, metrics=(), name="learner", data=EPISODE)), share="experts"
        ),
    },
    measures={
        "final": f"greedy return at the end, 0 at {RANDOM:g} (a random policy) and 1 at {GOOD:g} (a good one)",
        "expert/final": "the same of the expert",
        "smooth": "share of the replay's steps at which the reward's gradient is at most 1",
    },
    curves={"episode/return": Axes("environment steps", "return of the episodes of training")},
    gates=(
        Gate("the expert swings up", "expert/final", "DAC", 0.8),
        Gate("DAC imitates", "final", "DAC", 0.5),
    ),
    seeds=tuple(range(100, 120)),
    tuning_seeds=tuple(range(4)),
    paired=True,
    minutes=15,
)
