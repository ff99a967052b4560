"""Finding recipes: files ``experiments/<family>/<slug>.py`` of a clone of the repository, or a file of one's own."""

import difflib
import importlib.util
import sys
from pathlib import Path

import rl_jax
from rl_jax.errors import RLJaxError
from rl_jax.run.claims.recipe import Recipe


def root() -> Path:
    """The folder that holds ``experiments/`` with recipes: the working directory or one above it, else this library's clone.

    Raises:
        RLJaxError: there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(rl_jax.__file__).resolve().parents[1]):
        if _files(folder):
            return folder
    raise RLJaxError(
        "there are no recipes here: they come with a clone of the repository; start in it, or name a recipe's file"
    )


def _files(folder: Path) -> dict[str, Path]:
    found = sorted((folder / "experiments").glob("*/*.py"))
    return {path.stem: path for path in found if "RECIPE = " in path.read_text()}


def recipes() -> dict[str, Path]:
    """All recipes' files by slug, family after family."""
    return _files(root())


def family(path: Path) -> str:
    """The family that a recipe's file lies in."""
    return path.resolve().parent.name


def load(slug: str) -> tuple[Recipe, Path]:
    """A recipe by its slug or its file, checked; and its file.

    Raises:
        RLJaxError: there is no such recipe (the nearest names are offered), or it cannot be judged.
    """
    path = Path(slug)
    if path.suffix == ".py":
        if not path.is_file():
            raise RLJaxError(f"there is no file {path}; 'rl-jax reproduce --list' shows the recipes")
    else:
        known = recipes()
        if slug not in known:
            near = difflib.get_close_matches(slug, known, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "'rl-jax reproduce --list' shows all"
            raise RLJaxError(f"there is no recipe '{slug}'; {hint}")
        path = known[slug]
    name = f"recipe_{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes look up their own module while they are decorated
    spec.loader.exec_module(module)
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        raise RLJaxError(f"{path} defines no RECIPE: set RECIPE = rl_jax.run.claims.Recipe(...)")
    if recipe.slug != path.stem:
        raise RLJaxError(f"{path}: the recipe calls itself '{recipe.slug}'; name it as its file")
    recipe.check()
    return recipe, path
