"""Packages whose parts are imported when they are first asked for, so that a mistyped command needs no jax."""

import ast
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package that imports what it exports on first use; whatever is imported first, its names mean the same."""

    _exports: dict[str, tuple[str, str]]

    def __getattr__(self, name: str) -> Any:
        if name in self._exports:
            module, attribute = self._exports[name]
            value = importlib.import_module(f"{module}.{attribute}" if module == self.__name__ else module)
            if module != self.__name__:
                value = getattr(value, attribute)
        elif not name.startswith("_") and importlib.util.find_spec(f"{self.__name__}.{name}"):
            value = importlib.import_module(f"{self.__name__}.{name}")
        else:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds a submodule to its package once it is imported: agents.ppo would be the file instead of the function in it.
        exported = self.__dict__.get("_exports", {}).get(name)
        if isinstance(value, ModuleType) and exported == (value.__name__, name):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self._exports})


def lazy(package: str) -> None:
    """Make a package lazy. What it exports are the imports under ``if TYPE_CHECKING:`` in its ``__init__.py``.

    So mypy and editors read these as ordinary imports, and they stand once.
    """
    module = sys.modules[package]
    spec = importlib.util.find_spec(package)
    source: Any = spec.loader.get_source(package)  # type: ignore[union-attr]
    exports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If):
            for line in node.body:
                assert isinstance(line, ast.ImportFrom) and line.module
                for alias in line.names:
                    name = alias.asname or alias.name
                    # A function with the name of the room that it is in: Python binds the room, which can be called.
                    in_its_room = line.module.startswith(f"{package}.{name}.")
                    exports[name] = (package, name) if in_its_room else (line.module, alias.name)
    module._exports = exports  # type: ignore[attr-defined]
    module.__class__ = LazyPackage
