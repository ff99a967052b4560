"""What touches a person or a disk: the command line, training in run folders, plots; and ``rl_jax.run(trainer, steps)``.

The room itself can be called, with the arguments of :func:`rl_jax.run.python.running.run`.
"""

import inspect
import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """The package as a function: ``rl_jax.run`` is both, whichever of its files is imported first."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from rl_jax.run.python.running import run

        return run(*args, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        from rl_jax.run.python.running import run

        return inspect.signature(run)


sys.modules[__name__].__class__ = _Room
