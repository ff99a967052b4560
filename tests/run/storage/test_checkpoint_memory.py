"""Large replay buffers: saved and restored in pieces, whole or not at all, and refused where memory cannot hold them."""

import errno
import json
import math
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import make
from rl_jax.errors import RLJaxError
from rl_jax.replay import Buffer
from rl_jax.run.devices import device_memory
from rl_jax.run.devices.tree_io import digest
from rl_jax.run.storage import checkpoint_files, large_arrays
from rl_jax.run.storage.checkpoint import Checkpoints

ROOT = Path(__file__).resolve().parents[3]


def noise(*shape, dtype=np.uint8, seed=0):
    """Bytes that cannot be compressed, as ``dtype``."""
    size = (*shape[:-1], shape[-1] * np.dtype(dtype).itemsize)
    # jax keeps the array as its own: a copy.
    return jnp.array(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).view(dtype))


def state_of(seed=0):
    """Arrays of many kinds and sizes; those that are large depends on ``in_pieces``."""
    return {
        "frames": noise(50, 3, 7, 5, seed=seed),
        "floats": noise(1, 400, 3, dtype=np.float32, seed=seed),
        "half": noise(2000, dtype=jnp.bfloat16, seed=seed),
        "flags": noise(40, 50, seed=seed) > 128,
        "long": noise(1000, 3, dtype=np.int32, seed=seed),
        "empty yet": jnp.zeros((100, 60)),
        "half full": jnp.zeros((4000,), jnp.int16).at[:1500].set(seed + 1),
        "signed zeros": jnp.full((30, 100), -0.0),
        "keys": jax.random.split(jax.random.key(seed), 500),
        "count": jnp.uint32(seed),
        "none": jnp.zeros((0, 3)),
    }


@pytest.fixture
def in_pieces(monkeypatch):
    """Arrays are large from 2 KB on, and pieces small."""
    monkeypatch.setattr(checkpoint_files, "TOGETHER", 2**11)
    monkeypatch.setattr(large_arrays, "PIECE", 500)


def large_folders(folder, step):
    return sorted(path.name for path in (folder / "checkpoints" / str(step) / "large").glob("*"))


@pytest.mark.slow
def test_arrays_in_pieces_come_back_bit_for_bit(in_pieces, tmp_path):
    state = state_of(3)
    Checkpoints(tmp_path).save(7, state)
    assert len(large_folders(tmp_path, 7)) == 8  # all but the smallest
    found = Checkpoints(tmp_path).restore(7, jax.eval_shape(lambda: state))
    assert jax.tree.structure(found) == jax.tree.structure(state) and digest(found) == digest(state)
    assert np.signbit(found["signed zeros"]).all()
    files = [path for path in (tmp_path / "checkpoints" / "7" / "large").rglob("*") if path.is_file()]
    assert not [path for path in files if "empty_yet" in str(path) and path.name != "zarr.json"]  # zeros take no place


