"""The options of the commands that have one list of them each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class Evaluate:
    """Play whole episodes with a trained agent; statistics stay as they were saved."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    episodes: int = 128
    """Episodes, all of them played to their end."""
    stochastic: bool = False
    """Sample actions instead of taking the most probable."""
    checkpoint: str = "last"
    """last, best, or a number of steps."""
    seed: int = 0
    """Seed of the evaluation; training's keys are never used."""
    quiet: bool = False
    """Print the last line only."""


@dataclass(frozen=True)
class Render:
    """Make a GIF (gymnax) or an HTML page (brax) of one episode."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    out: Path | None = None
    """File (default: episode.gif or episode.html in the run folder)."""
    checkpoint: str = "last"
    """last, best, or a number of steps."""
    stochastic: bool = False
    """Sample actions instead of taking the most probable."""
    seed: int = 0
    """Seed of the episode."""
    max_steps: int = 1000
    """Longest episode to draw."""


@dataclass(frozen=True)
class Plot:
    """Draw learning curves of several runs; runs that differ in their seeds alone are one curve with an interval."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    out: Path = Path("curves.png")
    """PNG file."""
    statistic: Literal["iqm", "mean"] = "iqm"
    """What stands for several seeds."""
    metric: str = "episode/return"
    """A name from metrics.jsonl."""
    overwrite: bool = False
    """Replace the file."""


@dataclass(frozen=True)
class List:
    """Show environments with their spaces, and agents."""

    what: tyro.conf.Positional[Literal["all", "envs", "agents"]] = "all"
    """What to show."""
    spaces: bool = True
    """Make each environment to show its spaces (takes some seconds)."""


@dataclass(frozen=True)
class Bench:
    """Measure how fast everything is on this machine: one table, bench.json and plots."""

    suites: tyro.conf.Positional[tuple[str, ...]] = ()
    """Suites (default: all): envs, rollout, update, train, replay, start, scale-envs, scale-length, scale-seeds, scale-width,
    scale-replay, scale-devices."""
    out: Path = Path("bench")
    """Folder of bench.json and the plots."""
    seconds: float = 2.0
    """Seconds of measuring per row."""
    minutes: float | None = None
    """Begin no further row after so many minutes (default: run all)."""
    profile: bool = False
    """Record a profile of each row of the suite train, for XProf or Perfetto."""
    small: bool = False
    """Tiny sizes, to try the machinery; the figures mean nothing."""
    quiet: bool = False
    """Print the table only."""


@dataclass(frozen=True)
class Reproduce:
    """Run published claims again, each over many seeds, with a verdict by a rule fixed in advance."""

    recipes: tyro.conf.Positional[tuple[str, ...]] = ()
    """Recipes: their names, or files of your own."""
    list: bool = False
    """Show all recipes with the committed verdicts."""
    all: bool = False
    """Run every recipe."""
    quick: bool = False
    """Run a small slice of a few arms on two seeds, to try the machinery; nothing is judged."""
    out: Path = Path("runs/reproduce")
    """Folder of the results: RECIPE/result.json and RECIPE/plot.png."""
    record: bool = False
    """Also replace the committed result and plot of the repository."""
    compile_cache: bool = True
    """Keep compiled programs between runs."""
    quiet: bool = False
    """Print the verdicts only."""
