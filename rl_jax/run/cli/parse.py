"""Parsing of a command's options, which are the fields of its dataclass. Every error is one line."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any

from rl_jax.agents.configs import sweepable
from rl_jax.agents.configs.by_name import config_class
from rl_jax.errors import RLJaxError
from rl_jax.run.cli import hints
from rl_jax.run.cli.help import SUMMARIES, Option, default_text, documentation, help_text
from rl_jax.run.options import FIRST, RunOptions
from rl_jax.values import Range, fields, option, short

#: Most values of one option of a sweep.
MOST_VALUES = 1000


def options_of(options_class: type, group: str = "options") -> list[Option]:
    """One option for each field of a dataclass."""
    return [
        Option(field.name, fields(options_class)[field.name], field.default, options_class, group)
        for field in dataclasses.fields(options_class)
    ]


def run_options(command: str, agent: str) -> list[Option]:
    """The options of ``train`` or ``sweep`` with one agent: those of every run, then those of the agent.

    Raises:
        RLJaxError: the agent is a class of one's own, which cannot be imported, or whose fields cannot be options.
    """
    of_runs = options_of(RunOptions, "options of every run")
    kind = config_class(agent, {*(opt.name for opt in of_runs), "help"})
    options = of_runs + options_of(kind, f"options of {agent}")
    if command == "sweep":
        varied = sweepable(kind)
        options = [_with_many_values(opt) if opt.name in varied else opt for opt in options]
        options = [dataclasses.replace(opt, default=4) if opt.name == "seeds" else opt for opt in options]
    return [dataclasses.replace(opt, group="options to begin with") if opt.name in FIRST else opt for opt in options]


def _with_many_values(opt: Option) -> Option:
    """The same option, which takes several values."""
    bounds = opt.takes.range or Range(-1e30, 1e30)
    takes = dataclasses.replace(opt.takes, many=True, range=dataclasses.replace(bounds, items=(1, MOST_VALUES)))
    return dataclasses.replace(opt, takes=takes, default=(opt.default,))


def parse(
    options: Sequence[Option], argv: Sequence[str], prog: str, defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The value of each option.

    Args:
        options: of the command.
        argv: the words after the command's name.
        prog: the command's name, with the agent's for ``train`` and ``sweep``.
        defaults: values of an earlier run, for options that are left out.

    Raises:
        RLJaxError: an option is unknown, or its value is wrong or missing.
        SystemExit: ``--help`` was in ``argv``; the help was printed.
    """
    by_name = {opt.name: opt for opt in options if not opt.takes.positional}
    by_name |= {f"no_{name}": opt for name, opt in by_name.items() if opt.takes.kind is bool}
    values, positional_words = {opt.name: opt.default for opt in options} | dict(defaults or {}), []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not _is_option(word):
            positional_words.append(word)
            continue
        name, equals, text = word.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if name in ("help", "h"):
            print(help_text(options, prog, SUMMARIES[prog.split(maxsplit=1)[0]]))
            raise SystemExit(0)
        if name not in by_name:
            raise RLJaxError(
                f"unknown option {short(word.partition('=')[0], quoted=False)} of 'rl-jax {prog}'{hints.unknown_option(name, by_name)}"
            )
        opt = by_name[name]
        if opt.takes.kind is bool:
            if equals:
                raise RLJaxError(f"{option(name)} takes no value: give {option(opt.name)} or {option('no_' + opt.name)} alone")
            values[opt.name] = name == opt.name
        elif opt.takes.many:
            texts = [text] if equals else _take_values(words)
            values[opt.name] = _read_all(opt, texts, option(opt.name), prog)
        else:
            if not equals and (not words or words[0].startswith("--")):
                raise RLJaxError(f"{option(opt.name)} needs a value: {opt.takes} (see rl-jax {prog} --help)")
            values[opt.name] = _read(opt, text if equals else words.pop(0), option(opt.name), prog)
            if words and not _is_option(words[0]) and not any(each.takes.positional for each in options):
                raise RLJaxError(_second_value_error(opt, words[0], prog))
    values |= _positionals([opt for opt in options if opt.takes.positional], positional_words, prog)
    return values


def _second_value_error(opt: Option, second: str, prog: str) -> str:
    """The error about a second value of an option that takes one."""
    command, _, agent = prog.partition(" ")
    if command == "sweep":
        fix = f"each is another program: start 'rl-jax sweep {agent}' once for each, and compare by 'rl-jax plot'"
    else:
        fix = f"give one; 'rl-jax sweep {agent}' tries several of a number such as --learning-rate"
    return f"{option(opt.name)} takes one value, and {short(second)} is a second: {fix}"


def _is_option(word: str) -> bool:
    """Whether a word is an option, such as ``--steps`` or ``-n``, and not a value such as ``-5``, ``-inf`` or ``-``."""
    return re.match(r"--|-[^\W\d]", word) is not None and not re.fullmatch(r"-(inf|infinity|nan)", word, re.IGNORECASE)


def _take_values(words: list[str]) -> list[str]:
    """Remove the values of one option from the front of ``words``, and return them."""
    count = next((i for i, word in enumerate(words) if _is_option(word)), len(words))
    values, words[:] = words[:count], words[count:]
    return values


def _read(opt: Option, text: str, name: str, prog: str) -> Any:
    try:
        return opt.takes.read(text)
    except ValueError:
        example = (
            "" if opt.default in (MISSING, None, "", ()) or opt.takes.choices else f", such as {default_text(opt.default)}"
        )
        takes = dataclasses.replace(opt.takes, many=False)
        raise RLJaxError(f"{name} takes {takes}{example}, not {short(text)} (see rl-jax {prog} --help)") from None


def _read_all(opt: Option, texts: Sequence[str], name: str, prog: str) -> tuple[Any, ...]:
    min_items, max_items = opt.takes.items
    if not min_items <= len(texts) <= max_items:
        expected = (
            "at least one value" if min_items == 1 and not texts else f"{min_items} to {max_items} values, not {len(texts)}"
        )
        raise RLJaxError(f"{name} needs {expected} (see rl-jax {prog} --help)")
    return tuple(_read(opt, text, name, prog) for text in texts)


def _positionals(options: Sequence[Option], words: list[str], prog: str) -> dict[str, Any]:
    """The values of positional options; a command has at most one."""
    if len(words) > sum(len(words) if opt.takes.many else 1 for opt in options):
        raise RLJaxError(f"{short(words[-1])} belongs to no option of 'rl-jax {prog}' (see rl-jax {prog} --help)")
    values: dict[str, Any] = {}
    for opt in options:
        name = opt.name.upper()
        if opt.takes.many and (words or opt.default is MISSING):
            values[opt.name] = _read_all(opt, words, name, prog)
        elif words:
            values[opt.name] = _read(opt, words[0], name, prog)
        elif opt.default is MISSING:
            description = documentation(opt.owner).get(opt.name, "").rstrip(".").lower()
            raise RLJaxError(f"{prog} needs {name}, the {description} (see rl-jax {prog} --help)")
    return values
