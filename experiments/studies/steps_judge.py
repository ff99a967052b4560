"""A judge of steps for the study ``steps``: a scorer that learns labels of steps, of which some are false, once for each seed."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from studies.tokens import Setting, scorer

from rl_jax.agents import PolicyGradient
from rl_jax.envs.tokens.task import Problem
from rl_jax.experience.bonus.fit import Model
from rl_jax.experience.tape_scores import outcome_loss, token_scores
from rl_jax.networks.scorer import Scorer, with_backbone
from rl_jax.run.claims import Work
from rl_jax.types import Key, PyTree


def fresh(network: Scorer, key: Key, policy: PyTree) -> PyTree:
    """A scorer's first parameters: the base policy's torso and memory, as reward models begin."""
    tape = jnp.zeros((2, 1), jnp.int32)
    return with_backbone(network.init(key, tape, jnp.zeros(tape.shape, bool)), policy)


def played(setting: Setting, problem: Problem, tokens: jax.Array, params: Any) -> dict[str, jax.Array]:
    """``info`` ``[T]`` of an episode on this problem whose tape ``[T + 1]`` is given."""
    world = setting.world

    def step(state: Any, token: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        after = world.step(jax.random.key(0), state, token, params)
        return after.state, after.info

    return jax.lax.scan(step, world.blank(problem, params), tokens[1:])[1]


@dataclass(frozen=True)
class Judged(Setting):
    """A setting whose bases are pairs: parameters of the ``policy`` and of its ``judge``.

    Attributes:
        judge_steps, judge_batch: steps of Adam, and demonstrated tapes of each, with as many idle steps as there may be.
        false: share of labels of results that are false, in the last quarter of the steps. Before it there are none: what is right is
            learned suddenly, after a plateau that false labels make longer, as in the cloning of policies.
        idle: share of idle steps that are labelled good.
    """

    judge_steps: int = 800
    judge_batch: int = 128
    judge_rate: float = 3e-3
    false: float = 0.15
    idle: float = 0.9

    def small(self) -> "Judged":
        return Judged(**{**vars(super().small()), "judge_steps": 2, "judge_batch": 4})

    def agent(self, terms: Any, weights: Any, initial_params: Any = None, **options: Any) -> PolicyGradient:
        """The policy of the pair."""
        policy = None if initial_params is None else initial_params["policy"]
        return super().agent(terms, weights, initial_params=policy, **options)

    def bases(self, work: Work) -> dict[str, PyTree]:
        """Policies and judges ``[seeds, ...]``, made once for all arms of a process."""
        policies, key = super().bases(work), ("judges", self, tuple(work.seeds))
        if key not in work.shared:
            keys = jax.vmap(jax.random.key)(jnp.asarray(work.seeds, jnp.uint32) + 2_000_000)
            work.progress(0.0, "fitting judges")
            work.shared[key] = jax.block_until_ready(jax.jit(jax.vmap(self.judge))(keys, policies))
        return {"policy": policies, "judge": work.shared[key]}

    def labels(self, key: Key, false: Any) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """A demonstrated tape ``[T + 1]``; where steps end, what they are labelled, and whether they are right, ``[T]``."""
        task, params = self.task, self.world.default_params
        params = params.replace(padding=jnp.float32(0.5))
        key_problem, key_tape, key_false, key_idle = jax.random.split(key, 4)
        problem = task.draw(key_problem, params)
        tokens, _ = task.demonstrate(key_tape, problem, params)
        info = played(self, problem, tokens, params)
        flipped = jax.random.bernoulli(key_false, false, info["step_ok"].shape)
        liked = jax.random.bernoulli(key_idle, self.idle, info["step_ok"].shape)
        label = jnp.where(tokens[1:] < 10, info["step_ok"] ^ flipped, liked)
        return tokens, info["step_end"], label, info["step_ok"]

    def judge(self, key: Key, policy: PyTree) -> PyTree:
        """Parameters of a scorer after learning by cross-entropy; Adam's rate falls to zero."""
        network = scorer(self)

        def loss(params: PyTree, batch: tuple[jax.Array, ...]) -> jax.Array:
            tokens, step, label = (jnp.swapaxes(x, 0, 1) for x in batch)
            error = outcome_loss(token_scores(network, params, tokens), label)
            return jnp.sum(jnp.where(step, error, 0.0)) / jnp.maximum(jnp.sum(step), 1)

        def learn(model: Model, item: tuple[jax.Array, Key]) -> tuple[Model, jax.Array]:
            done, key = item
            key_tapes, key_fit = jax.random.split(key)
            false = jnp.where(done < 0.75 * self.judge_steps, 0.0, self.false)
            batch = jax.vmap(partial(self.labels, false=false))(jax.random.split(key_tapes, self.judge_batch))[:3]
            return model.fit(loss, batch, key_fit, self.judge_rate * (1.0 - done / self.judge_steps), 1)

        key_init, key_tapes = jax.random.split(key)
        model = Model.start(fresh(network, key_init, policy))
        items = jnp.arange(self.judge_steps, dtype=jnp.float32), jax.random.split(key_tapes, self.judge_steps)
        return jax.lax.scan(learn, model, items)[0].params
