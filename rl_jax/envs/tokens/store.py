"""A store of ten cells and four calls to it. ``2705=`` is answered by ``a2``, ``b7``, ``a0``, ``b5``: read and write, twice."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.tokens.task import CONTROL, EQUALS, NOTHING, WRONG, Problem, Reply, Tape
from rl_jax.types import Key
from rl_jax.values import Share

READ, WRITE = CONTROL, CONTROL + 1
TURNS, PROMPT = 4, 5


@struct.dataclass
class StoreParams:
    """How the demonstrator errs.

    Attributes:
        slip: probability that a call goes to a uniformly random cell.
        misconception: probability that the second value is written to the first destination.
    """

    slip: Any
    misconception: Any


class Orders(NamedTuple):
    """What is hidden: the cells ``int32 [10]`` at first, and two sources and destinations ``int32 [2]``, four different cells."""

    cells: jax.Array
    sources: jax.Array
    targets: jax.Array


class Calls(NamedTuple):
    """The cells now, the value read last, which sources were read ``bool [2]``, calls made, and the running one's verb (-1: none)."""

    cells: jax.Array
    value: jax.Array
    read: jax.Array
    done: jax.Array
    verb: jax.Array


@dataclass(frozen=True)
class Store:
    """Copy two cells to two others by four calls; each is a verb (``a``: read, ``b``: write) and a cell.

    The environment answers a read with the cell's value and a write, of what was read last, with ``.``; what is no call with ``!``.
    After the fourth call the share of four goals is paid: each source was read, and each destination holds what its source held at
    first. The prompt is ``source destination source destination =``.

    Attributes:
        slip, misconception: of the demonstrator, see :class:`StoreParams`.
    """

    slip: float = 0.3
    misconception: float = 0.0
    name: str = "store"

    def __post_init__(self) -> None:
        check_numbers("the store's", self, slip=Share, misconception=Share)

    @property
    def vocabulary(self) -> int:
        return WRITE + 1

    @property
    def prompt_length(self) -> int:
        return PROMPT

    @property
    def length(self) -> int:
        return PROMPT + 3 * TURNS - 2

    @property
    def default_params(self) -> StoreParams:
        return StoreParams(np.float32(self.slip), np.float32(self.misconception))

    def draw(self, key: Key, params: StoreParams) -> Problem:
        """Four different cells, and uniform digits in all."""
        key_names, key_cells = jax.random.split(key)
        names = jnp.argsort(jax.random.uniform(key_names, (10,)))[:4].astype(jnp.int32)
        cells = jax.random.randint(key_cells, (10,), 0, 10, jnp.int32)
        prompt = jnp.concatenate([names, jnp.full((1,), EQUALS, jnp.int32)])
        return Problem(prompt, Orders(cells, names[::2], names[1::2]))

    def start(self, problem: Problem, params: StoreParams) -> Calls:
        zero = jnp.zeros((), jnp.int32)
        return Calls(problem.hidden.cells, zero, jnp.zeros((2,), bool), zero, zero - 1)

    def reply(self, key: Key, tape: Tape, token: jax.Array, params: StoreParams) -> Reply:
        """Deterministic; ``key`` is not used."""
        memo, orders = tape.memo, tape.problem.hidden
        called = memo.verb >= 0
        reads, writes = memo.verb == READ, memo.verb == WRITE
        cell = jnp.arange(10) == token
        valid = called & (token < 10) & (reads | writes)
        held = jnp.sum(jnp.where(cell, memo.cells, 0))
        answer = jnp.where(valid, jnp.where(reads, held, NOTHING), WRONG)
        now = Calls(
            cells=jnp.where(valid & writes & cell, memo.value, memo.cells),
            value=jnp.where(valid & reads, held, memo.value),
            read=memo.read | (valid & reads & (orders.sources == token)),
            done=memo.done + called,
            verb=jnp.where(called, -1, token),
        )
        over = now.done >= TURNS
        arrived = now.cells[orders.targets] == orders.cells[orders.sources]
        met = jnp.mean(jnp.concatenate([now.read, arrived]).astype(jnp.float32))
        facts = {"correct": over & (met == 1.0), "turn": memo.done, "step": memo.done, "step_end": called}
        size = (called & ~over).astype(jnp.int32)
        return Reply(answer[None].astype(jnp.int32), size, jnp.where(over, met, 0.0), over, now, facts)

    def demonstrate(self, key: Key, problem: Problem, params: StoreParams) -> tuple[jax.Array, jax.Array]:
        """Read, write, read, write, with the errors that ``params`` say."""
        key_slip, key_cell, key_wrong = jax.random.split(key, 3)
        orders = problem.hidden
        named = jnp.stack([orders.sources, orders.targets], axis=1).reshape(TURNS)
        wrong = jax.random.bernoulli(key_wrong, params.misconception)
        named = named.at[3].set(jnp.where(wrong, named[1], named[3]))
        slips = jax.random.bernoulli(key_slip, params.slip, (TURNS,))
        named = jnp.where(slips, jax.random.randint(key_cell, (TURNS,), 0, 10, jnp.int32), named)
        cells, value, tokens = orders.cells, jnp.zeros((), jnp.int32), []
        for turn, cell in enumerate(named):
            reads = turn % 2 == 0
            value, cells = (cells[cell], cells) if reads else (value, cells.at[cell].set(value))
            tokens += [jnp.int32(READ if reads else WRITE), cell, value if reads else jnp.int32(NOTHING)]
        answer = jnp.stack(tokens)[:-1]
        own = jnp.concatenate([jnp.zeros((PROMPT,), bool), jnp.arange(len(tokens) - 1) % 3 < 2])
        return jnp.concatenate([problem.prompt, answer]).astype(jnp.int32), own
