"""Checkpoints: whole or not there, the newest and the best kept, nothing read that is not what was written."""

import errno
import json
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from rl_jax.errors import RLJaxError
from rl_jax.run.devices.tree_io import digest
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.manifests import Damaged
from rl_jax.run.storage.provenance import Mismatch


def state_of(value, width=3):
    """A state with everything that states have: parameters, typed keys of two shapes, whole numbers, flags, empty parts."""
    return {
        "params": {"w": jnp.full((width, 2), value, jnp.float32), "half": jnp.full((2,), value, jnp.bfloat16)},
        "key": jax.random.key(int(value)),
        "keys": jax.random.split(jax.random.key(int(value)), 4),
        "count": (jnp.uint32(2**32 - 1), jnp.int32(-int(value))),
        "done": jnp.asarray([True, False]),
        "nothing": (),
        "empty": jnp.zeros((4, 0), jnp.float32),
    }


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
    assert digest(a) == digest(b)


@pytest.fixture
def three(tmp_path):
    """Checkpoints 0, 10 and 20."""
    checkpoints = Checkpoints(tmp_path, keep=5)
    for step in (0, 10, 20):
        checkpoints.save(step, state_of(step))
    return checkpoints


def test_round_trip_with_typed_keys(tmp_path):
    state = state_of(3.0)
    Checkpoints(tmp_path).save(7, state)
    shape = jax.eval_shape(lambda: state)
    found = Checkpoints(tmp_path).restore(7, shape)
    assert_same(found, state)
    assert jax.dtypes.issubdtype(found["key"].dtype, jax.dtypes.prng_key)
    assert jax.random.uniform(found["key"]) == jax.random.uniform(state["key"])


def test_a_number_of_python_is_kept_and_anything_else_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"count": 3, "rate": 0.5, "on": True})
    restored = checkpoints.restore(1, {"count": 0, "rate": 0.0, "on": False})
    assert (int(restored["count"]), float(restored["rate"]), bool(restored["on"])) == (3, 0.5, True)
    with pytest.raises(RLJaxError, match=r"holds a str at \['name'\].*static field"):
        checkpoints.save(2, {"name": "first"})
    assert checkpoints.steps() == [1]


def test_digest_knows_values_shapes_and_dtypes():
    x = np.arange(6, dtype=np.float32)
    others = [x + 1e-6, x.reshape(2, 3), x.astype(np.int32), [x, x], -x]
    assert len({digest(jax.tree.map(jnp.asarray, other)) for other in [x, *others]}) == len(others) + 1
    assert digest(jnp.asarray(x)) == digest(jnp.asarray(x.copy()))
    assert digest(jnp.float32(0.0)) != digest(jnp.float32(-0.0))


def test_newest_and_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, score in ((0, None), (10, 1.0), (20, 5.0), (30, 2.0), (40, None), (50, 3.0)):
        checkpoints.save(step, state_of(step), score)
    assert checkpoints.steps() == [20, 40, 50]
    assert checkpoints.best() == 20
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["20", "40", "50"]
    checkpoints.save(60, state_of(60), 5.0)  # the newer one of equals
    assert checkpoints.best() == 60 and checkpoints.steps() == [50, 60]


def test_without_scores_there_is_no_best(three):
    assert three.best() is None and three.steps() == [0, 10, 20]


def test_a_checkpoint_is_replaced(three):
    three.save(20, state_of(21.0))
    assert_same(three.restore(20, state_of(0.0)), state_of(21.0))


