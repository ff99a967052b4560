"""The default of every option that a table of the documentation names, out of the agents' configurations."""

import dataclasses
import re
from typing import Any

from rl_jax.agents.configs import CONFIGS

#: Stands before a table with a column ``option``: ``<!-- defaults: td3 ddpg -->`` adds a column with the defaults of these agents.
MARK = re.compile(r"<!-- defaults: (?P<agents>[\w -]+?) -->\n+(?P<table>(?:\|.*\n)+)")


def shown(name: str, value: Any) -> str:
    """A default as it would be typed; of a switch, the spelling that is in force."""
    if isinstance(value, bool):
        return f"`--{'' if value else 'no-'}{name.replace('_', '-')}`"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if value is None:
        return "none"
    if isinstance(value, int) and value >= 10_000:
        return f"{value:,}".replace(",", " ")
    return f"{value:g}".replace("e-0", "e-") if isinstance(value, float) else str(value)


def default(option: str, agents: list[str]) -> str:
    """The default of ``--option``; one for each agent where they differ.

    Raises:
        ValueError: no agent of these has it.
    """
    name = option.removeprefix("--").replace("-", "_")
    found: dict[str, list[str]] = {}
    for agent in agents:
        fields = {field.name: field.default for field in dataclasses.fields(CONFIGS[agent])}
        for field in (name, name.removeprefix("no_")):
            if field in fields:
                found.setdefault(shown(field, fields[field]), []).append(agent)
                break
    if not found:
        raise ValueError(f"none of {', '.join(agents)} has the option {option}")
    return "; ".join(value if len(found) == 1 else f"{' '.join(who)}: {value}" for value, who in found.items())


def with_defaults(markdown: str) -> str:
    """A page with the column ``default`` in every marked table, behind the column ``option``.

    Raises:
        ValueError: a marked table has no such column, or names an option that none of its agents has.
    """

    def write(match: re.Match[str]) -> str:
        agents, rows = match["agents"].split(), match["table"].splitlines()
        cells = [re.split(r"(?<!\\)\|", row.strip()[1:-1]) for row in rows]
        at = [cell.strip() for cell in cells[0]].index("option")
        for number, row in enumerate(cells):
            options = re.findall(r"`(--[a-z-]+)", row[at])
            own = ["default", "---"][number] if number < 2 else ", ".join(default(option, agents) for option in options)
            row.insert(at + 1, f" {own} ")
        return "\n".join(f"|{'|'.join(row)}|" for row in cells) + "\n"

    return MARK.sub(write, markdown)
