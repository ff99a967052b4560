"""Rewards for steps: what a learned judge of steps is worth in training, and what can be read off outcomes alone."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from studies.steps_credit import located
from studies.steps_judge import Judged
from studies.tokens import CURVES, MEASURES, SAMPLES, Setting, answers, arm, is_right, scorer

import rl_jax as rl
from rl_jax.envs.tokens import Chain, TokenWorld
from rl_jax.envs.tokens.task import END, NOTHING, PAD
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.reward_design.implicit_prm import DenseAdvantage, ImplicitReward
from rl_jax.ideas.reward_design.pr_clip_delta import Judge, StepRewards, step_rewards
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.run.claims import Axes, Gate, Study

TASK = Chain(operands=4, spare=6, idle_steps=True, slip=0.25, misconception=0.6, padding=0.2)
SETTING = Judged(TASK, prompts=32, clone_steps=1000, clone_batch=128)
#: The same without a judge.
PLAIN = Setting(TASK, prompts=32, clone_steps=1000, clone_batch=128)
UPDATES, RATE = 60, 3e-4
#: Of the dense reward: its weight, and the rate of the model that it is read from.
DENSE, IMPLICIT_RATE = 0.03, 3e-4
#: Weight of step rewards, of which an answer has three at least, beside the outcome.
ALPHA = 0.1


def rewarded(setting: Setting, params: Any, **options: Any) -> tuple[Any, ...]:
    """RLOO's advantages of outcomes, with those of the judge's step rewards added."""
    outcomes = group_advantage(setting.answers, "leave-one-out", "none")
    return outcomes, Judge(scorer(setting), params["judge"]), StepRewards(setting.answers, **options), own_weight()


def padded(world: TokenWorld, key: jax.Array, problems: int) -> tuple[jax.Array, jax.Array]:
    """Right answers to some problems, each with 0, 1, ... idle steps before its end: tapes ``[T + 1, N]``, neighbours on one problem.

    Also where their steps end, ``[T, N]``.
    """
    task, known = world.task, world.default_params
    faultless = known.replace(slip=jnp.float32(0), misconception=jnp.float32(0), padding=jnp.float32(0))

    def tape(key: jax.Array, idle: jax.Array) -> jax.Array:
        tokens, _ = task.demonstrate(key, task.draw(key, faultless), faultless)
        place, end = jnp.arange(len(tokens)), task.prompt_length + task.most_steps
        rest = jnp.where(place < end + idle, NOTHING, jnp.where(place == end + idle, END, PAD))
        return jnp.where(place < end, tokens, rest)

    counts = jnp.arange(task.spare + 1)
    tapes = jax.vmap(lambda key: jax.vmap(partial(tape, key))(counts))(jax.random.split(key, problems))
    tapes = tapes.reshape(-1, tapes.shape[-1]).T
    answer = jnp.arange(1, len(tapes))[:, None] >= task.prompt_length
    return tapes, answer & ((tapes[1:] < 10) | (tapes[1:] == NOTHING))


def solved(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """How many fresh problems are solved by samples and by the greedy answer, and in how many steps."""
    samples, greedy = (answers(trainer, state, key, size, is_greedy) for size, is_greedy in ((SAMPLES, False), (1, True)))
    return {
        "pass@1": jnp.mean(is_right(samples).astype(jnp.float32)),
        "greedy": jnp.mean(is_right(greedy).astype(jnp.float32)),
        "steps": jnp.mean(jnp.sum(samples.info["step_end"].astype(jnp.float32), axis=0)),
    }


def hacked(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """How many fresh problems are solved, and in how many steps; and what an idle step more earns a right answer."""
    _, judge, rewards, _ = trainer.experience.transforms
    tapes, step = padded(trainer.env, key, 32)
    size = trainer.env.task.spare + 1
    earned = (rewards.alpha > 0) * step_rewards(judge.judged(tapes), step, size, rewards.clip, rewards.delta)
    earned = jnp.mean(jnp.sum(earned, axis=0).reshape(-1, size), axis=0)
    more = jnp.arange(size) - (size - 1) / 2
    return {
        **solved(trainer, state, key),
        "slope": jnp.sum(more * earned) / jnp.sum(more**2),
    }


def learned(alpha: float = ALPHA, clip: float = 0.0, delta: float = 0.0, **options: Any) -> Any:
    """An arm with step rewards; with ``alpha=0`` there are none."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "question": hacked, "metrics": ("steps/number",)}
    experience = partial(rewarded, alpha=alpha, clip=clip, delta=delta)
    return arm(SETTING, {"policy": ClippedTokens()}, experience, **usual | options)


