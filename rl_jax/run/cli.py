"""The command line: ``rl-jax train | sweep | evaluate | render | plot | list | bench | reproduce``."""

import contextlib
import dataclasses
import difflib
import errno
import gc
import io
import itertools
import os
import re
import signal
import sys
import threading
import typing
from collections.abc import Iterator, Sequence
from dataclasses import field
from decimal import Decimal
from typing import Annotated, Any

# XLA reports, for every program it takes from the compilation cache, which CPU features it does not mind missing.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import tyro

from rl_jax.agents import CONFIGS
from rl_jax.agents.checks import option
from rl_jax.errors import RLJaxError
from rl_jax.run import commands, distributed
from rl_jax.run.config import RunOptions, load, restore
from rl_jax.run.options import Bench, Evaluate, List, Plot, Render, Reproduce
from rl_jax.run.sweep import sweepable
from rl_jax.run.train import Stopped

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


def _run_class(command: str, agent: str) -> type:
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


def _parse(kind: type, args: Sequence[str], prog: str, default: Any = None) -> Any:
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


def _run(command: str, args: Sequence[str]) -> None:
    """``train`` and ``sweep``: the agent's name, then flat options, over a saved configuration if one is named."""
    if not args or args[0] in ("-h", "--help"):
        print(f"usage: rl-jax {command} {{{','.join(CONFIGS)}}} [options]\n\n{SUMMARIES[command]}")
        print(f"\nAll options: rl-jax {command} ppo --help")
        return
    agent, rest = args[0], list(args[1:])
    if agent.startswith("-"):
        raise RLJaxError(f"name the agent first: rl-jax {command} {next(iter(CONFIGS))} {' '.join(args)}")
    if agent not in CONFIGS:
        near = difflib.get_close_matches(agent, CONFIGS, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(CONFIGS)}"
        raise RLJaxError(f"unknown agent '{agent}'; {hint}")
    kind = _run_class(command, agent)
    given = _parse(kind, rest, f"{command} {agent}")
    source = given.resume / "config.json" if given.resume else given.config
    if source:
        if not given.resume and source.is_dir():
            source = source / "config.json"
        if given.resume and not given.resume.is_dir():
            raise RLJaxError(f"cannot resume: there is no run folder {given.resume}; name the one given as --out")
        saved = load(source)
        if (was := (saved.get("command", "train"), saved["agent"])) != (command, agent):
            raise RLJaxError(f"{source} is of 'rl-jax {was[0]} {was[1]}', not of '{command} {agent}': use that")
        values = {**saved["run"], **saved["hyperparameters"]}
        values |= {"out": None, "resume": None, "config": None, "overwrite": False, "quiet": False}
        given = _parse(kind, rest, f"{command} {agent}", default=restore(kind, values, source))
    values = {item.name: getattr(given, item.name) for item in dataclasses.fields(kind)}
    options = RunOptions(**{item.name: values.pop(item.name) for item in dataclasses.fields(RunOptions)})
    getattr(commands, command)(agent, options, values)


def _main(args: Sequence[str]) -> None:
    simple = {"evaluate": Evaluate, "render": Render, "plot": Plot, "list": List, "bench": Bench, "reproduce": Reproduce}
    if not args or args[0] in ("-h", "--help"):
        print("usage: rl-jax COMMAND [options]\n")
        for name, text in SUMMARIES.items():
            print(f"  {name:11s}{text}")
        print("\nHelp on one: rl-jax COMMAND --help; all options of an agent: rl-jax train ppo --help")
    elif args[0] in ("train", "sweep"):
        _run(args[0], args[1:])
    elif args[0] in simple:
        given = _parse(simple[args[0]], args[1:], args[0])
        getattr(commands, {"list": "show_list"}.get(args[0], args[0]))(given)
    elif args[0] == "--version":
        from rl_jax import __version__

        print(__version__)
    else:
        near = difflib.get_close_matches(args[0], SUMMARIES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(SUMMARIES)}"
        raise RLJaxError(f"unknown command '{args[0]}'; {hint}")


@contextlib.contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """SIGTERM before and after the training loop, which saves itself: nothing to save, one line, the usual status."""

    def end(number: int, frame: object) -> None:
        # At once: an exception that is raised within a callback of some library would be lost.
        os.write(2, b"rl-jax: stopped by SIGTERM\n")
        os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def main(args: Sequence[str] | None = None) -> None:
    """Entry point. Mistakes end with one line on standard error and status 2; a signal with 128 + its number."""
    with distributed.ending():
        _main_with_errors(args)


def _main_with_errors(args: Sequence[str] | None) -> None:
    try:
        with _ends_on_sigterm():
            _main(sys.argv[1:] if args is None else args)
    except RLJaxError as error:
        if os.environ.get("RL_JAX_TRACEBACK"):
            raise
        print("rl-jax: error: " + " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stopped:
        print(f"rl-jax: {stopped}", file=sys.stderr)
        raise SystemExit(128 + stopped.number) from None
    except KeyboardInterrupt:
        print("rl-jax: stopped by SIGINT", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain once more when it ends
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        what = f"cannot write {error.filename or ''} ({error.strerror})"
        print(f"rl-jax: error: {what}: make room and repeat, a run with --resume", file=sys.stderr)
        raise SystemExit(2) from None
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and distributed.parted(error):
            distributed.leave(str(error))
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print("rl-jax: error: out of memory: use fewer --num-envs, --seeds or a smaller network", file=sys.stderr)
        raise SystemExit(2) from None


def console() -> None:
    """:func:`main` of a process that does nothing else."""
    # What has been imported stays: Python need not look through it again and again while programs are traced.
    gc.freeze()
    main()


if __name__ == "__main__":
    console()
