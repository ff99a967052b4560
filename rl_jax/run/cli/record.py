"""Recording what the agent of a run folder does, as a data set."""

import math
import time
from typing import Any

import jax
import numpy as np

from rl_jax.data import concat, save
from rl_jax.data.files import check_new
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.loop.recording import record
from rl_jax.ops import unrolled_threefry
from rl_jax.run.report.progress import Progress
from rl_jax.run.storage.ownership import check_writable
from rl_jax.run.training.folder import RunFolder
from rl_jax.types import Key, PyTree


def record_run(folder: RunFolder, args: Any) -> dict[str, Any]:
    """Record the agent of the first seed, into a new folder.

    Args:
        folder: the run's.
        args: a :class:`rl_jax.run.options.Record`.

    Returns:
        What is printed as the last line.

    Raises:
        RLJaxError: the folder is there already, there is no such checkpoint, or the environment has shown NaN or infinity.
    """
    out = args.out or args.run / "data"
    check_new(out)
    check_writable(out.parent)
    runs = folder.compiled_runs()
    step, states = folder.state(runs, args.checkpoint)
    length = math.ceil(args.steps / args.num_envs)
    progress, begin = Progress(0, args.quiet), time.perf_counter()

    @jax.jit
    def recorded(trainer: Trainer, state: PyTree, key: Key) -> PyTree:
        return record(trainer, state, key, args.num_envs, length, args.greedy, args.epsilon, args.noise)

    key = unrolled_threefry(jax.random.key(args.seed, impl=runs.prng))
    with progress, progress.busy(f"recording {length:,} steps in each of {args.num_envs} environments"):
        # Compiled, there is room for an episode at every step; joining keeps what there is.
        data = concat([jax.tree.map(np.asarray, recorded(runs.trainer_of(0), runs.state_of(states, 0), key))])
    if not all(x.dtype.kind != "f" or np.isfinite(x).all() for x in jax.tree.leaves((data.obs, data.reward))):
        raise RLJaxError(f"{folder.options.env} has shown NaN or infinity, and nothing was written: look at the environment")
    about = {"env": folder.options.env, "env_args": list(folder.options.env_args)}
    how = {"checkpoint": step, "greedy": args.greedy, "epsilon": args.epsilon, "noise": args.noise, "seed": args.seed}
    save(data, out, **about, run=str(args.run), agent=folder.agent, **how)
    if not args.quiet:
        progress.note(data.summary())
    summary = {"env": folder.options.env, "agent": folder.agent, "steps": data.num_steps, "episodes": data.num_episodes}
    returns = data.returns()
    seconds = round(time.perf_counter() - begin, 3)
    return {**summary, "return": float(returns.mean()), **how, "seconds_run": seconds, "out": str(out)}
