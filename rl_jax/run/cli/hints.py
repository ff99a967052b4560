"""What was probably meant: other libraries' spellings, near ones, and agents that only the library has."""

import difflib
from collections.abc import Iterable

from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.configs.spellings import meant
from rl_jax.run.cli.catalogue import LIBRARY
from rl_jax.values import option, short


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The end of the line about an option that a command does not have: what was meant, or where all are listed.

    Args:
        name: of the option, with underscores.
        known: the command's options, ``no_...`` among them.
    """
    near = meant(name, {*known, "help"})
    return f"; did you mean {' or '.join(map(option, near))}?" if near else "; --help lists all"


def nearest(word: str, known: Iterable[str]) -> str:
    """Which of few names was meant, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(word[:100].lower().replace("_", "-"), known, n=1, cutoff=0.3)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"


def unknown_agent(name: str) -> str:
    """The line about an agent that the command line does not have."""
    plain = name.lower().replace("_", "-")
    if plain in LIBRARY:
        return f"{plain} is an agent of the library alone: in Python, {LIBRARY[plain].where} ('rl-jax list agents' shows all)"
    return f"unknown agent {short(name)}; {nearest(name, CONFIGS)}"
