"""The options of every command, but for those of an agent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rl_jax.errors import RLJaxError
from rl_jax.values import Count, Positional, Range, check_fields

#: The command of runs that Python has started with a trainer of its own: ``config.json`` does not say how to make that again.
PYTHON = "run"
#: Options that decide what a run computes; resuming with others would be another run.
IDENTITY = ("env", "data", "env_args", "steps", "seed", "seeds", "time_limit", "prng", "matmul_precision", "reset_pool")
#: Options that decide besides what it writes into metrics.jsonl; a resumed run keeps those too.
RECORD = ("eval_episodes", "eval_max_steps", "checkpoints", "episode_info")
#: Options that the help shows first.
FIRST = ("env", "data", "steps", "seeds", "out", "num_envs", "learning_rate")

Seed = Annotated[int, Range(0, 2**32 - 1)]
#: Episodes that are played side by side.
Episodes = Annotated[int, Range(1, 10**9)]
Checkpoint = Literal["last", "best"] | Annotated[int, Range(0, 10**15)]


@dataclass(frozen=True)
class RunOptions:
    """Options shared by all agents."""

    env: str = ""
    """Environment: CartPole-v1, Breakout-MinAtar, brax/ant ... ('rl-jax list' shows all); module:function for your own."""
    data: str = ""
    """Recorded experience, for agents that learn from it: a folder of 'rl-jax record', an .npz file, or minari:NAME."""
    steps: Annotated[int, Range(1, 10**15)] = 500_000
    """Environment steps to train, over all parallel environments of one seed."""
    seed: Seed = 0
    """First seed."""
    seeds: Annotated[int, Range(1, 1_000_000)] = 1
    """Number of seeds trained side by side in one program: seed, seed + 1, ..."""
    out: Path | None = None
    """Run folder (default: runs/ENV-AGENT-sSEED-TIME)."""
    resume: Path | None = None
    """Continue the run of this folder, bit for bit; with more --steps than it was planned for, extend it."""
    config: Path | None = None
    """Start from the options in this config.json of an earlier run."""
    overwrite: bool = False
    """Delete what stands in the run folder."""
    quiet: bool = False
    """Print the last line only."""
    env_args: tuple[str, ...] = ()
    """Arguments of the environment, NAME=VALUE, such as backend=spring."""
    time_limit: Count | None = None
    """Truncate episodes after so many steps (default: the environment's own limit)."""
    reset_pool: Count | None = None
    """Start episodes from a pool of so many resets, made anew after each rollout (default: a fresh reset for every episode)."""
    episode_info: tuple[str, ...] = ()
    """Numbers of the environment's info, such as success, to report of the last step of each episode as episode/NAME."""
    eval_episodes: Episodes | None = None
    """Episodes of each evaluation (default: up to 64, as many as take no more steps than training does between two of them)."""
    eval_max_steps: Count | None = None
    """Steps after which an evaluated episode is left unfinished (default: the time limit, or 10,000)."""
    checkpoints: Annotated[int, Range(1, 1_000_000)] = 10
    """Checkpoints over the run, evenly spaced, each with an evaluation."""
    checkpoint_minutes: Annotated[float, Range(1e-6, 1e6)] = 5.0
    """Save also whenever so many minutes have passed (first after half a minute at the latest); without an evaluation."""
    keep: Annotated[int, Range(1, 1_000_000)] = 3
    """Newest checkpoints kept, besides the best."""
    render_every: Count | None = None
    """Draw an evaluation episode of the first seed every so many environment steps: episodes/STEPS.gif (brax: .html)."""
    tensorboard: bool = False
    """Copy metrics to TensorBoard files in the run folder (extra 'tensorboard')."""
    wandb: bool = False
    """Copy metrics to Weights & Biases (extra 'wandb')."""
    prng: Literal["threefry2x32", "rbg", "unsafe_rbg"] = "threefry2x32"
    """Random generator; with rbg (quick on GPU and TPU) a run's numbers also depend on how many run side by side."""
    matmul_precision: Literal["bfloat16", "tensorfloat32", "float32"] | None = None
    """Precision of matrix products of float32 numbers, where the device has several (default: jax's)."""
    compile_cache: bool = True
    """Keep compiled programs between runs."""
    devices: Annotated[int, Range(1, 10_000)] | None = None
    """Devices that share the work (default: one; as many CPU cores as divide several runs; with --distributed all)."""
    shard: Literal["envs", "seeds"] | None = None
    """What the devices share: the environments of each run, or the runs (default: the runs, where there are several)."""
    distributed: bool = False
    """Join the other processes of this run first; on SLURM and the like they are found, else see docs."""

    def check(self) -> None:
        """Refuse options that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        if not self.env:
            raise RLJaxError("which environment? Add --env NAME, such as --env CartPole-v1 ('rl-jax list' shows all)")
        check_fields(self)
        if self.seed + self.seeds > 2**32:
            raise RLJaxError(f"--seed takes 0 to {2**32 - self.seeds} with --seeds {self.seeds}, not {self.seed}")


@dataclass(frozen=True)
class Evaluate:
    """Play whole episodes with a trained agent; statistics stay as they were saved."""

    run: Annotated[Path, Positional]
    """Run folder."""
    episodes: Episodes = 128
    """Episodes."""
    max_steps: Count | None = None
    """Steps after which an episode is left unfinished, and counts with what it has earned (default: the time limit, or 10,000)."""
    stochastic: bool = False
    """Sample actions instead of taking the most probable."""
    checkpoint: Checkpoint = "last"
    """last, best, or a number of steps."""
    seed: Annotated[int, Range(0, 2**30 - 1)] = 0
    """Seed of the evaluation; training's keys are never used."""
    quiet: bool = False
    """Print the last line only."""


@dataclass(frozen=True)
class Render:
    """Make a GIF (gymnax, grids, environments that draw themselves) or an HTML page (brax) of one episode."""

    run: Annotated[Path, Positional]
    """Run folder."""
    out: Path | None = None
    """File (default: episode.gif or episode.html in the run folder)."""
    checkpoint: Checkpoint = "last"
    """last, best, or a number of steps."""
    stochastic: bool = False
    """Sample actions instead of taking the most probable."""
    seed: Seed = 0
    """Seed of the episode."""
    max_steps: Annotated[int, Range(1, 100_000)] = 1000
    """Longest episode to draw."""
    fps: Annotated[float, Range(0.01, 50)] | None = None
    """Pictures per second of a GIF (default: the environment's own rate)."""
    every: Count = 1
    """Draw every n-th step and the last: a shorter GIF, which plays faster at the same --fps."""
    tapes: Annotated[int, Range(1, 1000)] | None = None
    """Print so many episodes of a token world instead, as the next train step sees them: who wrote what, reward and advantage."""


@dataclass(frozen=True)
class Record:
    """Play with a trained agent and keep every step, as a data set that agents can learn from (--data)."""

    run: Annotated[Path, Positional]
    """Run folder, of whose seeds the first one's agent plays."""
    out: Path | None = None
    """New folder of the data set (default: data in the run folder)."""
    steps: Annotated[int, Range(1, 10**10)] = 100_000
    """Steps to record; what still runs then is cut there, and counts as truncated."""
    num_envs: Annotated[int, Range(1, 1_000_000)] = 10
    """Environments side by side, each of which records as many steps."""
    checkpoint: Checkpoint = "last"
    """last, best, or a number of steps; an early one is a poor demonstrator."""
    greedy: bool = False
    """Take the most probable action instead of sampling."""
    epsilon: Annotated[float, Range(0, 1)] = 0.0
    """Probability of a random action instead."""
    noise: Annotated[float, Range(0, 10)] = 0.0
    """Standard deviation of noise on actions within bounds, in units of half their range."""
    seed: Seed = 0
    """Seed of the recording."""
    quiet: bool = False
    """Print the last line only."""


@dataclass(frozen=True)
class Plot:
    """Draw learning curves of several runs; runs that differ in their seeds alone are one curve with an interval."""

    runs: Annotated[tuple[Path, ...], Positional]
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
    """Show agents and environments, or what one environment is."""

    what: Annotated[str, Positional] = "all"
    """all, agents, envs, the name of one, or a part of names, such as brax."""
    spaces: bool = True
    """Show what is observed and done, besides the names."""


@dataclass(frozen=True)
class Bench:
    """Measure how fast everything is on this machine: one table, bench.json and plots."""

    suites: Annotated[tuple[str, ...], Positional] = ()
    """Suites (default: all): envs, rollout, update, train, replay, start, scale-envs, scale-length, scale-seeds, scale-width,
    scale-replay, scale-devices."""
    out: Path = Path("bench")
    """Folder of bench.json and the plots."""
    seconds: Annotated[float, Range(1e-3, 3600)] = 2.0
    """Seconds of measuring per row."""
    minutes: Annotated[float, Range(1e-6, 1e6)] | None = None
    """Begin no further row after so many minutes (default: run all)."""
    profile: bool = False
    """Record a profile of each row of the suite train, for XProf or Perfetto."""
    small: bool = False
    """Tiny sizes, to try the machinery; the figures mean nothing."""
    quiet: bool = False
    """Print the table only."""


@dataclass(frozen=True)
class Reproduce:
    """Run published claims again, each over many seeds, with a verdict by one rule for all."""

    recipes: Annotated[tuple[str, ...], Positional] = ()
    """Recipes: their names, or files of your own."""
    study: str | None = None
    """Run every recipe of a study, whose arms are run once: its name, or the file studies/NAME.py of your own."""
    list: bool = False
    """Show all recipes with the committed verdicts, by study."""
    all: bool = False
    """Run every recipe."""
    quick: bool = False
    """Run a small slice of a few arms on two seeds, to try the machinery; nothing is judged."""
    out: Path = Path("runs/reproduce")
    """Folder of the results: RECIPE/result.json and RECIPE/plot.png."""
    fresh: bool = False
    """Run all arms again, also those that an interrupted start with the same command has finished."""
    verdict_only: bool = False
    """Run nothing: judge the committed results' values again, by today's rule."""
    record: bool = False
    """Also write the result and plot into the repository; an attempt before it is kept."""
    compile_cache: bool = True
    """Keep compiled programs between runs."""
    quiet: bool = False
    """Print the verdicts only."""
