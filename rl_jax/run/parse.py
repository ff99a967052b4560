"""Reading a command's options: flat names, one line for whatever is wrong with them."""

import contextlib
import dataclasses
import difflib
import io
import itertools
import re
import typing
from collections.abc import Sequence
from dataclasses import field
from decimal import Decimal
from typing import Annotated, Any

import tyro

from rl_jax.agents import CONFIGS
from rl_jax.agents.checks import option
from rl_jax.errors import RLJaxError
from rl_jax.run.options import RunOptions
from rl_jax.run.sweep import sweepable

SUMMARIES = {
    "train": "Train an agent: progress, checkpoints, a curve and an evaluation.",
    "sweep": "Train a grid of hyperparameters times seeds in one program.",
    "evaluate": "Play whole episodes with a trained agent.",
    "render": "Make a GIF (gymnax) or an HTML page (brax) of one episode.",
    "plot": "Draw learning curves of several runs.",
    "list": "Show environments with their spaces, and agents.",
    "bench": "Measure how fast everything is on this machine.",
    "reproduce": "Run published claims again, with a verdict.",
}


def run_class(command: str, agent: str) -> type:
    """The flat options of ``train`` or ``sweep`` of one agent: those of all runs, then the agent's own."""
    fields: list[Any] = []
    kinds = [RunOptions, CONFIGS[agent]]
    varied = sweepable(CONFIGS[agent]) if command == "sweep" else []
    for kind in kinds:
        helps = _field_docs(kind)
        for item in dataclasses.fields(kind):
            if command == "sweep" and item.name in ("seeds",):
                default: Any = 4
            else:
                default = item.default
            annotation: Any = item.type
            if item.name in varied:
                annotation, default = tuple[float, ...], (item.default,)
            annotated = Annotated[annotation, tyro.conf.arg(help=helps.get(item.name, ""))]
            fields.append((item.name, annotated, field(default=default)))
    made = dataclasses.make_dataclass(f"{command}_{agent}", fields, frozen=True)
    made.__doc__ = SUMMARIES[command]
    return made


def _field_docs(kind: type) -> dict[str, str]:
    """The string under each field of a dataclass."""
    import ast
    import inspect
    import textwrap

    docs = {}
    for base in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                docs[node.target.id] = str(after.value.value)  # type: ignore[union-attr]
    return docs


def parse(kind: type, args: Sequence[str], prog: str, default: Any = None) -> Any:
    """Parse one command's options; anything wrong is a single-line error that names the nearest right thing."""
    if unknown := [arg for arg in args if re.match(r"--?[A-Za-z]", arg) and _name(arg) not in _names(kind)]:
        word = unknown[0].partition("=")[0]
        raise RLJaxError(f"unknown option {word} of 'rl-jax {prog}'{_nearest(word, _names(kind))}")
    args = _whole_numbers(kind, args)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            extra = {} if default is None else {"default": default}
            return tyro.cli(kind, args=list(args), prog=f"rl-jax {prog}", config=(tyro.conf.AvoidSubcommands,), **extra)
    except SystemExit as end:
        if not end.code:
            print(out.getvalue(), end="")
            raise
        raise RLJaxError(f"{_one_line(err.getvalue())} (see rl-jax {prog} --help)") from None


def _one_line(panel: str) -> str:
    """What tyro prints in a frame over many lines, as one sentence."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|[\u2500-\u257f]", " ", line).strip(" |") for line in panel.splitlines()]
    text = " ".join(line for line in lines if line and not re.search(r"-{10}", line))
    titles = "Value error|Missing argument|Required options|Invalid choice|Unrecognized options|Parsing error"
    text = re.sub(rf"^({titles}) (?=\S)", "", text)
    text, _, about = text.partition(" Argument helptext: ")
    text = re.split(r" Perhaps you meant| For full helptext| Got errors: ", text)[0]
    text = re.sub(r"^Error parsing (\S+): ", r"\1: ", text)
    text = re.sub(r"Could not find valid parse for arguments: \[(.*)\]", r"cannot read \1", text)
    text = re.sub(r"no type matching \S+ could be instantiated from \[(.*)\]\.?", r"cannot read \1", text)
    text = re.sub(r"^Missing value for argument '(.*?)'.*", r"\1 needs a value", text)
    text = re.sub(r"^invalid choice (\S+) for argument '(.*?)'. Expected one of \((.*?)\).*", r"\2 takes \3, not \1", text)
    text = re.sub(r"^Unrecognized options: (.*)", r"'\1' belongs to no option", text)
    text = re.sub(r"^Missing from (.*?): (\S+) (.*?)\.? \(required\)", r"\1 needs \2, the \3", text)
    takes = re.match(r"--\S+ (\[[A-Z].*\]|\S+) .*\(default: (.*?)\)", about)
    return f"{text}; it takes {takes[1]}, such as {takes[2]}" if takes else text


def _whole_numbers(kind: type, args: Sequence[str]) -> list[str]:
    """``--steps 1e6`` as ``--steps 1000000``."""
    whole = {name for name, hint in typing.get_type_hints(kind).items() if hint in (int, int | None)}
    ready = list(args)
    for i, (before, word) in enumerate(itertools.pairwise(args), start=1):
        if _name(before) in whole and re.fullmatch(r"\d+(\.\d+)?[eE]\+?\d{1,2}", word) and float(word).is_integer():
            ready[i] = str(int(Decimal(word)))
    return ready


def _name(arg: str) -> str:
    return arg.lstrip("-").partition("=")[0].replace("-", "_")


def _names(kind: type) -> set[str]:
    """Everything that can follow ``--``: booleans also with ``no-``."""
    fields = dataclasses.fields(kind)
    hints = typing.get_type_hints(kind)
    return {item.name for item in fields} | {f"no_{i.name}" for i in fields if hints[i.name] is bool} | {"help", "h"}


def _nearest(word: str, choices: set[str]) -> str:
    near = difflib.get_close_matches(_name(word).lower(), sorted(choices - {"h"}), n=3, cutoff=0.65)
    return f"; did you mean {' or '.join(option(name) for name in near)}?" if near else "; --help lists all"
