"""Finding recipes: those of this library by their names, one's own by their files. Nothing else is ever run."""

import ast
import difflib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import rl_jax
from rl_jax.errors import RLJaxError
from rl_jax.run.claims.recipe import Recipe


class Entry(NamedTuple):
    """A recipe of the library, as its file says without being run."""

    slug: str
    family: str
    title: str
    path: Path


def root() -> Path:
    """The folder of this library's recipes: in the installed package, or ``experiments/`` of its clone.

    Raises:
        RLJaxError: this installation has none.
    """
    package = Path(rl_jax.__file__).resolve().parent
    for folder in (package / "recipes", package.parent / "experiments"):
        if any(folder.glob("*/*.py")):
            return folder
    raise RLJaxError(f"there are no recipes beside {package}: install rl_jax again, or name a recipe's file")


def recipes() -> dict[str, Entry]:
    """The library's recipes by slug, family after family. Their files are read and not run."""
    found = {}
    for path in sorted(root().glob("*/*.py")):
        title = _title(path)
        if title is not None:
            found[path.stem] = Entry(path.stem, family(path), title, path)
    return found


def _title(path: Path) -> str | None:
    """What a recipe calls itself; ``None`` if the file defines none or cannot be read."""
    try:
        body = ast.parse(path.read_text()).body
    except (OSError, SyntaxError, ValueError):
        return None
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "RECIPE" for t in node.targets):
            words = getattr(node.value, "keywords", [])
            texts = [word.value.value for word in words if word.arg == "title" and isinstance(word.value, ast.Constant)]
            return str(texts[0]) if texts else path.stem
    return None


def family(path: Path) -> str:
    """The family that a recipe's file lies in."""
    return path.resolve().parent.name


def load(name: str) -> tuple[Recipe, Path]:
    """A recipe of the library by its slug, or one's own by its file (``NAME.py``), checked; and its file.

    Raises:
        RLJaxError: there is no such recipe (the nearest names are offered), its file fails, or it cannot be judged.
    """
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise RLJaxError(f"there is no file {path}; 'rl-jax reproduce --list' shows the library's recipes")
    else:
        known = recipes()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "'rl-jax reproduce --list' shows all"
            raise RLJaxError(f"there is no recipe '{name}'; {hint} One of your own is named by its file, such as ./mine.py")
        path = known[name].path
    recipe = _run(path)
    if not isinstance(recipe, Recipe):
        raise RLJaxError(f"{path} defines no RECIPE: set RECIPE = rl_jax.run.claims.Recipe(...)")
    if recipe.slug != path.stem:
        raise RLJaxError(f"{path}: the recipe calls itself '{recipe.slug}'; name it as its file")
    recipe.check()
    return recipe, path


def _run(path: Path) -> object:
    """What a file defines as ``RECIPE``; modules beside it are found, as by a script."""
    name = f"recipe_{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes look up their own module while they are decorated
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the file does
        if os.environ.get("RL_JAX_TRACEBACK"):
            raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise RLJaxError(f"{path}, line {line}: {what}; correct that (RL_JAX_TRACEBACK=1 shows where it came from)") from error
    return getattr(module, "RECIPE", None)
