"""What studies of token worlds share: base policies, arms that go on from them, and what their policies are asked at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rl_jax as rl
from rl_jax.agents import PolicyGradient
from rl_jax.agents.policy_gradient.cloning import warm_up
from rl_jax.curricula.prompts import Prompts
from rl_jax.envs.tokens import Chain, TokenWorld
from rl_jax.experience import Transform
from rl_jax.losses import KLDiagnostic, NegativeEntropy
from rl_jax.networks.scorer import Scorer, scorer_like
from rl_jax.networks.sequence import sequence_actor_critic
from rl_jax.ops.groups import grouped
from rl_jax.ops.passes import pass_at_k
from rl_jax.run.claims import Axes, Outcome, Trained, Work
from rl_jax.run.claims.arms.trained import Question
from rl_jax.types import Spec

#: Problems that a policy is asked at the end, none of which it has seen, and sampled answers to each.
PROBLEMS, SAMPLES = 128, 16
#: What every arm reports while it learns.
CURVES = {
    "episode/return": Axes("environment steps", "right answers, sampled"),
    "policy/entropy": Axes("environment steps", "entropy of a token, nats"),
}
MEASURES = {
    "pass@1": f"share of right answers, {SAMPLES} sampled to each of {PROBLEMS} fresh problems",
    "greedy": f"share of right greedy answers to the same {PROBLEMS} problems",
    "pass@16": f"share of these problems to which one of {SAMPLES} sampled answers is right",
    "policy/entropy": "entropy at the policy's own tokens in the last tenth of training, in nats",
    "area": "share of right answers that were sampled in training, its mean over training",
}


@dataclass(frozen=True)
class Setting:
    """A token world, the sizes of policy and rollout, and how the base policy is made.

    Attributes:
        task: what is asked, with the faults of its demonstrator.
        prompts, answers: groups of a rollout, and columns of each.
        width, layers: of the transformer.
        clone_steps, clone_batch, clone_rate: steps of cloning, tapes of each, and the learning rate at first.
    """

    task: Any
    prompts: int = 64
    answers: int = 8
    width: int = 32
    layers: int = 2
    clone_steps: int = 800
    clone_batch: int = 256
    clone_rate: float = 3e-3

    @property
    def world(self) -> TokenWorld:
        """The environment."""
        return TokenWorld(self.task)

    def small(self) -> "Setting":
        """For the quick slice."""
        return replace(self, prompts=2, width=8, layers=1, clone_steps=4, clone_batch=8)

    def agent(self, terms: Mapping[str, Any], weights: Mapping[str, Any], **options: Any) -> PolicyGradient:
        """A policy gradient agent with these loss terms; entropy and divergence are reported by any."""
        usual: dict[str, Any] = {
            "learning_rate": 3e-4,
            "max_grad_norm": 1.0,
            "epochs": 2,
            "minibatches": 4,
            "anneal": False,
            "network": partial(sequence_actor_critic, memory_width=self.width, layers=self.layers),
        }
        terms = {**terms, "entropy": NegativeEntropy(), "kl": KLDiagnostic()}
        weights = dict.fromkeys(terms, 1.0) | {"entropy": 0.0, "kl": 0.0} | dict(weights)
        return PolicyGradient(terms=terms, weights=weights, **usual | options)

    def bases(self, work: Work) -> Any:
        """Parameters of the base policies ``[seeds, ...]``, cloned once for all arms of a process."""
        sizes = {"steps": self.clone_steps, "batch": self.clone_batch, "learning_rate": self.clone_rate}
        made = (self.task, self.width, self.layers, *sizes.values())
        key = ("bases", made, tuple(work.seeds))
        if key not in work.shared:
            clone = partial(warm_up, self.agent({}, {}), self.world, **sizes)
            keys = jax.vmap(jax.random.key)(jnp.asarray(work.seeds, jnp.uint32) + 1_000_000)
            work.progress(0.0, "cloning base policies")
            work.shared[key] = jax.block_until_ready(jax.jit(jax.vmap(clone))(keys))
        return work.shared[key]


#: What several studies begin with, and its environment in words.
SHORT = Setting(Chain(operands=4, slip=0.25, misconception=0.6), clone_batch=128)
SHORT_WORDS = (
    "Chains of four digits with sums, differences and products modulo 10, written result by result by a transformer "
    "of two layers of 32 units. The base policy of each seed clones a demonstrator that takes six of ten products "
    "for one more than they are and replaces a quarter of its results by random digits. Each train step has eight "
)
#: What an arm learns from, given the setting and the base's parameters.
Experience = Callable[[Setting, Any], tuple[Transform, ...]]
#: Arguments of :meth:`rl_jax.Trainer.create` besides the usual, such as another curriculum or replay.
Parts = Callable[[Setting, Any], Mapping[str, Any]]
#: A measure ``[runs]`` of what an arm has found.
Summary = Callable[[Outcome], np.ndarray]


def scorer(setting: Setting) -> Scorer:
    """A network like the policy's, with a number for each token of a whole tape."""
    world = setting.world
    spaces = world.observation_space(world.default_params), world.action_space(world.default_params)
    spec = Spec(*spaces, 1, world.own_limit + 1, whole=True)
    return scorer_like(sequence_actor_critic(spec, memory_width=setting.width, layers=setting.layers))


