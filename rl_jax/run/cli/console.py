"""The command line: ``rl-jax train | sweep | evaluate | render | plot | list | bench | reproduce``."""

import dataclasses
import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

# Before jax is imported: XLA reports, for every program it takes from the compilation cache, which CPU features it does not mind
# missing, and warns of slow compilations.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rl_jax.agents.configs import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.run import failures, stopping
from rl_jax.run.cli import hints
from rl_jax.run.cli.help import EXAMPLES, SUMMARIES
from rl_jax.run.cli.parse import options_of, parse, run_options
from rl_jax.run.devices import distributed
from rl_jax.run.options import Bench, Evaluate, List, Plot, Render, Reproduce, RunOptions
from rl_jax.run.stopping import Stopped
from rl_jax.values import short


def _carry_out(command: str, *args: Any) -> None:
    """Import what computes, jax among it, only now that the words are understood."""
    from rl_jax.run.cli import commands

    if not gc.isenabled():
        # What has been imported stays: Python need not look through it again and again while programs are traced.
        gc.freeze()
        gc.enable()
    getattr(commands, command)(*args)


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
        raise RLJaxError(hints.unknown_agent(agent))
    known = run_options(command, agent)
    values = parse(known, rest, f"{command} {agent}")
    resume, source = values["resume"], values["resume"] or values["config"]
    if source:
        if resume and (values["overwrite"] or values["config"]):
            other = "--overwrite deletes one" if values["overwrite"] else "--config begins another"
            raise RLJaxError(f"--resume continues a run, and {other}: leave out one of the two")
        if resume and not resume.is_dir():
            raise RLJaxError(f"cannot resume: there is no run folder {resume}; name the one given as --out")
        source = source / "config.json" if source.is_dir() else source
        from rl_jax.run.storage.config import load, restore_values

        saved = load(source)
        if (was := (saved.get("command", "train"), saved["agent"])) != (command, agent):
            raise RLJaxError(f"{source} is of 'rl-jax {was[0]} {was[1]}', not of '{command} {agent}': use that")
        before = {**saved["run"], **saved["hyperparameters"]}
        before |= {"out": None, "resume": None, "config": None, "overwrite": False, "quiet": False}
        values = parse(known, rest, f"{command} {agent}", restore_values({o.name: o.takes for o in known}, before, source))
    options = RunOptions(**{item.name: values.pop(item.name) for item in dataclasses.fields(RunOptions)})
    options.check()
    _carry_out(command, agent, options, values)


def _main(args: Sequence[str]) -> None:
    simple = {"evaluate": Evaluate, "render": Render, "plot": Plot, "list": List, "bench": Bench, "reproduce": Reproduce}
    if not args or args[0] in ("-h", "--help"):
        print("usage: rl-jax COMMAND [options]\n")
        for name, text in SUMMARIES.items():
            print(f"  {name:11s}{text}")
        print("\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES))
        print("\nHelp on one: rl-jax COMMAND --help; all options of an agent: rl-jax train ppo --help")
    elif args[0] in ("train", "sweep"):
        _run(args[0], args[1:])
    elif args[0] in simple:
        kind = simple[args[0]]
        given = kind(**parse(options_of(kind), args[1:], args[0]))
        if args[0] == "list":
            from rl_jax.run.cli.listing import show_list

            show_list(given)
        else:
            _carry_out(args[0], given)
    elif args[0] == "--version":
        from rl_jax import __version__

        print(__version__)
    else:
        raise RLJaxError(f"unknown command {short(args[0])}; {hints.nearest(args[0], SUMMARIES)}")


def main(args: Sequence[str] | None = None) -> None:
    """Entry point. Mistakes end with one line on standard error and status 2; a signal with 128 + its number."""
    with distributed.ending():
        _main_with_errors(args)


def _main_with_errors(args: Sequence[str] | None) -> None:
    words = sys.argv[1:] if args is None else args
    try:
        with stopping.obeying():
            _main(words)
    except Stopped as stopped:
        stopping.say(f"rl-jax: {stopped}")
        raise SystemExit(128 + stopped.number) from None
    except KeyboardInterrupt:
        print("rl-jax: stopped by SIGINT", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain once more when it ends
        raise SystemExit(1) from None
    except Exception as error:
        if distributed.parted(error):
            distributed.leave(str(error))
        text = failures.explanation(error, next(iter(words), ""))
        if text is None:
            error.add_note(failures.UNEXPECTED)
        if text is None or os.environ.get("RL_JAX_TRACEBACK"):
            raise
        print("rl-jax: error: " + failures.line(text), file=sys.stderr)
        raise SystemExit(2) from None


def console() -> None:
    """:func:`main` of a process that does nothing else."""
    gc.disable()  # until all is imported
    try:
        main()
    finally:
        stopping.ignore()  # all is said: a second signal must not change the status while Python ends


if __name__ == "__main__":
    console()
