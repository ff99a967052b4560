"""The help of a command: its options in groups, with what each takes."""

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
    "plot": "Draw learning curves of several runs.",
    "list": "Show agents and environments, or what one environment is.",
    "bench": "Measure how fast everything is on this machine.",
    "reproduce": "Run published claims again, with a verdict.",
}
#: What the help of the whole command shows.
EXAMPLES = (
    "rl-jax train ppo --env CartPole-v1",
    "rl-jax train sac --env brax/ant --num-envs 128 --steps 1e6 --out runs/ant",
    "rl-jax sweep ppo --env CartPole-v1 --learning-rate 3e-4 1e-3 3e-3",
    "rl-jax evaluate runs/ant --episodes 100",
    "rl-jax list agents        (which agent for what)",
    "rl-jax list CartPole-v1   (what one environment is)",
)
#: Where the text about an option begins.
COLUMN = 27


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: of the field.
        takes: its values.
        default: where it is not given; ``MISSING``: it must be.
        owner: the dataclass that documents it.
        group: the heading of the help under which it stands.
    """

    name: str
    takes: Takes
    default: Any
    owner: type
    group: str = "options"


@functools.cache
def documentation(kind: type) -> dict[str, str]:
    """The string under each field of a dataclass."""
    docs = {}
    for base in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                docs[node.target.id] = " ".join(str(after.value.value).split())  # type: ignore[union-attr]
    return docs


def help_text(options: Sequence[Option], prog: str, summary: str) -> str:
    """Usage, summary and all options."""
    named = [one for one in options if not one.takes.positional]
    loose = [one for one in options if one.takes.positional]
    usage = " ".join([f"usage: rl-jax {prog}", *(_form(one) for one in loose), "[options]"])
    lines = [usage, "", summary]
    for one in loose:
        lines += ["", *_entry(one)]
    for group in dict.fromkeys(one.group for one in named):
        lines += ["", f"{group}:"]
        for one in named:
            if one.group == group:
                lines += _entry(one)
    return "\n".join(lines)


def _form(one: Option) -> str:
    """How an option is typed."""
    takes, name = one.takes, option(one.name)
    if takes.kind is bool:
        return f"{name}, {option('no_' + one.name)}"
    if takes.positional:
        word = one.name.upper() + (" ..." if takes.many else "")
        return f"[{word}]" if one.default is not MISSING else word
    words = [*takes.choices]
    if takes.kind is not str or not takes.choices:
        words.append({int: "INT", float: "NUMBER", str: "TEXT"}.get(takes.kind, "PATH"))
    return f"{name} {'|'.join(words)}{' ...' if takes.many else ''}"


def _entry(one: Option) -> list[str]:
    """Lines about one option."""
    about = documentation(one.owner).get(one.name, "")
    facts = []
    if one.takes.range is not None:
        facts.append(f"{one.takes.range}{', or none' if one.takes.optional else ''}".removeprefix("from "))
    if one.takes.positional and one.takes.choices:
        facts.append(", ".join(one.takes.choices))
    if one.default not in (MISSING, None, "", ()) and "(default" not in about:
        facts.append(f"default: {shown(one.default)}")
    text = f"{about} ({'; '.join(facts)})" if facts else about
    width = min(shutil.get_terminal_size().columns, 120)
    lines = textwrap.wrap(text, max(width - COLUMN - 1, 30)) or [""]
    form = f"  {_form(one)}"
    if len(form) < COLUMN - 1:
        return [f"{form:{COLUMN}}{lines[0]}", *(" " * COLUMN + line for line in lines[1:])]
    return [form, *(" " * COLUMN + line for line in lines)]


def shown(value: Any) -> str:
    """A default as it would be typed."""
    if isinstance(value, tuple):
        return " ".join(map(shown, value))
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
