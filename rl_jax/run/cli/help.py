"""The help text of a command: its options in groups, with their values and defaults."""

import ast
import dataclasses
import functools
import inspect
import itertools
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from rl_jax.values import Takes, option

SUMMARIES = {
    "train": "Train an agent: progress, checkpoints, a curve and an evaluation.",
    "sweep": "Train a grid of hyperparameters times seeds in one program.",
    "evaluate": "Play whole episodes with a trained agent.",
    "render": "Make a GIF (gymnax) or an HTML page (brax) of one episode.",
    "record": "Keep what a trained agent does, as a data set to learn from.",
    "plot": "Draw learning curves of several runs.",
    "list": "Show agents and environments, or what one environment is.",
    "bench": "Measure how fast everything is on this machine.",
    "reproduce": "Run published claims again, with a verdict.",
}
#: Shown by ``rl-jax --help``.
EXAMPLES = (
    "rl-jax train ppo --env CartPole-v1",
    "rl-jax train sac --env brax/ant --num-envs 128 --steps 1e6 --out runs/ant",
    "rl-jax sweep ppo --env CartPole-v1 --learning-rate 3e-4 1e-3 3e-3",
    "rl-jax evaluate runs/ant --episodes 100",
    "rl-jax list agents        (which agent for what)",
    "rl-jax list CartPole-v1   (what one environment is)",
)
#: The column in which descriptions of options start.
COLUMN = 27


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: of the field, with underscores.
        takes: the values that it takes.
        default: its value where it is left out; ``MISSING``: it is required.
        owner: the dataclass that has its field.
        group: its heading in the help.
    """

    name: str
    takes: Takes
    default: Any
    owner: type
    group: str = "options"


@functools.cache
def documentation(options_class: type) -> dict[str, str]:
    """The string under each field of a dataclass."""
    docs = {}
    for cls in reversed([cls for cls in options_class.__mro__ if dataclasses.is_dataclass(cls)]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
        except (OSError, TypeError):  # a class of one's own whose source is in no file
            continue
        for node, next_node in itertools.pairwise(body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(next_node, ast.Expr)
                and isinstance(next_node.value, ast.Constant)
            ):
                docs[node.target.id] = " ".join(str(next_node.value.value).split())  # type: ignore[union-attr]
    return docs


def help_text(options: Sequence[Option], prog: str, summary: str) -> str:
    """The text of ``rl-jax PROG --help``: usage, summary and all options."""
    named = [opt for opt in options if not opt.takes.positional]
    positionals = [opt for opt in options if opt.takes.positional]
    usage = " ".join([f"usage: rl-jax {prog}", *(_signature(opt) for opt in positionals), "[options]"])
    lines = [usage, "", summary]
    for opt in positionals:
        lines += ["", *_help_lines(opt)]
    for group in dict.fromkeys(opt.group for opt in named):
        lines += ["", f"{group}:"]
        for opt in named:
            if opt.group == group:
                lines += _help_lines(opt)
    return "\n".join(lines)


def _signature(opt: Option) -> str:
    """An option with its values, such as ``--steps INT``."""
    takes, name = opt.takes, option(opt.name)
    if takes.kind is bool:
        return f"{name}, {option('no_' + opt.name)}"
    if takes.positional:
        word = opt.name.upper() + (" ..." if takes.many else "")
        return f"[{word}]" if opt.default is not MISSING else word
    words = [*takes.choices]
    if takes.kind is not str or not takes.choices:
        words.append({int: "INT", float: "NUMBER", str: "TEXT"}.get(takes.kind, "PATH"))
    return f"{name} {'|'.join(words)}{' ...' if takes.many else ''}"


def _help_lines(opt: Option) -> list[str]:
    """The lines of one option, wrapped to the terminal's width."""
    description = documentation(opt.owner).get(opt.name, "")
    notes = []
    if opt.takes.range is not None:
        notes.append(f"{opt.takes.range}{', or none' if opt.takes.optional else ''}".removeprefix("from "))
    if opt.takes.positional and opt.takes.choices:
        notes.append(", ".join(opt.takes.choices))
    if opt.default not in (MISSING, None, "", ()) and "(default" not in description:
        notes.append(f"default: {default_text(opt.default)}")
    text = f"{description} ({'; '.join(notes)})" if notes else description
    width = min(shutil.get_terminal_size().columns, 120)
    lines = textwrap.wrap(text, max(width - COLUMN - 1, 30)) or [""]
    signature = f"  {_signature(opt)}"
    if len(signature) < COLUMN - 1:
        return [f"{signature:{COLUMN}}{lines[0]}", *(" " * COLUMN + line for line in lines[1:])]
    return [signature, *(" " * COLUMN + line for line in lines)]


def default_text(value: Any) -> str:
    """A default as the user would write it; ``on`` or ``off`` for a switch."""
    if isinstance(value, tuple):
        return " ".join(map(default_text, value))
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
