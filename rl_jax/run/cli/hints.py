"""Suggestions for unknown names: the same option in other libraries, close spellings, and agents that only Python has."""

import difflib
from collections.abc import Iterable

from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.configs.spellings import meant
from rl_jax.run.cli.catalogue import LIBRARY
from rl_jax.values import option, short


def unknown_option(name: str, options: Iterable[str]) -> str:
    """The end of the error about an unknown option: close names, or where all are listed.

    Args:
        name: of the unknown option, with underscores.
        options: names of the command's options, also ``no_...``.
    """
    close_matches = meant(name, {*options, "help"})
    return f"; did you mean {' or '.join(map(option, close_matches))}?" if close_matches else "; --help lists all"


def nearest(word: str, names: Iterable[str]) -> str:
    """The closest of a few names, or a list of all, as the end of an error."""
    names = list(names)
    close_matches = difflib.get_close_matches(word[:100].lower().replace("_", "-"), names, n=1, cutoff=0.3)
    return f"did you mean {close_matches[0]}?" if close_matches else f"choose from {', '.join(names)}"


def unknown_agent(name: str) -> str:
    """The error about an agent that the command line does not have."""
    key = name.lower().replace("_", "-")
    if key in LIBRARY:
        return f"{key} is an agent of the library alone: in Python, {LIBRARY[key].python_name} ('rl-jax list agents' shows all)"
    if "." in name or "/" in name:
        return f"unknown agent {short(name)}; a configuration of your own is named module:Config or file.py:Config"
    return f"unknown agent {short(name)}; {nearest(name, CONFIGS)}"
