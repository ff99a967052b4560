"""The least memory that runs need, checked before anything is compiled or written."""

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
INT32_MAX = 2**31 - 1


def available() -> int | None:
    """Free bytes of the device; ``None`` if it does not report them. On a CPU those of the host, or of its control group."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    limits = []
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
        limits.append(_cgroup_available(Path("/sys/fs/cgroup")))
    except (OSError, ValueError, KeyError):
        pass
    return min(limits) if limits else None


def _cgroup_available(group: Path) -> int:
    """Free bytes of a control group. The cache of files, such as checkpoints just written, counts as free."""
    stats = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    current = int((group / "memory.current").read_text()) - int(stats["inactive_file"])
    return int((group / "memory.max").read_text()) - current


def tree_bytes(tree: PyTree) -> int:
    """Bytes of all leaves, which may be shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@dataclasses.dataclass(frozen=True)
class Need:
    """Lower bound of the bytes of one run: ``fixed + N * (env + T * step)`` with ``N`` environments and rollouts of ``T`` steps."""

    fixed: int
    env: float
    step: float

    @classmethod
    def of(cls, trainer: Trainer) -> "Need":
        """Computed from the shapes of few environments and two steps, so that it works for runs of any size."""
        columns = trainer.base.num_envs if trainer.base.whole else 2  # groups of columns would not come out even
        base = dataclasses.replace(trainer.base, num_envs=columns, rollout_length=2)
        # The replay buffer is counted apart, at its true size: it may refuse so small a rollout.
        small = trainer.replace(base=base, replay=OnPolicy())  # type: ignore[attr-defined]
        agent, collector, rollout = jax.eval_shape(small._example, unrolled_threefry(jax.random.key(0)))
        # The compiler may remove the other fields of a rollout, where nothing reads them.
        read = (rollout.obs, rollout.action, rollout.reward, rollout.terminated, rollout.truncated)
        return cls(tree_bytes(agent), tree_bytes(collector) / small.num_envs, tree_bytes(read) / (2 * small.num_envs))


def check_memory(trainer: Trainer, num_runs: int, eval_episodes: int = 0) -> None:
    """Refuse runs that do not fit into memory, before they are compiled.

    Args:
        trainer: of one run.
        num_runs: runs in one program.
        eval_episodes: episodes of an evaluation of each run.

    Raises:
        RLJaxError: with the largest ``--num-envs``, ``--buffer-size`` (or other size) that would fit.
    """
    envs, length = trainer.num_envs, trainer.rollout_length
    free = available()
    need, device = Need.of(trainer), jax.local_devices()[0].device_kind
    if envs * length > INT32_MAX:
        env_bytes = need.env + length * need.step
        max_envs = (
            INT32_MAX // length if free is None else min(INT32_MAX // length, int((free / num_runs - need.fixed) / env_bytes))
        )
        fix = f"--num-envs {_power_of_two(max_envs)} or fewer" if max_envs >= 1 else "a shorter --rollout-length"
        raise RLJaxError(
            f"--num-envs {envs} times --rollout-length {length} is more steps than one rollout can hold (2^31 - 1): use {fix}"
        )
    if free is None:
        return
    total = num_runs * (need.fixed + envs * (need.env + length * need.step))
    if total > free:
        env_bytes = need.env + length * need.step
        max_fitting = int((free / num_runs - need.fixed) / env_bytes)
        run_bytes = need.fixed + envs * env_bytes
        runs_text = f" times {num_runs} runs" if num_runs > 1 else ""
        fix = "a smaller --hidden or --rollout-length" if num_runs == 1 else "fewer --seeds"
        if max_fitting >= 2:
            fix = f"--num-envs {_power_of_two(max_fitting)} or fewer"
        elif num_runs > 1 and free > run_bytes:
            fix = f"{int(free / run_bytes)} runs or fewer, such as --seeds {int(free / run_bytes)}"
        raise RLJaxError(
            f"{envs} environments of {length} steps{runs_text} need at least {human_bytes(total)}, and {human_bytes(free)} are free "
            f"({device}): use {fix}"
        )
    _check_parts(trainer, num_runs, need, total, free)
    _check_replay(trainer, num_runs, total, free)
    evaluation = eval_episodes * num_runs * need.env
    if evaluation > free:
        max_fitting = _power_of_two(int(free / (num_runs * need.env)))
        raise RLJaxError(
            f"an evaluation of {eval_episodes} episodes side by side needs at least {human_bytes(evaluation)}, "
            f"and {human_bytes(free)} are free ({device}): use {max_fitting} or fewer"
        )