def test_arrays_of_a_device_are_cut_there(in_pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(large_arrays, "_on_host", lambda array: False)
    state = state_of(4)
    Checkpoints(tmp_path).save(7, state)
    assert digest(Checkpoints(tmp_path).restore(7, state)) == digest(state)


@pytest.mark.parametrize(
    ("shape", "itemsize"),
    [((), 8), ((5,), 4), ((2**30,), 4), ((3, 2**24), 1), ((1000, 64, 84, 84), 1), ((4, 1000, 9, 2**20), 1), ((2, 3, 2**23), 4)],
)
def test_pieces_cover_an_array(shape, itemsize):
    piece = large_arrays.piece_shape(shape, itemsize)
    nbytes = math.prod(shape) * itemsize
    assert len(piece) == len(shape) and math.prod(piece) * itemsize <= large_arrays.PIECE
    assert math.prod(piece) * itemsize * 2 > min(nbytes, large_arrays.PIECE) or 1 in piece  # and are no smaller than need be
    if nbytes < 2**31:
        sizes = [math.prod(part.stop - part.start for part in where) for where in large_arrays._pieces(shape, itemsize)]
        assert sum(sizes) == math.prod(shape)


def test_orbax_gets_no_more_than_a_fixed_number_of_bytes():
    sizes = {"a": 2**30, "b": 3 * 2**24, "c": 2**24, "d": 100, "e": 2**25}
    flat = {name: np.broadcast_to(np.uint8(0), size) for name, size in sizes.items()}
    large = checkpoint_files.largest(flat)
    assert large == ["a", "b"] and sum(size for name, size in sizes.items() if name not in large) <= checkpoint_files.TOGETHER


def test_a_state_of_one_large_array(in_pieces, tmp_path):
    state = {"x": noise(3000)}
    Checkpoints(tmp_path).save(0, state)
    assert digest(Checkpoints(tmp_path).restore(0, state)) == digest(state)


def test_checkpoints_of_the_first_version_can_be_read(tmp_path, monkeypatch):
    state = state_of(5)
    Checkpoints(tmp_path).save(3, state)
    path = tmp_path / "manifests" / "3.json"
    manifest = json.loads(path.read_text())
    assert manifest["large"] == [] and not large_folders(tmp_path, 3)
    path.write_text(json.dumps({name: manifest[name] for name in ("score", "files", "arrays")}))
    monkeypatch.setattr(checkpoint_files, "TOGETHER", 2**11)
    assert digest(Checkpoints(tmp_path).restore(3, state)) == digest(state)


def test_damage_to_a_large_array_is_noticed(in_pieces, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, state_of(step))
    folder = tmp_path / "checkpoints" / "2" / "large"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files[:: len(files) // 12]:
        content = path.read_bytes()
        for damaged in (None, content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(RLJaxError, match=r"2 is damaged .*the others are 1"):
                checkpoints.restore(2, state_of())
            path.write_bytes(content)
    more = next(folder.glob("*empty_yet")) / "c" / "0" / "0"  # where a piece of zeros is not
    more.parent.mkdir(parents=True, exist_ok=True)
    more.write_bytes(files[0].read_bytes())
    with pytest.raises(RLJaxError, match="damaged"):
        checkpoints.restore(2, state_of())
    with pytest.raises(RLJaxError, match="belongs to another program"):
        checkpoints.restore(1, {**state_of(), "frames": jnp.zeros((50, 3, 7, 6), jnp.uint8)})
    assert digest(checkpoints.restore(1, state_of())) == digest(state_of(1))


def test_a_disk_that_fills_up_within_a_large_array(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_files, "TOGETHER", 2**20)
    checkpoints, state = Checkpoints(tmp_path), {"frames": noise(30, 2**20), "count": jnp.uint32(3)}
    small = {**state, "frames": jnp.zeros_like(state["frames"])}
    checkpoints.save(1, small)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, limits[1]))  # what a test can fill: one file
    try:
        with pytest.raises(OSError, match=r"a checkpoint takes up to 31\.5 MB") as caught:
            checkpoints.save(2, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert checkpoints.steps() == [1] and [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    assert digest(checkpoints.restore(1, state)) == digest(small)
    checkpoints.save(2, state)
    assert digest(checkpoints.restore(2, state)) == digest(state)


def test_the_next_train_step_reuses_the_memory(in_pieces, tmp_path):
    state = {"frames": noise(50, 3, 7, 5), "count": jnp.uint32(3)}
    step = jax.jit(lambda state: jax.tree.map(lambda x: x.at[..., 0].add(1), state), donate_argnums=0)
    step = step.lower({"frames": state["frames"]}).compile()

    def pointer(state):
        return state["frames"].unsafe_buffer_pointer()

    Checkpoints(tmp_path).save(1, state)
    restored = Checkpoints(tmp_path).restore(1, state)
    for one in (state, restored):
        before = pointer(one)
        after = step({"frames": one["frames"]})
        assert one["frames"].is_deleted() and pointer(after) == before


@pytest.mark.slow
def test_a_kill_while_a_large_array_is_written(tmp_path):
    code = f"""
import sys, jax
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_checkpoint_memory import noise
from rl_jax.run.storage import checkpoint, checkpoint_files
checkpoint_files.TOGETHER = 2**20
checkpoints = checkpoint.Checkpoints(Path(sys.argv[1]), keep=2)
for step in range(1, 1000):
    checkpoints.save(step, {{"frames": noise(40, 2**20, seed=step), "key": jax.random.key(step)}})
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    torn, end = tmp_path / "checkpoints" / "2" / "large", time.monotonic() + 60
    while not torn.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert torn.exists()
    checkpoints = Checkpoints(tmp_path)
    steps = checkpoints.steps()
    like = {"frames": jax.ShapeDtypeStruct((40, 2**20), np.uint8), "key": jax.eval_shape(lambda: jax.random.key(0))}
    for step in steps:
        wanted = {"frames": noise(40, 2**20, seed=step), "key": jax.random.key(step)}
        assert digest(checkpoints.restore(step, like)) == digest(wanted)
    assert steps == [1]  # the second had only begun
    checkpoints.save(3, wanted)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["1", "3"]


@pytest.mark.slow
def test_memory_stays_close_to_the_state(tmp_path):
    """A buffer of 400 MB, full of noise: what saving adds, and what restoring adds to the buffer's own size."""
    script, out = ROOT / "experiments" / "benchmarks" / "checkpoint_memory.py", tmp_path / "out.json"
    command = [
        sys.executable,
        str(script),
        "--transitions",
        "50000",
        "--methods",
        "rl_jax",
        "--contents",
        "noise",
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True)
    outcome = json.loads(out.read_text())
    (row,) = outcome["rows"]
    assert outcome["state_bytes"] > 390e6
    assert row["save_peak_bytes"] < 250e6 and row["restore_peak_bytes"] < 250e6
    assert row["step_peak_bytes"] < 50e6


def with_buffer(capacity, num_envs=4, **options):
    """PPO's agent over a buffer: enough to ask about sizes."""
    trainer = PPOConfig(num_envs=num_envs, rollout_length=8, minibatches=2, hidden=(8,)).trainer(make("CartPole-v1"))
    return trainer.replace(replay=Buffer(capacity=capacity, **options))


@pytest.mark.parametrize("runs", [1, 4])
def test_the_buffer_that_is_offered_fits(runs, monkeypatch):
    monkeypatch.setattr(device_memory, "available", lambda: 2_900_000_000)
    with pytest.raises(RLJaxError) as caught:
        device_memory.check_memory(with_buffer(100_000_000), runs, eval_episodes=4)
    text = str(caught.value)
    several = " for 4 runs" if runs == 4 else ""
    assert re.search(rf"a replay buffer of 100,\d+,\d+ transitions needs [\d.]+ GB{several}, and 2.9 GB are free for it", text)
    offered = int(re.search(r"use --buffer-size (\d+) or fewer$", text)[1])
    device_memory.check_memory(with_buffer(offered), runs, eval_episodes=4)
    with pytest.raises(RLJaxError, match="a replay buffer of"):
        device_memory.check_memory(with_buffer(2 * offered), runs)


def test_the_whole_buffer_counts(monkeypatch):
    trainer = with_buffer(100_000)
    need = device_memory.Need.of(trainer)
    rest = need.fixed + 4 * (need.env + 8 * need.step)
    size = trainer.replay.plan(trainer.spec()).bytes
    assert size > 100_000 * (4 * 4 + 4 + 4 + 4)  # observation, action, reward, episode
    monkeypatch.setattr(device_memory, "available", lambda: int(2 * (rest + size)) + 1)
    device_memory.check_memory(trainer, num_runs=2)
    monkeypatch.setattr(device_memory, "available", lambda: int(2 * (rest + size)) - 1)
    with pytest.raises(RLJaxError, match="--buffer-size 65536"):
        device_memory.check_memory(trainer, num_runs=2)


def test_other_ways_out_where_no_buffer_fits(monkeypatch):
    monkeypatch.setattr(device_memory, "available", lambda: 200_000)
    with pytest.raises(RLJaxError, match=r"--seeds \d+$"):
        device_memory.check_memory(with_buffer(100, finals=1.0, batch_size=1), num_runs=60)
    monkeypatch.setattr(device_memory, "available", lambda: 3_500)
    with pytest.raises(RLJaxError, match=r"a replay buffer of .* use smaller --num-envs"):
        device_memory.check_memory(with_buffer(10_000, batch_size=1), num_runs=1)


def test_sizes_that_only_fit_the_true_rollout():
    """Periods are compared with the run's rollout length, not with the one that memory is measured on."""
    device_memory.check_memory(with_buffer(1000, length=24, period=24), num_runs=1)
    device_memory.check_memory(with_buffer(1000, period=1), num_runs=1)


def test_what_a_replay_takes_in_words():
    trainer = with_buffer(1_000_000)
    plan = trainer.replay.plan(trainer.spec())
    each = round(plan.bytes / plan.capacity)
    words = f"replay: {plan.capacity:,} transitions, {each} bytes each, {device_memory.human_bytes(plan.bytes)}"
    assert device_memory.replay_text(trainer, 1) == words
    assert device_memory.replay_text(trainer, 8) == f"{words}; {device_memory.human_bytes(8 * plan.bytes)} for 8 runs"
    assert device_memory.replay_text(PPOConfig().trainer(make("CartPole-v1")), 1) is None


def test_copies_of_files_do_not_count_as_used(tmp_path):
    for name, text in {"max": "1000\n", "current": "900\n", "stat": "anon 100\ninactive_file 700\nactive_file 50\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert device_memory._cgroup_available(tmp_path) == 800
