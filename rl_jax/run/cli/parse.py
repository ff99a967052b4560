"""Reading a command's options from its dataclass: flat names, one line for whatever is wrong with them."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any

from rl_jax.agents.configs import CONFIGS, sweepable
from rl_jax.errors import RLJaxError
from rl_jax.run.cli import hints
from rl_jax.run.cli.help import SUMMARIES, Option, documentation, help_text, shown
from rl_jax.run.options import FIRST, RunOptions
from rl_jax.values import Range, fields, option, short

#: Most values of one option of a sweep.
MOST_VALUES = 1000


def options_of(kind: type, group: str = "options") -> list[Option]:
    """The options that a dataclass's fields are."""
    return [Option(item.name, fields(kind)[item.name], item.default, kind, group) for item in dataclasses.fields(kind)]


def run_options(command: str, agent: str) -> list[Option]:
    """The options of ``train`` or ``sweep`` of one agent: those of all runs, then the agent's own."""
    found = options_of(RunOptions, "options of every run") + options_of(CONFIGS[agent], f"options of {agent}")
    if command == "sweep":
        varied = sweepable(CONFIGS[agent])
        found = [_swept(one) if one.name in varied else one for one in found]
        found = [dataclasses.replace(one, default=4) if one.name == "seeds" else one for one in found]
    return [dataclasses.replace(one, group="options to begin with") if one.name in FIRST else one for one in found]


def _swept(one: Option) -> Option:
    """The same option with a list of values."""
    bounds = one.takes.range or Range(-1e30, 1e30)
    takes = dataclasses.replace(one.takes, many=True, range=dataclasses.replace(bounds, items=(1, MOST_VALUES)))
    return dataclasses.replace(one, takes=takes, default=(one.default,))


def parse(
    options: Sequence[Option], args: Sequence[str], prog: str, defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The value of each option.

    Args:
        options: of the command.
        args: what was typed after the command's name.
        prog: the command's name.
        defaults: values of an earlier run, for what is not typed.

    Raises:
        RLJaxError: one line that says what is wrong, and names the nearest right thing.
        SystemExit: the help was asked for, and printed.
    """
    named = {one.name: one for one in options if not one.takes.positional}
    named |= {f"no_{name}": one for name, one in named.items() if one.takes.kind is bool}
    values, loose = {one.name: one.default for one in options} | dict(defaults or {}), []
    words = list(args)
    while words:
        word = words.pop(0)
        if not _is_option(word):
            loose.append(word)
            continue
        name, equals, text = word.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if name in ("help", "h"):
            print(help_text(options, prog, SUMMARIES[prog.split(maxsplit=1)[0]]))
            raise SystemExit(0)
        if name not in named:
            raise RLJaxError(
                f"unknown option {short(word.partition('=')[0], quoted=False)} of 'rl-jax {prog}'{hints.unknown_option(name, named)}"
            )
        one = named[name]
        if one.takes.kind is bool:
            if equals:
                raise RLJaxError(f"{option(name)} takes no value: give {option(one.name)} or {option('no_' + one.name)} alone")
            values[one.name] = name == one.name
        elif one.takes.many:
            given = [text] if equals else _take_values(words)
            values[one.name] = _read_all(one, given, option(one.name), prog)
        else:
            if not equals and (not words or words[0].startswith("--")):
                raise RLJaxError(f"{option(one.name)} needs a value: {one.takes} (see rl-jax {prog} --help)")
            values[one.name] = _read(one, text if equals else words.pop(0), option(one.name), prog)
            if words and not _is_option(words[0]) and not any(other.takes.positional for other in options):
                raise RLJaxError(_one_value(one, words[0], prog))
    values |= _positionals([one for one in options if one.takes.positional], loose, prog)
    return values


def _one_value(one: Option, more: str, prog: str) -> str:
    """What to do instead of giving an option a second value."""
    command, _, agent = prog.partition(" ")
    if command == "sweep":
        fix = f"each is another program: start 'rl-jax sweep {agent}' once for each, and compare by 'rl-jax plot'"
    else:
        fix = f"give one; 'rl-jax sweep {agent}' tries several of a number such as --learning-rate"
    return f"{option(one.name)} takes one value, and {short(more)} is a second: {fix}"


def _is_option(word: str) -> bool:
    """``--steps`` and ``-n``; not ``-5``, ``-inf`` or ``-``."""
    return re.match(r"--|-[^\W\d]", word) is not None and not re.fullmatch(r"-(inf|infinity|nan)", word, re.IGNORECASE)


def _take_values(words: list[str]) -> list[str]:
    """Removes from the front what belongs to one option with several values."""
    count = next((i for i, word in enumerate(words) if _is_option(word)), len(words))
    taken, words[:] = words[:count], words[count:]
    return taken


def _read(one: Option, text: str, name: str, prog: str) -> Any:
    try:
        return one.takes.read(text)
    except ValueError:
        such = "" if one.default in (MISSING, None, "", ()) or one.takes.choices else f", such as {shown(one.default)}"
        takes = dataclasses.replace(one.takes, many=False)
        raise RLJaxError(f"{name} takes {takes}{such}, not {short(text)} (see rl-jax {prog} --help)") from None


def _read_all(one: Option, texts: Sequence[str], name: str, prog: str) -> tuple[Any, ...]:
    least, most = one.takes.items
    if not least <= len(texts) <= most:
        few = "at least one value" if least == 1 and not texts else f"{least} to {most} values, not {len(texts)}"
        raise RLJaxError(f"{name} needs {few} (see rl-jax {prog} --help)")
    return tuple(_read(one, text, name, prog) for text in texts)


def _positionals(options: Sequence[Option], words: list[str], prog: str) -> dict[str, Any]:
    """What is given without a name; a command has at most one such option."""
    if len(words) > sum(len(words) if one.takes.many else 1 for one in options):
        raise RLJaxError(f"{short(words[-1])} belongs to no option of 'rl-jax {prog}' (see rl-jax {prog} --help)")
    values: dict[str, Any] = {}
    for one in options:
        name = one.name.upper()
        if one.takes.many and (words or one.default is MISSING):
            values[one.name] = _read_all(one, words, name, prog)
        elif words:
            values[one.name] = _read(one, words[0], name, prog)
        elif one.default is MISSING:
            about = documentation(one.owner).get(one.name, "").rstrip(".").lower()
            raise RLJaxError(f"{prog} needs {name}, the {about} (see rl-jax {prog} --help)")
    return values