def _check_parts(trainer: Trainer, num_runs: int, need: Need, used_bytes: float, free: int) -> None:
    """Refuse a batch, or a pool of starts, that does not fit beside ``used_bytes``."""
    sizes = []
    if hasattr(trainer.replay, "batch_size"):
        sizes.append(("--batch-size", trainer.replay.batch_size, getattr(trainer.replay, "length", 1) * need.step))
    if isinstance(trainer.curriculum, PooledStarts):
        single_start = dataclasses.replace(trainer.curriculum, size=1)
        state = jax.eval_shape(lambda key: single_start.init(key, trainer.base), unrolled_threefry(jax.random.key(0)))
        sizes.append(("--reset-pool", trainer.curriculum.size, tree_bytes(state[1])))
    for name, count, item_bytes in sizes:
        if num_runs * count * item_bytes > free - used_bytes:
            max_fitting = int((free - used_bytes) / (num_runs * item_bytes))
            runs_text = f" for {num_runs} runs" if num_runs > 1 else ""
            fix = f"{name} {_power_of_two(max_fitting)} or fewer" if max_fitting >= 1 else "smaller --num-envs"
            raise RLJaxError(
                f"{name} {count} needs at least {human_bytes(num_runs * count * item_bytes)}{runs_text}, and "
                f"{human_bytes(free - used_bytes)} are free for it ({jax.local_devices()[0].device_kind}): use {fix}"
            )


def _check_replay(trainer: Trainer, num_runs: int, used_bytes: float, free: int) -> None:
    """Refuse a replay buffer that does not fit beside ``used_bytes``."""
    if not hasattr(trainer.replay, "plan"):
        return
    spec, free_bytes = trainer.spec(), free - used_bytes
    plan = trainer.replay.plan(spec)
    if num_runs * plan.bytes <= free_bytes:
        return

    def needed(capacity: int) -> int:
        return num_runs * dataclasses.replace(trainer.replay, capacity=capacity).plan(spec).bytes

    capacity, min_capacity = _power_of_two(int(plan.capacity * free_bytes / (num_runs * plan.bytes))), trainer.steps_per_update
    while capacity >= min_capacity and needed(capacity) > free_bytes:
        capacity //= 2
    runs_text, run_bytes = f" for {num_runs} runs" if num_runs > 1 else "", used_bytes / num_runs + plan.bytes
    fix = "smaller --num-envs"
    if capacity >= min_capacity:  # one rollout
        fix = f"--buffer-size {capacity} or fewer"
    elif num_runs > 1 and free > run_bytes:
        fix = f"{int(free / run_bytes)} runs or fewer, such as --seeds {int(free / run_bytes)}"
    raise RLJaxError(
        f"a replay buffer of {plan.capacity:,} transitions needs {human_bytes(num_runs * plan.bytes)}{runs_text}, and "
        f"{human_bytes(free_bytes)} are free for it ({jax.local_devices()[0].device_kind}): use {fix}"
    )


def replay_text(trainer: Trainer, num_runs: int) -> str | None:
    """The size of the replay buffer as a line for the user; ``None`` without a buffer."""
    if not hasattr(trainer.replay, "plan"):
        return None
    capacity, size = trainer.replay.plan(trainer.spec())
    runs_text = f"; {human_bytes(num_runs * size)} for {num_runs} runs" if num_runs > 1 else ""
    return f"replay: {capacity:,} transitions, {round(size / capacity)} bytes each, {human_bytes(size)}{runs_text}"


def check_compiled(program: Any, name: str) -> None:
    """Refuse a compiled program that needs more memory than the host has: the system would kill it without a message.

    Raises:
        RLJaxError: with both numbers.
    """
    if jax.local_devices()[0].platform != "cpu":
        return  # other platforms raise RESOURCE_EXHAUSTED
    plan, free = program.memory_analysis(), available()
    if plan is None or free is None:
        return
    need = plan.temp_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    if need > free:
        raise RLJaxError(
            f"to {name} needs {human_bytes(need)}, and {human_bytes(free)} are free: "
            f"use fewer --num-envs, --seeds or --eval-episodes"
        )


def _power_of_two(count: int) -> int:
    """The largest power of two up to ``count``, which many numbers of minibatches divide."""
    return 1 << max(0, count.bit_length() - 1)


def human_bytes(count: float) -> str:
    """A number of bytes with its unit, such as ``3.2 GB``."""
    for size, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e6:.3g} MB"
