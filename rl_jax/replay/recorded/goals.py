"""Recorded experience with goals: steps of a data set, each with places of the data as goals to reach."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.data.marks import MARK, TERMINATED, TRUNCATED
from rl_jax.errors import RLJaxError
from rl_jax.ops import random_index
from rl_jax.replay import ring as rings
from rl_jax.replay.batches import transformed
from rl_jax.replay.recorded.offline import Offline, as_ring
from rl_jax.spaces import Dict, describe, example
from rl_jax.types import Context, Key, PyTree, Sample, Spec
from rl_jax.values import Count, Range, Share

#: The time of what lies in another episode, or before the step: later than all that is compared with it.
NOWHERE = 2**30


def observed_place(obs: Any) -> jax.Array:
    """The goal that an observation fulfils, where goals look like the part ``"observation"``: that part."""
    return obs["observation"]


@struct.dataclass
class GoalShares:
    """Where goals are taken from; the three shares sum to 1.

    Attributes:
        current: share of steps whose goal is where they are.
        future: share of goals that come later in the step's own episode, up to what followed its last step.
        random: share of goals that are the observation at any step of the data, each with equal probability.
        geometric: how far ahead a future goal lies: geometrically distributed with mean ``1 / (1 - gamma)`` steps, cut at the
            episode's end; or, if false, uniform over all that is left of the episode.
    """

    current: Any
    future: Any
    random: Any
    geometric: bool = struct.field(pytree_node=False, default=True)


class Place(NamedTuple):
    """Places of the data ``[B]``: ``row`` of its observations; ``time``, the step in the episode of the step that is drawn."""

    row: jax.Array
    time: jax.Array


@struct.dataclass(kw_only=True)
class Goals(Offline):
    """Single steps ``[1, B]``, each first with equal probability, with goals of the data in place of those that were set.

    As the data sets of OGBench (Park et al. 2025, arXiv 2410.20092, ``impls/utils/datasets.py``, ``GCDataset`` and ``HGCDataset``),
    which HIQL (Park et al. 2023, arXiv 2307.11949) learns from. Observations are dictionaries with the part ``"goal"``. One
    difference: of uniform distances OGBench rounds, so that the two ends are half as likely as what lies between.

    **Reward and end are of the state, not of the step that arrives**: 0 and ``terminated`` where ``obs`` is at the goal, whatever is
    done there; -1 everywhere else. So ``V(s, g) = -(1 - gamma^d) / (1 - gamma)``, ``d`` steps from the goal, and 0 at it. Ends of the
    data's episodes end nothing: their last step leads to their final observation.

    In the batch, ``obs["goal"]`` and ``next_obs["goal"]`` are the goal, and ``extras["discount"]`` is ``gamma``: agents that learn
    from single steps learn to reach goals. Further ``extras``, of which what is not read is not computed:

    - ``goal``: the goal; from ``shares``.
    - ``policy_goal``: another one, for policies; from ``policy_shares``.
    - ``subgoal_obs``: the observation ``subgoal`` steps later, or at the policy's goal if that comes first, or at the episode's end;
      ``subgoal``: it as a goal.
    - ``waypoint``: as ``subgoal``, but for the policy's goal, which it may pass.
    - ``option_obs``: the observation ``option`` steps later, or at the goal if that comes first, or at the episode's end;
      ``option_goal``: ``goal``, or in the share of current ones where the option ends; ``option_steps``: the steps in between,
      ``int32``; ``option_reward``: 0 if the option ends at its goal, else -1; ``option_discount``: 0 and ``gamma`` likewise.

    Attributes:
        gamma: the discount of one step or one option, and the parameter of geometric distances.
        shares, policy_shares: of the two goals; the defaults are OGBench's.
        subgoal, option: steps. Numbers like all others: they can be swept.
        reached: the goal that an observation fulfils, ``obs [B, ...] -> goal [B, ...]``, as of
            :class:`~rl_jax.replay.hindsight.Hindsight`.
        same: whether one is at the goal, ``(reached [B, ...], goal [B, ...]) -> bool [B]``. ``None``: at the very step that the goal
            was taken from, as in the published code, whose states are never seen twice.
    """

    gamma: Any = 0.99
    shares: GoalShares = GoalShares(0.2, 0.5, 0.3)
    policy_shares: GoalShares = GoalShares(0.0, 1.0, 0.0, geometric=False)
    subgoal: Any = 25
    option: Any = 5
    reached: Callable[[PyTree], jax.Array] = struct.field(pytree_node=False, default=observed_place)
    same: Callable[[jax.Array, jax.Array], jax.Array] | None = struct.field(pytree_node=False, default=None)

    def init(self, key: Key, spec: Spec) -> PyTree:
        """The last step of each step's episode, ``int32 [S]``, and the transforms' state.

        Raises:
            RLJaxError: besides what :class:`Offline` refuses, longer trajectories, shares that do not sum to 1, or observations without
                a goal that looks like what ``reached`` gives.
        """
        inner = super().init(key, spec)
        check_numbers("goals'", self, subgoal=Count, option=Count, gamma=Annotated[float, Range(0.0, 0.999999)])
        if self.length != 1:
            raise RLJaxError(f"goals are of single steps, not of trajectories of {self.length}: leave out length")
        for what, shares in (("shares", self.shares), ("policy_shares", self.policy_shares)):
            parts = shares.current, shares.future, shares.random
            check_numbers(f"goals' {what}'", shares, current=Share, future=Share, random=Share)
            if all(isinstance(part, int | float) for part in parts) and abs(sum(parts) - 1) > 1e-6:
                raise RLJaxError(f"goals' {what} sum to {sum(parts):g}: let current, future and random sum to 1")
        self._check_goal(spec)
        return _last_steps(jnp.asarray(self.data.marks)), inner

    def _check_goal(self, spec: Spec) -> None:
        space = spec.obs_space
        if not isinstance(space, Dict) or "goal" not in space:
            raise RLJaxError(f"goals need observations with a part 'goal', and these are {describe(space)}: add one")
        try:
            found = jax.eval_shape(self.reached, example(space, 1))
        except KeyError as error:
            raise RLJaxError(
                f"goals look for the part {error} of {describe(space)}: give reached=, from an observation to the goal that it "
                "fulfils, such as the environment's"
            ) from error
        goal = space["goal"]
        if (found.shape[1:], found.dtype) != (goal.shape, goal.dtype):  # type: ignore[union-attr]
            raise RLJaxError(
                f"the goal of observations is {describe(goal)}, and reached makes {found.dtype}{list(found.shape[1:])}: give "
                "reached=, from an observation to the goal that it fulfils"
            )

    def sample(self, state: PyTree, context: Context) -> Sample:
        """A batch ``[1, batch_size, ...]``, after the transforms."""
        last_steps, inner = state
        keys = jax.random.split(context.key, 4)
        steps = self.data.num_steps
        step = random_index(keys[0], (self.batch_size,), steps)
        episode, last = jnp.asarray(self.data.marks)[step] // MARK, last_steps[step]

        def at(time: jax.Array) -> Place:
            """Times of the step's own episode, up to what followed its last step."""
            time = jnp.minimum(time, last + 1)
            return Place(jnp.where(time > last, steps + episode, time), time)

        def either(condition: jax.Array, first: Place, second: Place) -> Place:
            return Place(*(jnp.where(condition, x, y) for x, y in zip(first, second, strict=True)))

        def drawn(key: Key, shares: GoalShares) -> tuple[Place, jax.Array]:
            """Goals, and which are to be the current place instead."""
            key_source, key_ahead, key_random = jax.random.split(key, 3)
            source = jax.random.uniform(key_source, step.shape)
            if shares.geometric:
                u = jax.random.uniform(key_ahead, step.shape)
                ahead = jnp.minimum(jnp.log1p(-u) / jnp.log(self.gamma), float(steps)).astype(jnp.int32)
            else:
                ahead = random_index(key_ahead, step.shape, last + 1 - step)
            random = random_index(key_random, step.shape, steps)
            anywhere = Place(random, jnp.full_like(step, NOWHERE))
            own = source < shares.current + shares.future
            return either(own, at(step + 1 + ahead), anywhere), source < shares.current

        here, option_end = at(step), at(step + self.option)
        other, current = drawn(keys[1], self.shares)
        goal, option_goal = either(current, here, other), either(current, option_end, other)
        option_end = either(option_goal.time < option_end.time, option_goal, option_end)
        other, current = drawn(keys[2], self.policy_shares)
        policy_goal = either(current, here, other)
        waypoint = at(step + self.subgoal)
        subgoal = either(policy_goal.time < waypoint.time, policy_goal, waypoint)

        batch = rings.read(*as_ring(self.data, 1), step)
        goals, policy_goals = self.reached(self._look(goal)), self.reached(self._look(policy_goal))
        subgoal_obs, option_obs = self._look(subgoal), self._look(option_end)
        option_goals = self.reached(self._look(option_goal))
        reached, option_reached = here.row == goal.row, option_end.row == option_goal.row
        if self.same is not None:
            reached = self.same(self.reached(self._look(here)), goals)
            option_reached = self.same(self.reached(option_obs), option_goals)
        extras = {
            "goal": goals,
            "policy_goal": policy_goals,
            "subgoal_obs": {**subgoal_obs, "goal": policy_goals},
            "subgoal": self.reached(subgoal_obs),
            "waypoint": self.reached(self._look(waypoint)),
            "option_obs": {**option_obs, "goal": option_goals},
            "option_goal": option_goals,
            "option_steps": option_end.time - step,
            "option_reward": option_reached - 1.0,
            "option_discount": jnp.where(option_reached, 0.0, self.gamma),
            "discount": jnp.full(step.shape, self.gamma, jnp.float32),
        }
        batch = batch.replace(  # type: ignore[attr-defined]
            obs={**batch.obs, "goal": goals[None]},
            next_obs={**batch.next_obs, "goal": goals[None]},
            reward=(reached - 1.0)[None],
            terminated=reached[None],
            truncated=batch.done & ~reached[None],
        ).with_extras(**jax.tree.map(lambda x: x[None], extras))
        return Sample(transformed(self.transforms, inner, batch, context, keys[3]), None, None)

    def _look(self, place: Place) -> PyTree:
        """The observations ``[B, ...]`` at places."""
        return jax.tree.map(lambda x: jnp.asarray(x).at[place.row].get(mode="promise_in_bounds"), self.data.obs)


def _last_steps(marks: jax.Array) -> jax.Array:
    """The last step ``int32 [S]`` of every step's episode."""
    done = (marks & (TERMINATED | TRUNCATED)) != 0
    ends = jnp.where(done, jnp.arange(marks.shape[0], dtype=jnp.int32), NOWHERE)
    return jax.lax.cummin(ends, reverse=True)
