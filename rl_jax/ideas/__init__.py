"""One paper, one file: ``ideas/FAMILY/SLUG.py`` holds the parts that this paper alone uses, and what builds them.

``rl_jax.ideas.relic`` is loaded when it is first asked for. An idea imports the rooms, never another idea.
"""

import importlib
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).parent


def slugs() -> dict[str, str]:
    """The module of every idea, by its slug."""
    files = sorted(_HERE.glob("*/[!_]*.py"))
    return {file.stem: f"{__name__}.{file.parent.name}.{file.stem}" for file in files}


def __getattr__(name: str) -> ModuleType:
    modules = slugs()
    if name not in modules:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; ideas are {', '.join(modules)}")
    return importlib.import_module(modules[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *slugs()})
