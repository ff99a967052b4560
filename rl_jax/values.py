"""What values an option takes. It stands once, in the type of a dataclass's field; texts, Python and JSON are held to it.

``num_envs: Count = 64`` is a whole number from 1 to 2^31 - 1, wherever it comes from. Imports nothing that takes time.
"""

import dataclasses
import functools
import itertools
import operator
import os
import re
import types
import typing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from rl_jax.errors import RLJaxError

#: The largest number of an ``int32``, in which programs count.
INT32 = 2**31 - 1
_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*", re.ASCII)
_POWER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?[eE]\+?[0-9]{1,2}", re.ASCII)
_REAL = re.compile(r"[+-]?([0-9]+(_[0-9]+)*(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
#: No number that anybody means has more characters; Python itself refuses to read thousands of digits.
_LONGEST = 40


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both inclusive and finite; of a list: of each of its elements.

    Attributes:
        low, high: the bounds.
        items: fewest and most elements of a list.
    """

    low: float
    high: float
    items: tuple[int, int] = (0, 1000)

    def __str__(self) -> str:
        return f"from {_plain(self.low)} to {_plain(self.high)}"


class Positional:
    """Marks a field that is given without its name."""


#: What in a type says something about the whole field.
_MARKS: dict[Any, str] = {type(None): "optional", Ellipsis: "many", Positional: "positional"}

Count = Annotated[int, Range(1, INT32)]
CountOrZero = Annotated[int, Range(0, INT32)]
Number = Annotated[float, Range(-1e30, 1e30)]
# float32 holds 1e-38 to 3e38: what is beyond would be 0 or infinite in the program.
Positive = Annotated[float, Range(1e-30, 1e30)]
NotNegative = Annotated[float, Range(0, 1e30)]
Share = Annotated[float, Range(0, 1)]
Widths = Annotated[tuple[int, ...], Range(1, 1_000_000, items=(1, 64))]


def option(name: str) -> str:
    """A field's name as it is typed."""
    return "--" + name.replace("_", "-")


def short(value: Any, most: int = 60, quoted: bool = True) -> str:
    """A value as a message shows it: texts in quotes, nothing longer than a line."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**most:
        return f"an integer of more than {most} digits"
    text = f"'{value}'" if quoted and isinstance(value, str | os.PathLike) else str(value)
    return text if len(text) <= most else f"{text[: most - 15]}... ({len(text)} characters)"


@dataclass(frozen=True)
class Takes:
    """What one field takes.

    Attributes:
        kind: ``bool``, ``int``, ``float``, ``str`` or ``Path``; of a list: of its elements.
        range: bounds of numbers.
        choices: the words that may stand instead of a number, or all there is if ``kind`` is ``str``.
        whole: a float that stays an integer if it is written as one.
        optional: ``None`` is a value.
        many: a list.
        positional: given without its name.
    """

    kind: type
    range: Range | None = None
    choices: tuple[str, ...] = ()
    whole: bool = False
    optional: bool = False
    many: bool = False
    positional: bool = False

    @classmethod
    def of(cls, hint: Any) -> "Takes":
        """Of the type of a field."""
        found: dict[str, Any] = {}
        for part in parts(hint):
            if isinstance(part, Range):
                found["range"] = part
            elif part in _MARKS:
                found[_MARKS[part]] = True
            elif isinstance(part, str):
                found["choices"] = (*found.get("choices", ()), part)
            elif isinstance(part, type):
                found["whole"] = {found.get("kind"), part} == {int, float}
                found["kind"] = float if found["whole"] else part
        return cls(**{"kind": str, **found})

    @property
    def items(self) -> tuple[int, int]:
        """Fewest and most elements of a list."""
        return self.range.items if self.range else (0, 1000)

    def __str__(self) -> str:
        """In words: ``an integer from 1 to 1000``, ``'none' or 'gru'``."""
        nouns = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
        noun = nouns.get(self.kind, "a path (names of at most 255 bytes)")
        words = [repr(choice) for choice in self.choices]
        if self.kind is not str or not self.choices:
            words.append(f"{noun} {self.range}" if self.range else noun)
        if self.optional:
            words.append("none")
        text = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
        return f"{self.items[0]} to {self.items[1]} values, each {text}" if self.many else text

    def read(self, text: str) -> Any:
        """One value, or one element, from a text.

        Raises:
            ValueError: it is none.
        """
        if text in self.choices:
            return text
        if self.optional and text in ("none", "None"):
            return None
        if self.kind in (int, float):
            value: float | None = _integer(text) if self.kind is int or self.whole else None
            return self._within(_real(text) if value is None and self.kind is float else value)
        return self._one(Path(text) if self.kind is Path and text else text)

    def check(self, value: Any) -> Any:
        """A value from Python or JSON, as the field has it.

        Raises:
            ValueError: it is none.
        """
        if value is None and self.optional:
            return None
        if self.many:
            if not isinstance(value, list | tuple) or not self.items[0] <= len(value) <= self.items[1]:
                raise ValueError(value)
            return tuple(self._one(item) for item in value)
        return self._one(value)

    def _one(self, value: Any) -> Any:
        free = self.kind is str and not self.choices
        if isinstance(value, str) and "\0" not in value and (free or value in self.choices):
            return value
        if self.kind is Path and isinstance(value, str | os.PathLike):
            return _path(value)
        if self.kind is bool and type(value).__name__ in ("bool", "bool_"):
            return value
        if self.kind in (int, float) and type(value).__name__ not in ("bool", "bool_") and not isinstance(value, str):
            return self._within(value)
        raise ValueError(value)

    def _within(self, value: Any) -> Any:
        """A number, unchanged, if it is one within the bounds; NaN is within none."""
        try:
            number = operator.index(value) if self.kind is int else float(value)
        except (TypeError, OverflowError):
            raise ValueError(value) from None
        if self.range and not self.range.low <= number <= self.range.high:
            raise ValueError(value)
        return value


def parts(hint: Any) -> typing.Iterator[Any]:
    """The types, words and ranges that a type is made of."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        yield from parts(args[0])
        yield from args[1:]
    elif origin is typing.Literal:
        yield from (type(None) if arg is None else arg for arg in args)
    elif origin in (typing.Union, types.UnionType, tuple):
        yield from itertools.chain.from_iterable(map(parts, args))
    else:
        yield hint


def _integer(text: str) -> int | None:
    """``1000``, ``1_000`` or ``1e3``; ``None`` for anything else."""
    if len(text) <= _LONGEST and _WHOLE.fullmatch(text):
        return int(text)
    if len(text) <= _LONGEST and _POWER.fullmatch(text) and (value := Decimal(text)) == value.to_integral_value():
        return int(value)
    return None


def _real(text: str) -> float | None:
    """A decimal number, such as ``0.5`` or ``1e-3``; also ``inf`` and ``nan``, which no range holds."""
    word = text.lower().lstrip("+-")
    good = word in ("inf", "infinity", "nan") or (len(text) <= _LONGEST and _REAL.fullmatch(text))
    return float(text) if good else None


def _path(value: str | os.PathLike[str]) -> Path:
    """A path that a file system could have."""
    name = os.fsencode(value)
    if not name or b"\0" in name or len(name) > 4000 or max(map(len, name.split(b"/"))) > 255:
        raise ValueError(value)
    return Path(value)


def _plain(number: float) -> str:
    """``1``, ``0.5``, ``1000``, ``1e+15`` as ``1e15``."""
    if abs(number) >= 1e16 or number != int(number):
        return f"{number:g}".replace("e+", "e").replace("e-0", "e-")
    digits = str(int(number))
    zeros = len(digits) - len(digits.rstrip("0"))
    return f"{digits[:-zeros]}e{zeros}" if zeros >= 6 else digits


@functools.cache
def fields(kind: type) -> dict[str, Takes]:
    """What each field of a dataclass takes, by its name."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {item.name: Takes.of(hints[item.name]) for item in dataclasses.fields(kind)}


def check_fields(config: Any) -> None:
    """Hold every field of a dataclass to its type and range.

    Raises:
        RLJaxError: with the option's name, what it takes and what came.
    """
    kind: Any = type(config)
    for name, takes in fields(kind).items():
        value = getattr(config, name)
        try:
            takes.check(value)
        except ValueError:
            raise RLJaxError(f"{option(name)} takes {takes}, not {short(value)}") from None
