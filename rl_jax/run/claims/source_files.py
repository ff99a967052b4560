"""The files of recipes and studies: which modules they use, and running them with these in reach."""

import ast
import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import rl_jax
from rl_jax.errors import RLJaxError

STUDIES = "studies"


def folders(path: Path, library: Path | None) -> tuple[Path, ...]:
    """Where a recipe's modules are looked for: beside it, and in the folders that may have its ``studies/``.

    Args:
        path: the recipe's or study's file.
        library: the folder of this library's recipes, whose studies anybody may use.
    """
    path = path.resolve()
    if path.parent.name == STUDIES:
        path = path.parent
    more = [folder for folder in (path.parents[1], library) if folder is not None and (folder / STUDIES).is_dir()]
    return tuple(dict.fromkeys((path.parent, *more)))


def study_file(name: str, among: tuple[Path, ...]) -> Path | None:
    """The file of a study, if one of the folders has it."""
    return next((file for folder in among if (file := folder / STUDIES / f"{name}.py").is_file()), None)


def digest(path: Path, among: tuple[Path, ...]) -> str:
    """SHA-256 over a file and all modules of these folders that it imports, directly or not."""
    total = hashlib.sha256()
    for file in sorted({path.resolve(), *_used(path, among)}):
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _used(path: Path, among: tuple[Path, ...]) -> set[Path]:
    """The files of all modules of these folders that a file imports, directly or not."""
    found: set[Path] = set()
    todo = [path.resolve()]
    while todo:
        new = set(_imported(todo.pop(), among)) - found
        found |= new
        todo += new
    return found


def _imported(path: Path, among: tuple[Path, ...]) -> list[Path]:
    """The files of these folders that a file imports."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):  # a module that nothing has imported so far
        return []
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names, start = [alias.name for alias in node.names], among
        elif isinstance(node, ast.ImportFrom):
            start, module = (path.parents[node.level - 1],) if node.level else among, node.module or ""
            names = [f"{module}.{alias.name}".strip(".") for alias in node.names]
        else:
            continue
        found += [file for name in names for file in _modules(start, name)]
    return found


def _modules(among: tuple[Path, ...], name: str) -> list[Path]:
    """The files that are run when a dotted name is imported: of its packages and of the module. This library's are not among them."""
    words = name.split(".")
    if words[0] == rl_jax.__name__:
        return []
    stems = ["/".join(words[:length]) for length in range(1, len(words) + 1)]
    files = ([file for folder in among for file in (folder / stem / "__init__.py", folder / f"{stem}.py")] for stem in stems)
    return [file for choice in files if (file := next(filter(Path.is_file, choice), None)) is not None]


def run_file(path: Path, variable: str, among: tuple[Path, ...]) -> object:
    """What a file defines under a name; ``None`` if it does not. Modules are found as :func:`in_reach` says.

    Raises:
        RLJaxError: the file fails; with the line.
    """
    name = f"recipe_{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes look up their own module while they are decorated
    try:
        with in_reach(path, among):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the file does
        if os.environ.get("RL_JAX_TRACEBACK"):
            raise
        place = _where(path, error, {path.resolve().parent, *map(Path, _packages(among))})
        if isinstance(error, RLJaxError):
            raise RLJaxError(f"{place}: {error}") from error
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise RLJaxError(f"{place}: {what}; correct that (RL_JAX_TRACEBACK=1 shows where it came from)") from error
    return getattr(module, variable, None)


@contextmanager
def in_reach(path: Path, among: tuple[Path, ...]) -> Iterator[None]:
    """Modules beside a recipe's file are found, as by a script, and ``studies.NAME``; for a recipe while it is loaded and run.

    Another recipe may have other modules under the same names: each has its own, and has the same ones each time.
    """
    beside, used = path.resolve().parent, _used(path, among)
    names = {file.relative_to(beside).parts[0].removesuffix(".py") for file in used if beside in file.parents}
    names = {name for name in names - {STUDIES} if not _is_loaded_from(name, used)}
    packages = _packages(among)
    texts = [file.read_bytes() for package in packages for file in sorted(Path(package).rglob("*.py"))]
    studies = _studies(packages, hashlib.sha256(b"\0".join(texts)).hexdigest())
    own = _modules_of(path.resolve(), digest(path, among))
    before, studies_before = _swap(names, own), _swap({STUDIES}, studies)
    sys.path.insert(0, str(beside))
    try:
        yield
    finally:
        if str(beside) in sys.path:  # which the file may change
            sys.path.remove(str(beside))
        own |= _swap(names, before)
        studies |= _swap({STUDIES}, studies_before)


def _packages(among: tuple[Path, ...]) -> tuple[str, ...]:
    """The folders that are ``studies``, in the order of search."""
    return tuple(str(folder / STUDIES) for folder in among if (folder / STUDIES).is_dir())


def _is_loaded_from(name: str, files: set[Path]) -> bool:
    """Whether a module was imported before, from one of these files."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and Path(file).resolve() in files


def _swap(names: set[str], modules: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Make names of packages and modules mean these; what they meant before."""
    before = {key: sys.modules.pop(key) for key in [*sys.modules] if key.split(".")[0] in names}
    sys.modules.update(modules)
    return before


@cache
def _modules_of(path: Path, content: str) -> dict[str, ModuleType]:
    """The modules beside a recipe's file that were imported for it.

    Args:
        path: the file.
        content: digest of it and of them; changed ones are imported anew.
    """
    return {}


@cache
def _studies(packages: tuple[str, ...], content: str) -> dict[str, ModuleType]:
    """The package ``studies`` of these folders, and its modules that were imported: so all claims of a study have the same one.

    Args:
        packages: folders that are ``studies``, in the order of search.
        content: digest of their files; changed ones are imported anew.
    """
    package = ModuleType(STUDIES)
    package.__path__ = list(packages)
    return {STUDIES: package}


def _where(path: Path, error: BaseException, beside: set[Path]) -> str:
    """The file and line of the recipe that an error came through, and those of a module beside it that it came from."""
    here = path.resolve()
    frames = [
        (Path(frame.filename).resolve(), frame.lineno or 1)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")  # Python's own machinery
    ]
    passed = [frame for frame in frames if frame[0].parent in beside]
    lines = [line for file, line in passed if file == here]
    places = [(here, lines[-1] if lines else 1), *passed[-1:]]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:  # which no frame has reached
        places.append((Path(error.filename).resolve(), error.lineno))
    (_, line), (file, inner) = places[0], places[-1]
    if file == here:
        return f"{path}, line {inner}"
    return f"{path}, line {line} ({file.name}, line {inner})"
