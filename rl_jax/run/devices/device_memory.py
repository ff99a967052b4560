"""How much memory a job needs at the least, asked before anything is compiled or written."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax

from rl_jax.curricula import PooledStarts
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.ops import unrolled_threefry
from rl_jax.replay import OnPolicy
from rl_jax.types import PyTree

#: Steps of one rollout, and train steps between two rows: both are counted in ``int32``.
MOST = 2**31 - 1


def available() -> int | None:
    """Bytes that the device could still give; ``None`` if it does not say."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    found = []
    try:
        words = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(int(words["MemAvailable"].split()[0]) * 1024)
        found.append(_left_in(Path("/sys/fs/cgroup")))
    except (OSError, ValueError, KeyError):
        pass
    return min(found) if found else None


def _left_in(group: Path) -> int:
    """Bytes that a control group may still take. Copies of files, such as checkpoints just written, make room when asked."""
    used = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    current = int((group / "memory.current").read_text()) - int(used["inactive_file"])
    return int((group / "memory.max").read_text()) - current


def tree_bytes(tree: PyTree) -> int:
    """Bytes of all leaves, whose shapes suffice."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@dataclasses.dataclass(frozen=True)
class Need:
    """Bytes of one run: ``fixed + N * (env + T * step)``, of what is certainly kept; a lower bound."""

    fixed: int
    env: float
    step: float

    @classmethod
    def of(cls, trainer: Trainer) -> "Need":
        """Measured on the shapes of two environments and two steps, so that no size is too large to ask about."""
        base = dataclasses.replace(trainer.base, num_envs=2, rollout_length=2)
        # A buffer is counted apart, at its true size: it may refuse this one.
        small = trainer.replace(base=base, replay=OnPolicy())  # type: ignore[attr-defined]
        agent, collector, rollout = jax.eval_shape(small._example, unrolled_threefry(jax.random.key(0)))
        # Other fields of a rollout may never be written: the compiler leaves out what nobody reads.
        read = (rollout.obs, rollout.action, rollout.reward, rollout.terminated, rollout.truncated)
        return cls(tree_bytes(agent), tree_bytes(collector) / 2, tree_bytes(read) / 4)


def check_memory(trainer: Trainer, runs: int, eval_episodes: int = 0) -> None:
    """Refuse a job that cannot be held, before it is compiled.

    Args:
        trainer: of one run.
        runs: how many of them lie side by side.
        eval_episodes: of each.

    Raises:
        RLJaxError: with the largest ``--num-envs``, ``--buffer-size`` (or other size) that would fit.
    """
    envs, length = trainer.num_envs, trainer.rollout_length
    free = available()
    need, device = Need.of(trainer), jax.local_devices()[0].device_kind
    if envs * length > MOST:
        least = need.env + length * need.step
        most = MOST // length if free is None else min(MOST // length, int((free / runs - need.fixed) / least))
        use = f"--num-envs {_round(most)} or fewer" if most >= 1 else "a shorter --rollout-length"
        raise RLJaxError(
            f"--num-envs {envs} times --rollout-length {length} is more steps than one rollout can hold (2^31 - 1): use {use}"
        )
    if free is None:
        return
    total = runs * (need.fixed + envs * (need.env + length * need.step))
    if total > free:
        each = need.env + length * need.step
        fits = int((free / runs - need.fixed) / each)
        one = need.fixed + envs * each
        many = f" times {runs} runs" if runs > 1 else ""
        fix = "a smaller --hidden or --rollout-length" if runs == 1 else "fewer --seeds"
        if fits >= 2:
            fix = f"--num-envs {_round(fits)} or fewer"
        elif runs > 1 and free > one:
            fix = f"{int(free / one)} runs or fewer, such as --seeds {int(free / one)}"
        raise RLJaxError(
            f"{envs} environments of {length} steps{many} need at least {human_bytes(total)}, and {human_bytes(free)} are free "
            f"({device}): use {fix}"
        )
    _check_parts(trainer, runs, need, total, free)
    _check_replay(trainer, runs, total, free)
    evaluation = eval_episodes * runs * need.env
    if evaluation > free:
        fits = _round(int(free / (runs * need.env)))
        raise RLJaxError(
            f"an evaluation of {eval_episodes} episodes side by side needs at least {human_bytes(evaluation)}, "
            f"and {human_bytes(free)} are free ({device}): use {fits} or fewer"
        )


def _check_parts(trainer: Trainer, runs: int, need: Need, rest: float, free: int) -> None:
    """Refuse a batch, or a pool of starts, that does not fit beside the ``rest`` of the bytes."""
    sizes = []
    if hasattr(trainer.replay, "batch_size"):
        sizes.append(("--batch-size", trainer.replay.batch_size, getattr(trainer.replay, "length", 1) * need.step))
    if isinstance(trainer.curriculum, PooledStarts):
        one = dataclasses.replace(trainer.curriculum, size=1)
        state = jax.eval_shape(lambda key: one.init(key, trainer.base), unrolled_threefry(jax.random.key(0)))
        sizes.append(("--reset-pool", trainer.curriculum.size, tree_bytes(state[1])))
    for name, count, each in sizes:
        if runs * count * each > free - rest:
            fits = int((free - rest) / (runs * each))
            fix = f"{name} {_round(fits)} or fewer" if fits >= 1 else "smaller --num-envs"
            raise RLJaxError(
                f"{name} {count} needs at least {human_bytes(runs * count * each)}{f' for {runs} runs' if runs > 1 else ''}, and "
                f"{human_bytes(free - rest)} are free for it ({jax.local_devices()[0].device_kind}): use {fix}"
            )


def _check_replay(trainer: Trainer, runs: int, rest: float, free: int) -> None:
    """Refuse a buffer that does not fit beside the ``rest`` of the bytes."""
    if not hasattr(trainer.replay, "plan"):
        return
    spec, room = trainer.spec(), free - rest
    plan = trainer.replay.plan(spec)
    if runs * plan.bytes <= room:
        return

    def needed(capacity: int) -> int:
        return runs * dataclasses.replace(trainer.replay, capacity=capacity).plan(spec).bytes

    fits, least = _round(int(plan.capacity * room / (runs * plan.bytes))), trainer.steps_per_update
    while fits >= least and needed(fits) > room:
        fits //= 2
    several, each = f" for {runs} runs" if runs > 1 else "", rest / runs + plan.bytes
    fix = "smaller --num-envs"
    if fits >= least:  # one rollout
        fix = f"--buffer-size {fits} or fewer"
    elif runs > 1 and free > each:
        fix = f"{int(free / each)} runs or fewer, such as --seeds {int(free / each)}"
    raise RLJaxError(
        f"a replay buffer of {plan.capacity:,} transitions needs {human_bytes(runs * plan.bytes)}{several}, and "
        f"{human_bytes(room)} are free for it ({jax.local_devices()[0].device_kind}): use {fix}"
    )


def replay_text(trainer: Trainer, runs: int) -> str | None:
    """What the replay will take, in words; ``None`` if it keeps nothing."""
    if not hasattr(trainer.replay, "plan"):
        return None
    capacity, size = trainer.replay.plan(trainer.spec())
    several = f"; {human_bytes(runs * size)} for {runs} runs" if runs > 1 else ""
    return f"replay: {capacity:,} transitions, {round(size / capacity)} bytes each, {human_bytes(size)}{several}"


def check_compiled(program: Any, name: str) -> None:
    """Refuse a compiled program whose buffers the host's memory cannot hold, where it would be killed without a word.

    Raises:
        RLJaxError: with both numbers.
    """
    if jax.local_devices()[0].platform != "cpu":
        return  # others report it themselves, without harm
    plan, free = program.memory_analysis(), available()
    if plan is None or free is None:
        return
    need = plan.temp_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    if need > free:
        raise RLJaxError(
            f"to {name} needs {human_bytes(need)}, and {human_bytes(free)} are free: "
            f"use fewer --num-envs, --seeds or --eval-episodes"
        )


def _round(count: int) -> int:
    """The largest power of two up to ``count``: it divides well."""
    return 1 << max(0, count.bit_length() - 1)


def human_bytes(count: float) -> str:
    """``3.2 GB``."""
    for size, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e6:.3g} MB"
