"""Memory and seconds of checkpoints of a large replay buffer, beside those of orbax alone.

    python experiments/benchmarks/checkpoint_memory.py

The state is a buffer of images, 84 x 84 x 1 of ``uint8``, as ``Buffer.init`` makes it, and a typed key. It is saved empty, and
full of noise, which cannot be compressed. Every save and every restore is a process of its own. Its largest resident size is
counted above what it had when it began: all that a save adds, and what a restore adds beyond the state itself. The step is the
first change of the restored state by a program that may reuse its memory, as a train step does.

``orbax`` is ``StandardCheckpointer``; ``orbax in chunks`` is its handler with chunks of 8 MiB, each a file. Neither computes
checksums; rl_jax does, and its seconds include them.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from rl_jax.replay import Buffer
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.training.train import device_text
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Rollout, Spec

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench_checkpoint_memory.json"
METHODS, CONTENTS = ("rl_jax", "orbax", "orbax in chunks"), ("empty", "noise")
ENVS, STEPS, IMAGE = 64, 8, (84, 84, 1)


def build(transitions: int) -> Any:
    """An empty buffer of so many transitions, and a key."""

    def rollout() -> Rollout:
        zeros = jnp.zeros((STEPS, ENVS))
        flag = zeros > 0
        obs, action = jnp.zeros((STEPS, ENVS, *IMAGE), jnp.uint8), zeros.astype(jnp.int32)
        return Rollout(obs, action, zeros, flag, flag, flag, obs, (), (), (), {}, {}, None, None)  # type: ignore[arg-type]

    space = Box.of(0, 255, IMAGE, jnp.uint8)
    spec = Spec(space, Discrete(4), ENVS, STEPS, jax.eval_shape(rollout))
    return {"replay": Buffer(capacity=transitions).init(jax.random.key(0), spec), "key": jax.random.key(1)}


def size(state: Any) -> int:
    """Bytes of all arrays."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)


def with_noise(state: Any) -> Any:
    """The same with noise for images."""
    ring = state["replay"].ring
    obs, random = ring.obs, np.random.default_rng(0)
    put = jax.jit(lambda obs, row, rows: jax.lax.dynamic_update_slice_in_dim(obs, rows[None], row, 0), donate_argnums=0)
    for row in range(len(obs)):  # in place, so that nothing is left behind that a save could take again
        obs = put(obs, row, random.integers(0, 256, obs.shape[1:], dtype=np.uint8))
    return {**state, "replay": state["replay"].replace(ring=ring.replace(obs=obs))}


class Orbax:
    """Orbax alone, with the methods of ``Checkpoints``."""

    def __init__(self, folder: Path, chunk: int | None):
        self._folder, self._chunk = folder, chunk

    def _checkpointer(self) -> Any:
        if self._chunk is None:
            return ocp.StandardCheckpointer()
        return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_zarr3=True))

    def save(self, step: int, state: Any) -> None:
        """Write all arrays."""
        state = {**state, "key": jax.random.key_data(state["key"])}
        with self._checkpointer() as writer:
            if self._chunk is None:
                writer.save(self._folder / str(step), state)
            else:
                chunks = jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=self._chunk), state)
                writer.save(self._folder / str(step), args=ocp.args.PyTreeSave(state, save_args=chunks))

    def restore(self, step: int, like: Any) -> Any:
        """Read all arrays."""
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        like = {**like, "key": jax.eval_shape(jax.random.key_data, like["key"])}
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), like)
        with self._checkpointer() as reader:
            if self._chunk is None:
                return reader.restore(self._folder / str(step), like)
            places = jax.tree.map(lambda x: ocp.ArrayRestoreArgs(sharding=place), like)
            return reader.restore(self._folder / str(step), args=ocp.args.PyTreeRestore(item=like, restore_args=places))


def resident(name: str) -> int:
    """Bytes in memory now (``VmRSS``), or at most since the last reset (``VmHWM``)."""
    words = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(words[name].split()[0]) * 1024


def measured(name: str, action: Any) -> tuple[Any, dict[str, float]]:
    """What ``action`` returns, the bytes that it added at its peak, and its seconds."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    result = jax.block_until_ready(action())
    seconds = {f"{name}_seconds": time.perf_counter() - start, f"{name}_cpu_seconds": time.process_time() - cpu}
    return result, {f"{name}_peak_bytes": resident("VmHWM") - before, **seconds}


def one(what: str, method: str, content: str, folder: Path, transitions: int) -> dict[str, float]:
    """Save or restore, in this process."""
    if method == "rl_jax":
        checkpoints: Any = Checkpoints(folder)
    else:
        checkpoints = Orbax(folder, None if method == "orbax" else 2**23)
    (folder / f"warm_{what}").mkdir(parents=True, exist_ok=True)
    warm = Checkpoints(folder / f"warm_{what}")  # what orbax needs for itself at its first use
    warm.save(0, {"x": jnp.zeros(3)})
    warm.restore(0, {"x": jnp.zeros(3)})
    if what == "save":
        state = build(transitions)
        state = jax.block_until_ready(with_noise(state) if content == "noise" else state)
        return measured("save", lambda: checkpoints.save(1, state))[1]
    like = jax.eval_shape(lambda: build(transitions))
    restored, found = measured("restore", lambda: checkpoints.restore(1, like))
    found["restore_peak_bytes"] -= size(like)
    step = jax.jit(lambda x: x.at[0].add(1), donate_argnums=0).lower(restored["replay"].ring.obs).compile()
    return found | measured("step", lambda: step(restored["replay"].ring.obs))[1]


def main(transitions: int, methods: list[str], contents: list[str], out: Path) -> None:
    """Measure each in processes of its own, print and record."""
    rows = []
    for method in methods:
        for content in contents:
            with tempfile.TemporaryDirectory() as folder:
                row: dict[str, Any] = {"method": method, "content": content}
                for what in ("save", "restore"):
                    arguments = [what, method, content, folder, str(transitions)]
                    command = [sys.executable, __file__, "--one", *arguments]
                    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                    row |= json.loads(done.stdout.splitlines()[-1])
                    if what == "save":
                        files = [path for path in Path(folder).rglob("*") if path.is_file()]
                        row["disk_bytes"] = sum(path.stat().st_size for path in files)
                rows.append(row)
                print(row, file=sys.stderr)
    outcome = {
        "experiment": "bench_checkpoint_memory",
        "device": device_text(),
        "transitions": transitions,
        "state_bytes": size(jax.eval_shape(lambda: build(transitions))),
        "rows": rows,
    }
    out.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps(outcome))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transitions", type=int, default=200_000, help="capacity of the buffer")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="what is measured")
    parser.add_argument("--contents", nargs="+", choices=CONTENTS, default=list(CONTENTS), help="of the buffer")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the result")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        action, by, filled, place, number = given.one
        print(json.dumps(one(action, by, filled, Path(place), int(number))))
    else:
        main(given.transitions, given.methods, given.contents, given.out)