def outcomes(setting: Setting, params: Any, *dense: Any) -> tuple[Any, ...]:
    """RLOO's advantages."""
    return group_advantage(setting.answers, "leave-one-out", "none"), *dense, own_weight()


def implicit(setting: Setting, params: Any, rate: float, weight: float) -> tuple[Any, ...]:
    """RLOO's advantages of outcomes and of implicit rewards of tokens."""
    return outcomes(setting, params, ImplicitReward(params, learning_rate=rate), DenseAdvantage(setting.answers, weight))


def plain(experience: Any, **options: Any) -> Any:
    """An arm without a judge."""
    usual: dict[str, Any] = {"updates": UPDATES, "learning_rate": RATE, "question": solved}
    return arm(PLAIN, {"policy": ClippedTokens()}, experience, **usual | options)


def locating(kind: str, steps: int, scale: int = 1) -> Any:
    """An arm that trains no policy: a model of steps is made of the base's answers."""
    return plain(outcomes, updates=1, learning_rate=0.0, question=partial(located, kind=kind, steps=steps, scale=scale))


STUDY = Study(
    name="steps",
    environment="Chains of four digits with sums, differences and products modulo 10, written result by result by a transformer of two "
    "layers of 32 units, with up to six idle steps between: they do nothing, and are steps to a judge. The base policy of each seed "
    "clones a demonstrator that takes six of ten products for one more than they are, replaces a quarter of its results by random "
    "digits, and idles before one result in five. The judge of each seed is a network like the policy's, fitted to demonstrations with "
    "more idle steps, whose labels are false for 15% of the results and good for 90% of the idle steps. Each train step has eight "
    f"answers to each of 32 fresh problems; {UPDATES} train steps.",
    arms={
        "base": learned(0.0, learning_rate=0.0),
        "success only": learned(0.0),
        "raw": learned(),
        "Clip": learned(clip=1.0),
        "Delta": learned(delta=1.0),
        "Clip-Delta": learned(clip=1.0, delta=1.0),
        "plain base": plain(outcomes, learning_rate=0.0),
        "RLOO": plain(outcomes),
        "implicit": plain(partial(implicit, rate=IMPLICIT_RATE, weight=DENSE)),
        "implicit model": locating("implicit", 512),
        "prefix scorer": locating("prefix", 512),
        "Monte Carlo": locating("Monte Carlo", 128),
        "Monte Carlo x 10": locating("Monte Carlo", 128, 10),
    },
    measures={
        "pass@1": MEASURES["pass@1"],
        "greedy": MEASURES["greedy"],
        "area": MEASURES["area"],
        "policy/entropy": MEASURES["policy/entropy"],
        "ROC": "probability that a first wrong result is scored below a right one with no error before it",
        "steps": "steps of a sampled answer, idle ones included",
        "slope": "what one idle step more adds to the step rewards of a right answer, before their weight",
    },
    curves=CURVES | {"steps/number": Axes("environment steps", "steps of an answer, idle ones included")},
    gates=(
        Gate("the base has room", "pass@1", "base", 0.1, 0.5),
        Gate("success alone teaches", "pass@1", "success only", 0.1, baseline="base"),
        Gate("the plain base has room", "pass@1", "plain base", 0.1, 0.5),
        Gate("RLOO learns", "pass@1", "RLOO", 0.1, baseline="plain base"),
    ),
    seeds=tuple(range(100, 110)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    minutes=10,
)
