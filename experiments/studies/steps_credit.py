"""Four ways to say which step of an answer was wrong, from the base policy's answers and their outcomes, for the study ``steps``."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from studies.answers import area_under_curve
from studies.steps_judge import fresh
from studies.tokens import PROBLEMS, SAMPLES, answers, is_right

import rl_jax as rl
from rl_jax.experience.bonus.fit import Model
from rl_jax.experience.selection.columns import part_of
from rl_jax.experience.tape_scores import outcome_loss, tape_of, token_scores
from rl_jax.ideas.reward_design.implicit_prm import ImplicitReward
from rl_jax.networks.scorer import Scorer, scorer_like
from rl_jax.types import Key, PyTree, Rollout

#: Answers that a model of steps may cost, and how many of them each step of Adam learns from.
BUDGET, BATCH = 4096, 128
#: Continuations of each prefix, as many as there are labels of it.
CONTINUED = 4


class Labelled(NamedTuple):
    """Answers: tapes ``[T + 1, N]``; which tokens have a label, and what it is, ``[T, N]``."""

    tape: jax.Array
    known: jax.Array
    label: jax.Array


def digits(rollout: Rollout) -> jax.Array:
    """Where a result is written, ``bool [T, N]``."""
    return rollout.info["own"] & (rollout.action < 10)


def of_the_end(rollout: Rollout) -> Labelled:
    """The whole answer's outcome, at its last token."""
    last = jnp.broadcast_to(is_right(rollout).astype(jnp.float32), rollout.reward.shape)
    return Labelled(tape_of(rollout), rollout.done & rollout.info["own"], last)


def continued(trainer: rl.Trainer, state: rl.TrainState, rollout: Rollout, upto: jax.Array, key: Key) -> jax.Array:
    """Outcomes ``[N]`` of answers that go on, as the policy does, after the row ``upto`` ``[N]`` of those of a rollout."""
    env, number = trainer.env, upto.shape[0]
    params = env.default_params
    first = jax.tree.map(lambda x: x[0], rollout.env_state)

    def step(carry: Any, item: tuple[jax.Array, jax.Array, Key]) -> tuple[Any, jax.Array]:
        memory, tape, obs = carry
        row, written, key = item
        begins = jnp.full((number,), row == 0)
        memory, action, _ = trainer.agent.act(state.agent, memory, obs, begins, key)
        action = jnp.where(row <= upto, written, action)
        after = jax.vmap(env.step, in_axes=(None, 0, 0, None))(key, tape, action, params)
        return (memory, after.state, after.obs), after.info["correct"]

    rows = jnp.arange(len(rollout.action), dtype=jnp.int32)
    items = (rows, rollout.action, jax.random.split(key, len(rows)))
    start = trainer.agent.initial_carry(number), first, rollout.obs[0]
    return jnp.any(jax.lax.scan(step, start, items)[1], axis=0).astype(jnp.float32)


def of_continuations(trainer: rl.Trainer, state: rl.TrainState, rollout: Rollout, key: Key) -> Labelled:
    """Each result but the last: the share of right answers among continuations from there; the last: the outcome."""
    step = digits(rollout)
    place = jnp.cumsum(step, axis=0)
    results = trainer.env.task.most_steps
    known, label = step & (place == results), jnp.broadcast_to(is_right(rollout).astype(jnp.float32), step.shape)
    repeated = jax.tree.map(lambda x: jnp.repeat(x, CONTINUED, axis=1), rollout.replace(start=None, last=None))  # type: ignore[attr-defined]
    for number in range(1, results):
        here = step & (place == number)
        upto = jnp.repeat(jnp.argmax(here, axis=0), CONTINUED)
        found = continued(trainer, state, repeated, upto, jax.random.fold_in(key, number))
        label = jnp.where(here, jnp.mean(found.reshape(-1, CONTINUED), axis=1), label)
        known |= here
    return Labelled(tape_of(rollout), known, label)


