"""Objects of one's own by name: ``package.module:NAME``, or ``path/file.py:NAME``."""

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rl_jax.errors import RLJaxError

#: What separates a module or a file from a name in it.
MARK = ":"


def imported(name: str, example: str) -> Any:
    """The object that ``MODULE:NAME`` or ``FILE.py:NAME`` stands for.

    A console script does not search the working directory; a name of this form makes it do so from then on, after all other
    places. A file's own folder is searched likewise, as Python does for a script.

    Args:
        name: the text.
        example: a right one, for the error.

    Raises:
        RLJaxError: the text is not of this form, there is no such module, file or name, or importing it fails.
    """
    where, _, attribute = name.rpartition(MARK)
    if not where or not attribute:
        raise RLJaxError(f"'{name}' should read module:name or file.py:name, such as {example}")
    try:
        module = _file(name, Path(where)) if where.endswith(".py") else _module(where)
    except ModuleNotFoundError as error:
        if error.name and f"{where}.".startswith(f"{error.name}."):
            raise RLJaxError(
                f"'{name}': there is no module '{error.name}'; start in the directory that holds it, or install it"
            ) from error
        raise RLJaxError(f"'{name}': importing {where} failed, it needs the module '{error.name}'") from error
    except RLJaxError:
        raise
    except (Exception, SystemExit) as error:
        raise RLJaxError(f"'{name}': importing {where} failed with {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        names = {own.lower(): own for own in _own_names(module)}
        near = difflib.get_close_matches(attribute.lower()[:100], sorted(names), n=1, cutoff=0.65)
        fix = f"did you mean {names[near[0]]}?" if near else f"it has {', '.join(sorted(names.values())) or 'nothing public'}"
        raise RLJaxError(f"'{name}': module {where} has no '{attribute}'; {fix}")
    return getattr(module, attribute)


def _own_names(module: ModuleType) -> list[str]:
    """The public names of a module without what it has imported."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and (not hasattr(value, "__qualname__") or value.__module__ == module.__name__)
    ]


def _module(name: str) -> ModuleType:
    _search(os.getcwd())
    return importlib.import_module(name)


def _file(name: str, file: Path) -> ModuleType:
    """The module of a file: the same object as by its module's name, where that leads to it."""
    if not file.is_file():
        raise RLJaxError(f"'{name}': there is no file {file}; start in the directory that it is named from")
    path = file.resolve()
    _search(str(path.parent))
    found = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    if found is not None and found.origin and Path(found.origin).resolve() == path:
        return importlib.import_module(path.stem)
    # Another module has this name, or no module can have it.
    unique = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[unique] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _search(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)
