"""The sizes of a ring buffer."""

import math
from dataclasses import dataclass

from rl_jax.errors import RLJaxError
from rl_jax.types import Spec


@dataclass(frozen=True)
class Layout:
    """The sizes of a ring, all static.

    Attributes:
        rows: ``L``, a multiple of ``rollout_length`` and of ``period``.
        final_rows: ``F``, final observations kept per environment.
        num_envs, rollout_length: ``N`` and ``T`` of the rollouts that are added.
        length: steps of a sampled trajectory.
        period: trajectories begin at rows that are multiples of this, where the agent's memory is stored.
    """

    rows: int
    final_rows: int
    num_envs: int
    rollout_length: int
    length: int = 1
    period: int = 1

    @classmethod
    def of(cls, spec: Spec, capacity: int, length: int, period: int, finals: float) -> "Layout":
        """Sizes that hold at least ``capacity`` transitions over all environments.

        Raises:
            RLJaxError: sizes that cannot be.
        """
        envs, steps = spec.num_envs, spec.rollout_length
        if period % steps and steps % period:
            raise RLJaxError(f"a rollout of {steps} steps and a period of {period}: one must divide the other")
        if capacity < envs * (length + period):
            least = envs * (length + period)
            raise RLJaxError(
                f"a buffer of {capacity} transitions is too small for trajectories of {length} steps in {envs} environments: "
                f"use a capacity of at least {least}, or fewer environments (--buffer-size, --num-envs)"
            )
        block = max(period, steps)
        rows = block * math.ceil((math.ceil(capacity / envs) + 1) / block)
        # What was added last must stay complete, however short its episodes are.
        kept = min(rows, max(math.ceil(finals * rows), steps + length + period))
        if (rows + kept) * envs >= 2**31:
            raise RLJaxError(
                f"a buffer of {capacity} transitions cannot be indexed: use a capacity below {2**31 // 3} (--buffer-size)"
            )
        return cls(rows, kept, envs, steps, length, period)

    @property
    def capacity(self) -> int:
        """Transitions that fit, over all environments."""
        return (self.rows - 1) * self.num_envs

    @property
    def slots(self) -> int:
        """Numbers of stored steps: ``row * N + environment`` is below this."""
        return self.rows * self.num_envs