def test_what_a_kill_cut_off_does_not_count_and_is_cleaned(three, tmp_path):
    # Killed while orbax wrote, and killed between orbax and the manifest.
    (tmp_path / "checkpoints" / "30.orbax-checkpoint-tmp").mkdir()
    with ocp.StandardCheckpointer() as writer:
        writer.save(tmp_path / "checkpoints" / "30", {"x": jnp.zeros(2)})
    (tmp_path / "manifests" / "30.part").write_text('{"score": ')
    assert three.steps() == [0, 10, 20]
    with pytest.raises(RLJaxError, match="no checkpoint 30; it has: 0, 10, 20"):
        three.restore(30, state_of(0.0))
    three.save(40, state_of(40.0))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0", "10", "20", "40"]
    three.save(30, state_of(30.0))
    assert_same(three.restore(30, state_of(0.0)), state_of(30.0))


def test_every_file_that_is_cut_short_is_noticed(three, tmp_path):
    folder = tmp_path / "checkpoints" / "20"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    assert len(files) >= 5
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(RLJaxError, match=r"20 is damaged .*checksums.*the others are 0, 10"):
            three.restore(20, state_of(0.0))
        path.write_bytes(content)
    files[0].unlink()
    with pytest.raises(RLJaxError, match="damaged"):
        three.restore(20, state_of(0.0))
    assert_same(three.restore(10, state_of(0.0)), state_of(10.0))
    assert three.first_whole() == 10


def test_one_changed_bit_is_noticed(three, tmp_path):
    path = max((tmp_path / "checkpoints" / "20").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RLJaxError, match="damaged"):
        three.restore(20, state_of(0.0))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"score": 1.0}', "null"])
def test_a_damaged_manifest_is_reported(three, tmp_path, text):
    (tmp_path / "manifests" / "0.json").write_text(text)
    with pytest.raises(RLJaxError, match=r"0 is damaged .*manifest cannot be read.*the others are 10, 20"):
        three.restore(0, state_of(0.0))
    # The others do not mind.
    assert three.first_whole() == 20 and three.best() is None
    three.save(30, state_of(30.0), 1.0)
    assert three.best() == 30


def test_a_manifest_is_that_of_its_step_and_as_it_was_written(three, tmp_path):
    folder = tmp_path / "manifests"
    newest = (folder / "20.json").read_text()
    (folder / "20.json").write_text((folder / "10.json").read_text())
    with pytest.raises(Mismatch, match="is of step 10"):
        three.restore(20, state_of(0.0))
    changed = json.loads(newest) | {"score": 1000.0}
    (folder / "20.json").write_text(json.dumps(changed))
    with pytest.raises(Damaged, match="does not match its own checksum"):
        three.restore(20, state_of(0.0))
    del changed["sha256"]
    (folder / "20.json").write_text(json.dumps(changed))
    with pytest.raises(Damaged, match="does not match its own checksum"):
        three.restore(20, state_of(0.0))
    assert three.best() is None and three.first_whole() == 10


def test_foreign_files_are_no_damage_and_stay(three, tmp_path):
    foreign = [
        "checkpoints/.DS_Store",
        "checkpoints/10/.nfs0001",
        "checkpoints/20/Thumbs.db",
        "checkpoints/notes",
        "manifests/.DS_Store",
    ]
    foreign += ["manifests/20.json~", "manifests/notes.json", "manifests/020.json", "manifests/\u00b2.json"]
    for name in foreign:
        (tmp_path / name).write_text("")
    (tmp_path / "checkpoints" / "mine").mkdir()
    (tmp_path / "manifests" / "70.json").mkdir()
    assert three.steps() == [0, 10, 20] and three.first_whole() == 20
    assert_same(three.restore(20, state_of(0.0)), state_of(20.0))
    three.save(30, state_of(30.0))
    assert all((tmp_path / name).exists() for name in (*foreign, "checkpoints/mine", "manifests/70.json"))


def test_checkpoints_by_time_use_up_no_place(tmp_path):
    checkpoints = Checkpoints(str(tmp_path), keep=2)
    for step, score, scheduled in ((0, None, True), (10, 9.0, True), (11, None, False), (20, 1.0, True), (30, 2.0, True)):
        checkpoints.save(step, state_of(step), score, scheduled)
    assert checkpoints.steps() == [10, 20, 30]
    for step in (31, 32, 33):
        checkpoints.save(step, state_of(step), scheduled=False)
    assert checkpoints.steps() == [10, 20, 30, 32, 33]
    checkpoints.save(40, state_of(40), 3.0)
    assert checkpoints.steps() == [10, 30, 40]