def fitted(network: Scorer, policy: PyTree, data: Labelled, key: Key, steps: int) -> PyTree:
    """A scorer that has learned the labels by cross-entropy, ``steps`` steps of ``BATCH`` answers."""

    def loss(params: PyTree, batch: Labelled) -> jax.Array:
        tape, known, label = (jnp.swapaxes(x, 0, 1) for x in batch)
        error = outcome_loss(token_scores(network, params, tape), label)
        return jnp.sum(jnp.where(known, error, 0.0)) / jnp.maximum(jnp.sum(known), 1)

    def learn(model: Model, key: Key) -> tuple[Model, jax.Array]:
        columns = jax.random.randint(key, (BATCH,), 0, data.tape.shape[1])
        batch = jax.tree.map(lambda x: jnp.swapaxes(x[:, columns], 0, 1), data)
        return model.fit(loss, batch, key, 1e-3, 1)

    key_init, key_fit = jax.random.split(key)
    model = Model.start(fresh(network, key_init, policy))
    return jax.lax.scan(learn, model, jax.random.split(key_fit, steps))[0].params


def first_errors(rollout: Rollout, score: jax.Array) -> jax.Array:
    """How often a right result before any error is scored above a first wrong one: the area under the ROC curve."""
    wrong = digits(rollout) & ~rollout.info["step_ok"]
    before = jnp.cumsum(wrong, axis=0)
    return area_under_curve(-score, wrong & (before == 1), digits(rollout) & (before == 0))


def located(trainer: rl.Trainer, state: rl.TrainState, key: Key, kind: str, steps: int, scale: int = 1) -> dict[str, jax.Array]:
    """How well a model made of the base policy's answers finds first errors in others.

    Args:
        trainer, state: of the base policy.
        key: of all answers.
        kind: ``"implicit"``; ``"prefix"``, a scorer of whole answers read at each result; ``"Monte Carlo"``, a scorer of results whose
            labels are the outcomes of continuations. All have the base policy's network and parameters to begin with.
        steps: of Adam.
        scale: of the budget.
    """
    network, policy = trainer.agent.network, state.agent.params
    reader = scorer_like(network.clone(memory=network.memory.clone(length=trainer.env.own_limit + 1)))
    key_data, key_labels, key_fit, key_new = jax.random.split(key, 4)
    cost = 1 + CONTINUED * (trainer.env.task.most_steps - 1) if kind == "Monte Carlo" else 1
    many = max(1, scale * BUDGET // (cost * PROBLEMS))
    data, new = answers(trainer, state, key_data, many, False), answers(trainer, state, key_new, SAMPLES, False)
    if kind == "implicit":
        return {"ROC": first_errors(new, implicit_scores(trainer, state, data, new, key_fit, steps))}
    labelled = of_the_end(data) if kind == "prefix" else of_continuations(trainer, state, data, key_labels)
    params = fitted(reader, policy, labelled, key_fit, steps)
    return {"ROC": first_errors(new, token_scores(reader, params, tape_of(new)))}


def implicit_scores(trainer: rl.Trainer, state: rl.TrainState, data: Rollout, new: Rollout, key: Key, steps: int) -> jax.Array:
    """The implicit rewards ``[T, N]`` of answers, by a model that has learned the outcomes of others."""
    transform = ImplicitReward(state.agent.params)
    data, new = (rollout.with_extras(own=rollout.info["own"]) for rollout in (data, new))
    reference = log_probs(trainer, state.agent.params, data)
    outcome = is_right(data).astype(jnp.float32)

    def learn(model: Model, key: Key) -> tuple[Model, None]:
        columns = jax.random.randint(key, (BATCH,), 0, len(outcome))

        def loss(params: PyTree, _: Any) -> jax.Array:
            part = part_of(data, columns)
            rewards = transform.rewards(params, reference[:, columns], part, trainer.agent)
            return jnp.mean(outcome_loss(jnp.sum(rewards, axis=0), outcome[columns]))

        return model.fit(loss, jnp.arange(1), key, 1e-3, 1)[0], None

    model = jax.lax.scan(learn, Model.start(state.agent.params), jax.random.split(key, steps))[0]
    return transform.rewards(model.params, log_probs(trainer, state.agent.params, new), new, trainer.agent)


def log_probs(trainer: rl.Trainer, params: PyTree, rollout: Rollout) -> jax.Array:
    """Log-probabilities ``[T, N]`` of what was written."""
    return trainer.agent.outputs(params, rollout).policy.log_prob(rollout.action)