def area(outcome: Outcome) -> np.ndarray:
    """The mean of the sampled accuracy over training."""
    return outcome.curves["episode/return"].y.mean(axis=1)


def early(outcome: Outcome, parts: int) -> np.ndarray:
    """The mean of the sampled accuracy over the first of so many equal parts of training, ``[runs]``."""
    accuracy = outcome.curves["episode/return"].y
    return accuracy[:, : max(1, accuracy.shape[1] // parts)].mean(axis=1)


def answers(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array, size: int, greedy: bool) -> rl.types.Rollout:
    """Whole episodes ``[T, PROBLEMS * size]`` on fresh problems, ``size`` neighbouring ones on each; one key has the same problems."""
    curriculum = Prompts(trainer.env, size, task=trainer.curriculum.params(state.curriculum, None))
    spec = replace(trainer.base, num_envs=PROBLEMS * size, rounds=1)
    asked = trainer.replace(curriculum=curriculum, base=spec)
    return rl.play(
        asked, state.replace(curriculum=curriculum.init(key, spec)), key, PROBLEMS * size, spec.rollout_length, greedy
    )


def is_right(rollout: rl.types.Rollout) -> jax.Array:
    """Whether each answer ``[N]`` is right."""
    return jnp.any(rollout.info["correct"], axis=0)


def solve(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """The question of most studies: how many fresh problems are solved by a sample, by the greedy answer, and by one of several."""
    samples = grouped(is_right(answers(trainer, state, key, SAMPLES, greedy=False)), SAMPLES)
    greedy = is_right(answers(trainer, state, key, 1, greedy=True))
    return {
        "pass@1": jnp.mean(samples.astype(jnp.float32)),
        "greedy": jnp.mean(greedy.astype(jnp.float32)),
        f"pass@{SAMPLES}": jnp.mean(pass_at_k(samples, SAMPLES)),
    }


def arm(
    setting: Setting,
    terms: Mapping[str, Any],
    experience: Experience,
    *,
    weights: Mapping[str, Any] | None = None,
    updates: int = 100,
    question: Question = solve,
    metrics: tuple[str, ...] = (),
    finals: tuple[str, ...] = (),
    summaries: Mapping[str, Summary] | None = None,
    diverged: dict[str, float] | None = None,
    parts: Parts | None = None,
    **options: Any,
) -> Callable[[Work], Outcome]:
    """One arm: the base policy of each seed goes on learning, and is asked at the end.

    Args:
        setting: the world.
        terms: the loss.
        experience: what is learned from, in order.
        weights: of the terms; 1 if not named.
        updates: train steps.
        question: asked at the end.
        metrics, finals: further ones than the usual.
        summaries: measures of the outcome, such as of its curves.
        diverged: measures of runs that met NaN, where that is a finding.
        parts: of the trainer, in place of the usual ones.
        options: of the agent, such as ``learning_rate`` or ``epochs``.
    """
    return partial(
        _learn,
        setting=setting,
        make=partial(_trainer, terms=terms, experience=experience, weights=weights or {}, parts=parts, options=options),
        updates=updates,
        question=question,
        metrics=(*CURVES, *metrics),
        finals=("policy/entropy", *finals),
        summaries={"area": area} | dict(summaries or {}),
        diverged=diverged,
    )


def _trainer(
    params: Any,
    setting: Setting,
    terms: Mapping[str, Any],
    experience: Experience,
    weights: Mapping[str, Any],
    parts: Parts | None,
    options: Any,
) -> rl.Trainer:
    """The trainer of one seed."""
    usual: dict[str, Any] = {"curriculum": Prompts(setting.world, setting.answers)}
    return rl.Trainer.create(
        setting.world,
        setting.agent(terms, weights, initial_params=params, **options),
        rl.chain(*experience(setting, params)),
        num_envs=setting.prompts * setting.answers,
        rollout_length=setting.world.own_limit,
        whole=True,
        **usual | dict(parts(setting, params) if parts else {}),
    )


def _learn(
    work: Work,
    setting: Setting,
    make: Callable[..., rl.Trainer],
    updates: int,
    question: Question,
    metrics: tuple[str, ...],
    finals: tuple[str, ...],
    summaries: Mapping[str, Summary],
    diverged: dict[str, float] | None,
) -> Outcome:
    """Train all seeds and ask them."""
    setting = setting.small() if work.quick else setting
    trainer = jax.vmap(partial(make, setting=setting))(setting.bases(work))
    per_update = setting.prompts * setting.answers * setting.world.own_limit
    steps = per_update * (2 if work.quick else updates)
    trained = Trained(lambda quick: trainer, steps, steps, question, metrics, finals, rows=50, diverged=diverged, batched=True)
    outcome = trained(work)
    return replace(outcome, values=outcome.values | {name: summary(outcome) for name, summary in summaries.items()})
