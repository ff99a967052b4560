"""``grid/walk``: fetch a key, open a door, reach the goal; paid once, at the end, and only within the horizon.

Made for credit over many steps: four rooms in a row, new for each episode, actions that may be invalid, and for every step what a
critic would like to know (place, progress, a judge's score), in ``info`` and never in the observation.
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.ops import random_index
from rl_jax.spaces import Box, Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count, Range, Share

MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [0, 0], [0, 0]], np.int32)
"""What the actions do to row and column: up, down, left, right, pick, toggle."""
PICK, TOGGLE, ACTIONS = 4, 5, 6
NOTHING, KEY, OPEN = range(3)
"""Stages: nothing done, the key taken, the door open."""
STAGES = 3
RING = np.array([0, 1, 3, 2], np.int32)
"""The rooms, row by row, in the order in which one walks round."""


@struct.dataclass
class WalkParams:
    """How much is left to chance.

    Attributes:
        slip: probability that an action drawn uniformly is executed instead of the one chosen. It has no memory, as sticky actions
            have, so that place and time remain the whole state.
        flip: probability that an episode is paid as if it had ended otherwise: a verifier that errs.
        distractor: whether ``place`` carries a number that changes at every step, as observations with a clock or noise do: hardly any
            place is then seen twice.
    """

    slip: Any = 0.0
    flip: Any = 0.0
    distractor: Any = False


class Plan(NamedTuple):
    """Rooms in a row, from 0 to 3, and what is in them.

    ``order``: ``int32[4]``, the place in the row of each room of the map. ``gaps``: ``int32[3, 2]``, the cells that join neighbours;
    the last is the door. ``cum``: ``int32[3]``, the way from the first gap to each. ``key``, ``goal``: ``int32[2]``.
    """

    order: jax.Array
    gaps: jax.Array
    cum: jax.Array
    key: jax.Array
    goal: jax.Array


class WalkState(NamedTuple):
    """``position``: ``int32[2]``. ``stage``, ``time``: ``int32``. ``mark``: ``int32``, a number without meaning, new at each step."""

    plan: Plan
    position: jax.Array
    stage: jax.Array
    time: jax.Array
    mark: jax.Array


@dataclass(frozen=True)
class Walk:
    """Four rooms; the goal is behind the locked door of the last one. Reward 1 at the goal, 0 before and at the horizon's end.

    ``info``: ``place``, ``int32``, where the action was chosen (cell and stage); ``valid``, whether the executed action did anything;
    ``progress``, by how many steps it brought the end nearer (-1, 0 or 1); ``judge``, the score in [0, 1] of an imperfect judge;
    ``success``.

    The judge gives 1 to progress, 1/2 to none and 0 to a step back, but 1 to every *pick* and *toggle*, useful or not: who has them
    looks busy.

    Attributes:
        side: of a room.
        spread: start and key lie in the room before the door, or in one of so many rooms further away.
        later: share of the episodes that begin further on: half of these with the key, half with the door open as well, half of which
            behind it.
        horizon: steps after which the episode ends unpaid. The task ends there, so that nothing is bootstrapped.
        slip, flip, distractor: of the default task (see :class:`WalkParams`).
        name: of the environment.
    """

    side: int = 5
    spread: int = 0
    later: float = 0.0
    horizon: int = 40
    slip: float = 0.0
    flip: float = 0.0
    distractor: bool = False
    name: str = "grid/walk"

    def __post_init__(self) -> None:
        sides, rooms = Annotated[int, Range(2, 20)], Annotated[int, Range(0, 2)]
        check_numbers(f"{self.name}'s", self, side=sides, spread=rooms, horizon=Count, distractor=bool)
        check_numbers(f"{self.name}'s", self, later=Share, slip=Share, flip=Share)

    @property
    def time_limit(self) -> int:
        """The horizon."""
        return self.horizon

    @property
    def default_params(self) -> WalkParams:
        return WalkParams(np.float32(self.slip), np.float32(self.flip), np.bool_(self.distractor))

    @property
    def width(self) -> int:
        """Cells along each side of the map."""
        return 2 * self.side + 1

    @property
    def num_places(self) -> int:
        """How many values ``place`` has without a distractor."""
        return self.width**2 * STAGES

    def observation_space(self, params: Any) -> Space:
        return Box.of(-1, 1, (25,))

    def action_space(self, params: Any) -> Space:
        return Discrete(ACTIONS)

    def reset(self, key: Key, params: WalkParams) -> tuple[WalkState, jax.Array]:
        """New rooms, and where in them the episode begins."""
        key_cells, key_turn, key_rooms, key_stage = jax.random.split(key, 4)
        draws = random_index(key_cells, (9,), self.side)
        turn = random_index(key_turn, (), 8)
        rooms = jnp.asarray(RING)[(turn + jnp.where(turn < 4, 1, -1) * jnp.arange(4, dtype=jnp.int32)) % 4]
        corner = jnp.stack([rooms // 2, rooms % 2], -1) * (self.side + 1)
        wall = jnp.full((3,), self.side, jnp.int32)
        beside = (rooms[:3] // 2 == rooms[1:] // 2)[:, None]
        upright, level = (
            jnp.stack(pair, -1) for pair in ((corner[:3, 0] + draws[:3], wall), (wall, corner[:3, 1] + draws[:3]))
        )
        gaps = jnp.where(beside, upright, level)
        cum = jnp.concatenate([wall[:1] * 0, jnp.cumsum(_apart(gaps[1:], gaps[:2]))]).astype(jnp.int32)
        chance = jax.random.uniform(key_stage, (), jnp.float32)
        stage = jnp.where(chance < self.later / 2, OPEN, jnp.where(chance < self.later, KEY, NOTHING)).astype(jnp.int32)
        first_room, key_room = 2 - random_index(key_rooms, (2,), self.spread + 1)
        first_room = jnp.where(chance < self.later / 4, 3, first_room)
        first, place_of_key, goal = (
            corner[room] + draws[i : i + 2] for room, i in ((first_room, 3), (key_room, 5), (jnp.int32(3), 7))
        )
        plan = Plan(jnp.argsort(rooms).astype(jnp.int32), gaps, cum, place_of_key, goal)
        none = jnp.zeros((), jnp.int32)
        state = WalkState(plan, first, stage, none, none)
        return state, self.see(state)

    def step(self, key: Key, state: WalkState, action: jax.Array, params: WalkParams) -> Step:
        """``key`` decides whether the action slips, what is paid at the end, and the distractor's next number."""
        draws = jax.random.bits(key, (4,), jnp.uint32)
        share = draws[:2].astype(jnp.float32) / jnp.float32(2**32)
        other = (draws[2] % ACTIONS).astype(jnp.int32)
        executed = jnp.where(share[0] < params.slip, other, jnp.asarray(action, jnp.int32))
        position, stage, success = self.act(state.plan, state.position, state.stage, executed)
        time = state.time + 1
        over = success | (time >= self.horizon)
        paid = over & (success ^ (share[1] < params.flip))
        mark = (draws[3] >> 21).astype(jnp.int32)
        place = self.place(state.position, state.stage)
        valid = jnp.any(position != state.position) | (stage != state.stage)
        before, after = (self.remaining(state.plan, *at) for at in ((state.position, state.stage), (position, stage)))
        progress = before - after
        info = {
            "place": place + jnp.where(params.distractor, self.num_places * state.mark, 0),
            "valid": valid,
            "progress": progress,
            "judge": jnp.where(executed >= PICK, 1.0, (1 + progress) / 2).astype(jnp.float32),
            "success": success,
        }
        state = WalkState(state.plan, position, stage, time, mark)
        return Step(state, self.see(state), paid.astype(jnp.float32), over, jnp.zeros((), bool), info)

    def place(self, position: jax.Array, stage: jax.Array) -> jax.Array:
        """Cell and stage as one ``int32`` in ``[0, num_places)``."""
        return (position[0] * self.width + position[1]) * STAGES + stage

    def act(
        self, plan: Plan, position: jax.Array, stage: jax.Array, action: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Position, stage and whether the goal is reached after an action; what cannot be done changes nothing."""
        target = position + jnp.asarray(MOVES)[action]
        moved = jnp.where(self._free(plan, target, stage), target, position)
        picks = (action == PICK) & (stage == NOTHING) & jnp.all(position == plan.key)
        opens = (action == TOGGLE) & (stage == KEY) & (_apart(position, plan.gaps[2]) == 1)
        stage = stage + picks.astype(jnp.int32) + opens.astype(jnp.int32)
        return moved, stage, (stage == OPEN) & jnp.all(moved == plan.goal)

    def _free(self, plan: Plan, cell: jax.Array, stage: jax.Array) -> jax.Array:
        inside = jnp.all((cell >= 0) & (cell < self.width))
        gap = jnp.all(cell == plan.gaps, -1) & jnp.stack([jnp.bool_(True), jnp.bool_(True), stage == OPEN])
        return inside & (jnp.all(cell != self.side) | jnp.any(gap))

    def rank(self, plan: Plan, cell: jax.Array) -> jax.Array:
        """The place in the row of the room that a cell lies in; of a gap: that of the room before it."""
        room = plan.order[2 * (cell[0] > self.side) + (cell[1] > self.side)]
        gap = jnp.all(cell == plan.gaps, -1)
        return jnp.where(jnp.any(gap), jnp.argmax(gap), room).astype(jnp.int32)

    def distance(self, plan: Plan, first: jax.Array, second: jax.Array) -> jax.Array:
        """Steps between two cells, all doors open: straight within a room, from gap to gap through the row of rooms."""
        ranks = self.rank(plan, first), self.rank(plan, second)
        turned = ranks[0] > ranks[1]
        near, far = jnp.where(turned, second, first), jnp.where(turned, first, second)
        low, high = jnp.minimum(*ranks), jnp.maximum(*ranks)
        leave, enter = jnp.minimum(low, 2), jnp.maximum(high - 1, 0)
        through = _apart(near, plan.gaps[leave]) + plan.cum[enter] - plan.cum[leave] + _apart(plan.gaps[enter], far)
        return jnp.where(low == high, _apart(near, far), through)

    def remaining(self, plan: Plan, position: jax.Array, stage: jax.Array) -> jax.Array:
        """Steps of the shortest way to the end, ``int32``, with those for *pick* and *toggle*."""
        door = plan.gaps[2]
        behind = 1 + self.distance(plan, door, plan.goal)
        from_key = self.distance(plan, position, plan.key) + 1 + self.distance(plan, plan.key, door) + behind
        with_key = self.distance(plan, position, door) + behind
        steps = jnp.where(stage == NOTHING, from_key, jnp.where(stage == KEY, with_key, 0))
        return jnp.where(stage == OPEN, self.distance(plan, position, plan.goal), steps).astype(jnp.int32)

    def see(self, state: WalkState) -> jax.Array:
        """What the policy sees, ``float32[25]``: where it is and where all else lies from there, not how much time is left."""
        plan, position = state.plan, state.position
        marks = jnp.concatenate([plan.key[None], plan.goal[None], plan.gaps[::-1]])
        offsets = jnp.concatenate([position[None], marks - position]).reshape(-1).astype(jnp.float32) / self.width
        blocked = jnp.stack([~self._free(plan, position + move, state.stage) for move in MOVES[:PICK]])
        close = jnp.stack([jnp.all(position == plan.key), _apart(position, plan.gaps[2]) == 1])
        stages = state.stage == jnp.arange(STAGES, dtype=jnp.int32)
        room = self.rank(plan, position) == jnp.arange(4, dtype=jnp.int32)
        return jnp.concatenate([offsets, *(x.astype(jnp.float32) for x in (blocked, close, stages, room))])


def _apart(first: jax.Array, second: jax.Array) -> jax.Array:
    """Manhattan distance of cells ``[..., 2]``."""
    return jnp.sum(jnp.abs(first - second), -1, dtype=jnp.int32)
