"""Finding recipes: those of this library by their names, one's own by their files. Nothing else is ever run."""

import ast
import difflib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import rl_jax
from rl_jax.errors import RLJaxError
from rl_jax.run.claims.recipe import Prediction, Recipe
from rl_jax.run.claims.trained import Trained


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
    if recipe is None:
        raise RLJaxError(f"{path} defines no RECIPE: set RECIPE = rl_jax.run.claims.Recipe(...)")
    try:
        if not isinstance(recipe, Recipe):
            raise RLJaxError(f"RECIPE is {_a(recipe)}: let it be a rl_jax.run.claims.Recipe(...)")
        _check_kinds(recipe)
        if recipe.slug != path.stem:
            raise RLJaxError(f"the recipe calls itself '{recipe.slug}'; name it as its file, '{path.stem}'")
        recipe.check()
    except RLJaxError as error:
        raise RLJaxError(f"{path}, line {_line_of_recipe(path)}: {error}") from None
    return recipe, path


def _check_kinds(recipe: Recipe) -> None:
    """Refuse fields of the wrong type, which would end somewhere in the middle of a run.

    Raises:
        RLJaxError: with the field, what it is, and what it should be.
    """
    kinds: dict[tuple[str, ...], tuple[Any, str]] = {
        ("slug", "title", "paper", "claim", "environment", "departures"): (str, "a text"),
        ("arms", "measures", "curves"): (dict, "a dictionary"),
        ("predictions", "seeds", "tuning_seeds"): ((tuple, list), "a tuple"),
    }
    for names, (kind, words) in kinds.items():
        for name in names:
            if not isinstance(value := getattr(recipe, name), kind):
                raise RLJaxError(f"{name} is {_a(value)}: let it be {words}")
    for name, arm in recipe.arms.items():
        if not callable(arm):
            raise RLJaxError(f"the arm '{name}' is {_a(arm)}: let it be Trained(...), or a function from Work to Outcome")
        if isinstance(arm, Trained):
            if not callable(arm.make):
                raise RLJaxError(f"what makes the trainer of the arm '{name}' is {_a(arm.make)}: let it be a function of quick")
            for field in ("steps", "quick_steps"):
                if type(value := getattr(arm, field)) is not int or value < 1:
                    raise RLJaxError(f"{field} of the arm '{name}' is {value!r}: let it be a whole number of at least 1")
    for prediction in recipe.predictions:
        if not isinstance(prediction, Prediction):
            raise RLJaxError(f"a prediction is {_a(prediction)}: let each be Prediction(measure, better, worse)")
    if odd := [seed for seed in (*recipe.seeds, *recipe.tuning_seeds) if type(seed) is not int]:
        raise RLJaxError(f"a seed is {odd[0]!r}: let each be a whole number")


def _a(value: object) -> str:
    return f"of the type {type(value).__name__}"


def _line_of_recipe(path: Path) -> int:
    """Where ``RECIPE`` is set at last."""
    lines = [
        node.lineno
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == "RECIPE"
    ]
    return lines[-1] if lines else 1


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
    except (Exception, SystemExit) as error:  # whatever the file does
        if os.environ.get("RL_JAX_TRACEBACK"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise RLJaxError(
            f"{_where(path, error)}: {what}; correct that (RL_JAX_TRACEBACK=1 shows where it came from)"
        ) from error
    return getattr(module, "RECIPE", None)


def _where(path: Path, error: BaseException) -> str:
    """The file and line of the recipe that an error came through, and those of a module beside it that it came from."""
    here = path.resolve()
    frames = [
        (Path(frame.filename).resolve(), frame.lineno or 1)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")  # Python's own machinery
    ]
    passed = [frame for frame in frames if frame[0].parent == here.parent]
    lines = [line for file, line in passed if file == here]
    places = [(here, lines[-1] if lines else 1), *passed[-1:]]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:  # which no frame has reached
        places.append((Path(error.filename).resolve(), error.lineno))
    (_, line), (file, inner) = places[0], places[-1]
    if file == here:
        return f"{path}, line {inner}"
    return f"{path}, line {line} ({file.name}, line {inner})"