def test_a_foreign_structure_is_refused(three):
    others = [state_of(0.0, width=4), {**state_of(0.0), "more": jnp.zeros(1)}, {"params": state_of(0.0)["params"]}]
    changed = state_of(0.0)
    changed["params"]["w"] = changed["params"]["w"].astype(jnp.float16)
    for other in (*others, changed):
        with pytest.raises(RLJaxError, match="belongs to another program"):
            three.restore(20, other)


def test_discard_after(three, tmp_path):
    three.discard_after(10)
    assert three.steps() == [0, 10]
    three.save(15, state_of(15.0))
    assert three.steps() == [0, 10, 15]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0", "10", "15"]


def test_no_folder_is_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "absent").steps() == []
    assert Checkpoints(tmp_path / "absent").best() is None
    with pytest.raises(RLJaxError, match="it has: none"):
        Checkpoints(tmp_path / "absent").restore(0, state_of(0.0))


def test_a_full_disk_is_an_os_error_and_harms_nothing(three, tmp_path, monkeypatch):
    def full(self, *args, **options):
        (tmp_path / "checkpoints" / "30.orbax-checkpoint-tmp").mkdir()
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write 385 bytes: No space left on device [os_error_code='28']")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.StandardCheckpointer, "save", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
            three.save(30, state_of(30.0))
    assert caught.value.errno == errno.ENOSPC
    assert three.steps() == [0, 10, 20]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0", "10", "20"]
    assert_same(three.restore(20, state_of(0.0)), state_of(20.0))
    three.save(30, state_of(30.0))
    assert three.steps() == [0, 10, 20, 30]


def test_manifest_holds_checksums_of_all_files(three, tmp_path):
    manifest = json.loads((tmp_path / "manifests" / "20.json").read_text())
    folder = tmp_path / "checkpoints" / "20"
    assert set(manifest["files"]) == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert len(manifest["arrays"]) == len(jax.tree.leaves(state_of(0.0)))


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        (np.float64(1e300), r"holds float64 at \['a'\], which a program could not read back"),
        (np.zeros(2), "holds float64"),
        (np.arange(3), "holds int64"),
        (np.asarray("x"), "holds <U1"),
        (np.asarray([None]), "holds object"),
        (2**40, r"holds 1099511627776 at \['a'\], which is beyond 32 bits"),
        (-(2**31) - 1, "beyond 32 bits"),
        (1e300, r"holds 1e\+300 at \['a'\], which is beyond 32 bits"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, leaf, says):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(RLJaxError, match=says):
        checkpoints.save(1, {"a": leaf})
    assert checkpoints.steps() == []


@pytest.mark.parametrize("step", [-1, 1.5, None, "3", True, 10**18])
def test_a_step_that_could_not_be_listed_is_refused(tmp_path, step):
    with pytest.raises(RLJaxError, match="a checkpoint's step must be an integer from 0"):
        Checkpoints(tmp_path).save(step, {"a": jnp.zeros(1)})


def test_numbers_of_numpy_and_jax_are_steps_and_scores(tmp_path):
    checkpoints, state = Checkpoints(tmp_path, keep=9), {"a": jnp.zeros(1), "b": math.inf}
    for step, score in ((np.int64(1), np.float32(1)), (2, jnp.float32(3.0)), (np.int32(3), 2), (4, math.nan)):
        checkpoints.save(step, state, score)
    assert checkpoints.steps() == [1, 2, 3, 4]
    assert checkpoints.by_score() == [2, 3, 1]
    with pytest.raises(RLJaxError, match="score must be a number or None, not 'high'"):
        checkpoints.save(5, state, "high")
