"""The command line: ``rl-jax train | sweep | evaluate | render | plot | list | bench | reproduce``."""

import dataclasses
import difflib
import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence

# XLA reports, for every program it takes from the compilation cache, which CPU features it does not mind missing.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax

from rl_jax.agents import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.run import commands, distributed, stopping
from rl_jax.run.config import load, restore
from rl_jax.run.options import Bench, Evaluate, List, Plot, Render, Reproduce, RunOptions
from rl_jax.run.parse import SUMMARIES, parse, run_class
from rl_jax.run.stopping import Stopped


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
    kind = run_class(command, agent)
    given = parse(kind, rest, f"{command} {agent}")
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
        given = parse(kind, rest, f"{command} {agent}", default=restore(kind, values, source))
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
        given = parse(simple[args[0]], args[1:], args[0])
        getattr(commands, {"list": "show_list"}.get(args[0], args[0]))(given)
    elif args[0] == "--version":
        from rl_jax import __version__

        print(__version__)
    else:
        near = difflib.get_close_matches(args[0], SUMMARIES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(SUMMARIES)}"
        raise RLJaxError(f"unknown command '{args[0]}'; {hint}")


def main(args: Sequence[str] | None = None) -> None:
    """Entry point. Mistakes end with one line on standard error and status 2; a signal with 128 + its number."""
    with distributed.ending():
        _main_with_errors(args)


def _main_with_errors(args: Sequence[str] | None) -> None:
    try:
        with stopping.obeying():
            _main(sys.argv[1:] if args is None else args)
    except RLJaxError as error:
        if os.environ.get("RL_JAX_TRACEBACK"):
            raise
        print("rl-jax: error: " + " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stopped:
        stopping.say(f"rl-jax: {stopped}")
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
    try:
        main()
    finally:
        stopping.ignore()  # all is said: a second signal must not change the status while Python ends


if __name__ == "__main__":
    console()
