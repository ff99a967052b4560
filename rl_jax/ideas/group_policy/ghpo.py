"""GHPO: where a whole group fails, the problem comes back with the beginning of its solution."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument
from rl_jax.curricula.prompts import Prompt, Prompts, PromptState
from rl_jax.envs.tokens.task import Problem
from rl_jax.errors import RLJaxError
from rl_jax.ops.groups import grouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec, Start
from rl_jax.values import Range

#: A problem's solution: its tokens ``int32 [K]``, and how many of them count, without the one that ends the answer.
Solution = Callable[[Problem], tuple[jax.Array, jax.Array]]


@struct.dataclass
class HintedPrompt(Prompt):
    """The level of an episode, ``int32``: as of :class:`~rl_jax.curricula.prompts.Prompt`, and the stage of its hint, 0: none."""

    hint: jax.Array = struct.field(kw_only=True)


class HintState(NamedTuple):
    """The state of the prompts, and the stage of each problem's next hint ``int32 [K]``."""

    prompts: PromptState
    stage: jax.Array


@struct.dataclass
class HintedPrompts:
    """A fixed set of problems; after a group in which all fail a problem comes with a longer beginning of its solution, else a shorter.

    Liu et al. 2025, "GHPO: Adaptive Guidance for Stable and Efficient LLM Reinforcement Learning", arXiv:2507.10628. Its code
    (hkgc-1/GHPO, ``ghpo_trainer.py``) generates a failed group again at once, with a quarter, a half and three quarters of the
    solution in turn, and asks without a hint at every visit; the ratio of its configuration is read nowhere. Here a visit is one
    group: the stage rises by one after a failed group and falls by one after any other, so no answers are thrown away, and the hint
    comes one visit late. The given tokens are the environment's, and nothing is learned from them.

    Attributes:
        prompts: the problems of a :class:`~rl_jax.envs.tokens.TokenWorld`, with a ``count``.
        solution: of each.
        lowest: the stage below which no hint falls; as the last stage it means that all problems come with that hint.
        shares: of the solution that is given, by stage.
    """

    prompts: Prompts
    solution: Solution = struct.field(pytree_node=False)
    lowest: int = struct.field(pytree_node=False, default=0)
    shares: tuple[float, ...] = struct.field(pytree_node=False, default=(0.0, 0.25, 0.5, 0.75))

    def init(self, key: Key, spec: Spec) -> HintState:
        """Nobody has failed yet.

        Raises:
            RLJaxError: there is no end of problems, or no such stage.
        """
        if self.prompts.count is None:
            raise RLJaxError("HintedPrompts remembers who failed: give its prompts a count")
        check_argument("HintedPrompts' lowest", self.lowest, Annotated[int, Range(0, len(self.shares) - 1)])
        return HintState(self.prompts.init(key, spec), jnp.full((self.prompts.count,), self.lowest, jnp.int32))

    def start(self, state: HintState, key: Key, index: jax.Array) -> Start:
        """The group's problem, with the hint that it has come to."""
        level, tape, _ = self.prompts.start(state.prompts, key, index)
        stage = state.stage[level.problem]
        tokens, size = self.solution(tape.problem)
        given = jnp.round(jnp.asarray(self.shares, jnp.float32)[stage] * size).astype(jnp.int32)
        world: Any = self.prompts.env
        tape = world.begin(tape.problem, tokens, given, self.params(state, level))
        return Start(HintedPrompt(level.group, level.problem, level.size, hint=stage), tape, world.observe(tape))

    def params(self, state: HintState, level: PyTree) -> PyTree:
        return self.prompts.params(state.prompts, level)

    def update(self, state: HintState, rollout: Rollout, context: Context) -> tuple[HintState, Metrics]:
        """Longer hints for the problems that nobody solved, shorter ones for the others."""
        prompts, metrics = self.prompts.update(state.prompts, rollout, context)
        raw: Rollout = context.collected
        outcome = grouped(jnp.sum(raw.reward, axis=0), self.prompts.size)
        first = jax.tree.map(lambda x: grouped(x[0], self.prompts.size)[:, 0], raw.level)
        failed = jnp.max(outcome, axis=-1) < self.prompts.success
        stage = jnp.clip(first.hint + jnp.where(failed, 1, -1), self.lowest, len(self.shares) - 1)
        metrics |= {"hints/share": jnp.mean((first.hint > 0).astype(jnp.float32)), "hints/failed": jnp.mean(failed)}
        return HintState(prompts, state.stage.at[first.problem].set(stage)), metrics
