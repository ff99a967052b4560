"""The command line: ``rl-jax train | sweep | evaluate | render | record | plot | list | bench | reproduce``."""

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
from rl_jax.agents.configs.by_name import config_class, is_own, spelled
from rl_jax.errors import RLJaxError
from rl_jax.run import failures, stopping
from rl_jax.run.cli import hints
from rl_jax.run.cli.help import EXAMPLES, SUMMARIES
from rl_jax.run.cli.parse import options_of, parse, run_options
from rl_jax.run.cli.recorded import with_data
from rl_jax.run.devices import distributed
from rl_jax.run.options import Bench, Evaluate, List, Plot, Record, Render, Reproduce, RunOptions
from rl_jax.run.stopping import Stopped
from rl_jax.values import short


def _call_command(command: str, *args: Any) -> None:
    """Call a command. Jax and the other slow imports come only now, after the options are known to be right."""
    from rl_jax.run.cli import commands

    if not gc.isenabled():
        # Imported objects live for the whole process: the garbage collector need not scan them while programs are traced.
        gc.freeze()
        gc.enable()
    getattr(commands, command)(*args)


def _train_or_sweep(command: str, argv: Sequence[str]) -> None:
    """Run ``train`` or ``sweep``: the agent's name, then options, with the values of a saved configuration as defaults."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: rl-jax {command} {{{','.join(CONFIGS)}}} [options]\n\n{SUMMARIES[command]}")
        print(f"\nAll options: rl-jax {command} ppo --help")
        print(f"An agent of your own: rl-jax {command} my_module:Config, or my_file.py:Config; its options: add --help")
        return
    agent, rest = spelled(argv[0]), list(argv[1:])
    if agent.startswith("-"):
        raise RLJaxError(f"name the agent first: rl-jax {command} {next(iter(CONFIGS))} {' '.join(argv)}")
    if agent not in CONFIGS and not is_own(agent):
        raise RLJaxError(hints.unknown_agent(agent))
    option_list = run_options(command, agent)
    values = parse(option_list, rest, f"{command} {agent}")
    resume, source = values["resume"], values["resume"] or values["config"]
    if source:
        if resume and (values["overwrite"] or values["config"]):
            reason = "--overwrite deletes one" if values["overwrite"] else "--config begins another"
            raise RLJaxError(f"--resume continues a run, and {reason}: leave out one of the two")
        if resume and not resume.is_dir():
            raise RLJaxError(f"cannot resume: there is no run folder {resume}; name the one given as --out")
        source = source / "config.json" if source.is_dir() else source
        from rl_jax.run.storage.config import load, restore_values
        from rl_jax.run.storage.run_config import made_by

        saved = load(source)
        if (saved_command := (saved.get("command", "train"), saved["agent"])) != (command, agent):
            raise RLJaxError(f"{source} is of {made_by(*saved_command, source.parent)}, not of '{command} {agent}': use that")
        saved_values = {**saved["run"], **saved["hyperparameters"]}
        saved_values |= {"out": None, "resume": None, "config": None, "overwrite": False, "quiet": False}
        values = parse(
            option_list,
            rest,
            f"{command} {agent}",
            restore_values({opt.name: opt.takes for opt in option_list}, saved_values, source),
        )
    options = RunOptions(**{item.name: values.pop(item.name) for item in dataclasses.fields(RunOptions)})
    options = with_data(options, agent, config_class(agent))
    options.check()
    _call_command(command, agent, options, values)


def _main(argv: Sequence[str]) -> None:
    option_classes = {
        "evaluate": Evaluate,
        "render": Render,
        "record": Record,
        "plot": Plot,
        "list": List,
        "bench": Bench,
        "reproduce": Reproduce,
    }
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: rl-jax COMMAND [options]\n")
        for name, text in SUMMARIES.items():
            print(f"  {name:11s}{text}")
        print("\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES))
        print("\nHelp on one: rl-jax COMMAND --help; all options of an agent: rl-jax train ppo --help")
    elif argv[0] in ("train", "sweep"):
        _train_or_sweep(argv[0], argv[1:])
    elif argv[0] in option_classes:
        options_class = option_classes[argv[0]]
        args = options_class(**parse(options_of(options_class), argv[1:], argv[0]))
        if argv[0] == "list":
            from rl_jax.run.cli.listing import show_list

            show_list(args)
        else:
            _call_command(argv[0], args)
    elif argv[0] == "--version":
        from rl_jax import __version__

        print(__version__)
    else:
        raise RLJaxError(f"unknown command {short(argv[0])}; {hints.nearest(argv[0], SUMMARIES)}")


def main(args: Sequence[str] | None = None) -> None:
    """The entry point. A user's mistake ends with one line on standard error and status 2, a signal with 128 + its number."""
    with distributed.exiting_at_once():
        _main_with_errors(args)


def _main_with_errors(argv: Sequence[str] | None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    try:
        with stopping.obeying():
            _main(argv)
    except Stopped as stopped:
        stopping.say(f"rl-jax: {stopped}")
        raise SystemExit(128 + stopped.number) from None
    except KeyboardInterrupt:
        print("rl-jax: stopped by SIGINT", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would print the error again at exit
        raise SystemExit(1) from None
    except Exception as error:
        if distributed.is_lost_process(error):
            distributed.exit_lost(str(error))
        text = failures.explanation(error, next(iter(argv), ""))
        if text is None:
            error.add_note(failures.UNEXPECTED)
        if text is None or os.environ.get("RL_JAX_TRACEBACK"):
            raise
        print("rl-jax: error: " + failures.line(text), file=sys.stderr)
        raise SystemExit(2) from None


def console() -> None:
    """:func:`main` as the only work of a process: it may change the garbage collector and signals."""
    gc.disable()  # until all is imported
    try:
        main()
    finally:
        stopping.ignore()  # a second signal must not change the exit status while Python ends


if __name__ == "__main__":
    console()
