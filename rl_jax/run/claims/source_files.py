"""The files of recipes and studies: which modules they use, and running them with these in reach."""

import ast
import hashlib
import importlib.util
import os
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType

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
    total, found, todo = hashlib.sha256(), set(), [path.resolve()]
    while todo:
        if (file := todo.pop()) not in found:
            found.add(file)
            todo += _imported(file, among)
    for file in sorted(found):
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _imported(path: Path, among: tuple[Path, ...]) -> list[Path]:
    """The files of these folders that a file imports."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):  # a module that nothing has imported so far
        return []
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [_module(among, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start, name = (path.parents[node.level - 1],) if node.level else among, node.module or ""
            found += [_module(start, name), *(_module(start, f"{name}.{alias.name}".strip(".")) for alias in node.names)]
    return [file for file in found if file is not None]


def _module(among: tuple[Path, ...], name: str) -> Path | None:
    return next((file for folder in among if name and (file := folder / f"{name.replace('.', '/')}.py").is_file()), None)


def run_file(path: Path, variable: str, among: tuple[Path, ...]) -> object:
    """What a file defines under a name; ``None`` if it does not. Modules beside it are found, as by a script, and ``studies.NAME``.

    Raises:
        RLJaxError: the file fails; with the line.
    """
    name = f"recipe_{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes look up their own module while they are decorated
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)
    packages = [str(folder / STUDIES) for folder in among if (folder / STUDIES).is_dir()]
    texts = [file.read_bytes() for package in packages for file in sorted(Path(package).glob("*.py"))]
    known = _studies(tuple(packages), hashlib.sha256(b"\0".join(texts)).hexdigest())
    _use(known)
    try:
        spec.loader.exec_module(module)
        known |= {key: value for key, value in sys.modules.items() if key.split(".")[0] == STUDIES}
    except (Exception, SystemExit) as error:  # whatever the file does
        if os.environ.get("RL_JAX_TRACEBACK"):
            raise
        place = _where(path, error, {path.resolve().parent, *(Path(package) for package in packages)})
        if isinstance(error, RLJaxError):
            raise RLJaxError(f"{place}: {error}") from error
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise RLJaxError(f"{place}: {what}; correct that (RL_JAX_TRACEBACK=1 shows where it came from)") from error
    return getattr(module, variable, None)


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


def _use(modules: dict[str, ModuleType]) -> None:
    """Make ``studies`` mean these modules: another recipe's folder may have had others under the same names."""
    for name in [name for name in sys.modules if name.split(".")[0] == STUDIES]:
        del sys.modules[name]
    sys.modules.update(modules)


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
