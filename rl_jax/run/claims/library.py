"""Finding recipes and studies: those of this library by their names, one's own by their files. Nothing else is ever run."""

import ast
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import rl_jax
from rl_jax.errors import RLJaxError
from rl_jax.run.claims.kinds import a_type, check_kinds
from rl_jax.run.claims.recipe import Recipe
from rl_jax.run.claims.source_files import STUDIES, folders, run_file, study_file


class Entry(NamedTuple):
    """A recipe or study, as its file says without being run.

    Attributes:
        slug: its name; the file's too.
        family: the folder of a recipe's file.
        title: a recipe's.
        path: the file.
        study: the name of the study that a recipe is made from; empty: none.
        minutes: what it takes, if its file says so in digits.
    """

    slug: str
    family: str
    title: str
    path: Path
    study: str = ""
    minutes: float | None = None


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


def recipes(folder: Path | None = None) -> dict[str, Entry]:
    """The recipes of a folder (default: the library's) by slug, family after family. Their files are read and not run."""
    return _entries((folder or root()).glob("*/*.py"), "RECIPE")


def studies(folder: Path | None = None) -> dict[str, Entry]:
    """The studies of a folder (default: the library's) by name. Their files are read and not run."""
    return _entries(((folder or root()) / STUDIES).glob("*.py"), "STUDY")


def claims_of(name: str) -> list[str]:
    """The recipes that are made from a study, as :func:`load` takes them.

    Args:
        name: of a study of the library, or the file ``studies/NAME.py`` of one's own.

    Raises:
        RLJaxError: there is no such study (the nearest names are offered), or nothing is made from it.
    """
    path = Path(name)
    own = path.suffix == ".py"
    if own and not (path.is_file() and path.resolve().parent.name == STUDIES):
        raise RLJaxError(f"there is no file {path} in a folder {STUDIES}/: name a study by its file, {STUDIES}/NAME.py")
    if own:
        folder = path.resolve().parents[1]
        files = [*folder.glob("*.py"), *folder.glob("*/*.py")]
        found = [str(entry.path) for entry in _found(files, "RECIPE") if entry.study == path.stem]
    else:
        if name not in (known := studies()):
            raise RLJaxError(f"there is no study '{name}'; {_hint(name, known)} One of your own is named by its file")
        found = [slug for slug, entry in recipes().items() if entry.study == name]
    if not found:
        raise RLJaxError(f"no recipe is made from the study {name}: let one say RECIPE = STUDY.recipe(...)")
    return found


def _entries(paths: Iterable[Path], variable: str) -> dict[str, Entry]:
    return {entry.slug: entry for entry in _found(paths, variable)}


def _found(paths: Iterable[Path], variable: str) -> list[Entry]:
    found = (_entry(path, variable) for path in sorted(paths))
    return [entry for entry in found if entry is not None]


def _entry(path: Path, variable: str) -> Entry | None:
    """What a file says of its recipe or study; ``None`` if it defines none or cannot be read."""
    try:
        body = ast.parse(path.read_text()).body
    except (OSError, SyntaxError, ValueError):
        return None
    means: dict[str, str] = {}  # what the file's names stand for, as ``studies.NAME.STUDY``
    for node in body:
        if isinstance(node, ast.Import):
            means |= {a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            means |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            names = [t.id for t in _targets(node) if isinstance(t, ast.Name)]
            if variable in names:
                words = {word.arg: word.value.value for word in getattr(node.value, "keywords", []) if _constant(word.value)}
                title, minutes = str(words.get("title", path.stem)), words.get("minutes")
                known = minutes if isinstance(minutes, int | float) else None
                return Entry(
                    path.stem, family(path), title, path, _study(getattr(node.value, "func", node.value), means), known
                )
            means |= dict.fromkeys(names, _dotted(node.value, means))
    return None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _study(made_by: ast.expr, means: dict[str, str]) -> str:
    """The study whose ``recipe`` makes a claim; empty: none."""
    match _dotted(made_by, means).split("."):
        case [package, name, *_, "recipe"] if package == STUDIES:
            return name
    return ""


def _dotted(node: ast.expr, means: dict[str, str]) -> str:
    """An expression with its first name put in full; a call or the like remains as it is written."""
    first, *rest = ast.unparse(node).split(".")
    return ".".join((means.get(first, first), *rest))


def _constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant)


def family(path: Path) -> str:
    """The family that a recipe's file lies in."""
    return path.resolve().parent.name


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "'rl-jax reproduce --list' shows all."


def around(path: Path) -> tuple[Path, ...]:
    """Where the modules of a recipe's file are, see :func:`rl_jax.run.claims.source_files.folders`."""
    try:
        return folders(path, root())
    except RLJaxError:  # an installation without recipes
        return folders(path, None)


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
        if name not in (known := recipes()):
            raise RLJaxError(
                f"there is no recipe '{name}'; {_hint(name, known)} One of your own is named by its file, such as ./mine.py"
            )
        path = known[name].path
    recipe = run_file(path, "RECIPE", around(path))
    if recipe is None:
        raise RLJaxError(f"{path} defines no RECIPE: set RECIPE = rl_jax.run.claims.Recipe(...)")
    try:
        if not isinstance(recipe, Recipe):
            raise RLJaxError(f"RECIPE is {a_type(recipe)}: let it be a rl_jax.run.claims.Recipe(...)")
        check_kinds(recipe)
        if recipe.slug != path.stem:
            raise RLJaxError(f"the recipe calls itself '{recipe.slug}'; name it as its file, '{path.stem}'")
        if recipe.study and study_file(recipe.study, around(path)) is None:
            raise RLJaxError(f"there is no file {STUDIES}/{recipe.study}.py: name the study as its file")
        recipe.check()
    except RLJaxError as error:
        raise RLJaxError(f"{path}, line {_line_of_recipe(path)}: {error}") from None
    return recipe, path


def _line_of_recipe(path: Path) -> int:
    """Where ``RECIPE`` is set at last."""
    lines = [
        node.lineno
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in _targets(node)
        if isinstance(target, ast.Name) and target.id == "RECIPE"
    ]
    return lines[-1] if lines else 1
