"""Many devices and several processes give what one gives."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import TINY, call, failed, rows, start, wait

from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import make
from rl_jax.errors import RLJaxError
from rl_jax.loop.sharding import check_divides, env_axes
from rl_jax.ops import per_device, with_sharding
from rl_jax.run.devices import distributed
from rl_jax.run.storage.checkpoint import Checkpoints

#: Floats of a state, relative to the largest of its array, after the few train steps of tests/sharded.py.
TOLERANCE = 1e-5


# -------------------------------------------------------------------------------------------------- eight devices


@pytest.fixture(scope="module")
def eight():
    """What tests/sharded.py finds; eight devices must be there before jax starts, so it has a process of its own."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    env = {**os.environ, "XLA_FLAGS": flags}
    command = [sys.executable, str(Path(__file__).parents[2] / "sharded.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["ppo envs", "ppo envs of two seeds", "ppo seeds", "ppo gru", "sac envs"])
def test_eight_devices_end_where_one_does(eight, agent):
    found = eight[agent]
    assert found["devices"] == 8
    assert found["integers"], "keys, counters, marks and actions are the same bit for bit"
    assert found["worst"] < TOLERANCE, found["where"]


@pytest.mark.slow
def test_every_device_has_its_share(eight):
    """Runs are split in whole; of a run's state, replay and environments are, and parameters are not."""
    assert eight["ppo seeds"]["share"] == 1 / 8
    assert eight["sac envs"]["share"] < 0.3


@pytest.mark.slow
def test_devices_do_not_talk_while_acting(eight):
    """A rollout, with its resets and bootstraps, is each device's own; of a replay buffer, batches travel and nothing else."""
    assert eight["traffic"]["rollout"] == []
    assert eight["traffic"]["replay"]
    assert max(eight["traffic"]["replay"]) <= 128


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["ppo", "pqn", "sac"])
def test_a_gradient_crosses_as_one_array(eight, agent):
    """Each network's gradient is one sum over the devices, and none of its kernels' is another."""
    sums, kernels, networks = (eight["gradients"][agent][name] for name in ("sums", "kernels", "networks"))
    assert [sums.count(size) for size in networks] == [1] * len(networks)
    assert not set(sums) & set(kernels)


# ------------------------------------------------------------------------------------------------ several processes


TWO = [*TINY, "--epochs", "1", "--minibatches", "2"]
#: A process that is killed when it has advanced four times, past the first checkpoint.
KILLED = """
import os, signal
from rl_jax.run.devices.compiled_runs import CompiledRuns
advance, calls = CompiledRuns.advance, []
def fourth(*args, **options):
    calls.append(1)
    if len(calls) > 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(*args, **options)
CompiledRuns.advance = fourth
"""


def two(*args, lost=None):
    """Two processes of one run; one of them may be killed on its way."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    same = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    return [
        start("train", "ppo", *args, "--distributed", first=KILLED if i == lost else "pass", **same, JAX_PROCESS_ID=str(i))
        for i in range(2)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process with two devices."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    outcome = wait(start("train", "ppo", *TWO, "--devices", "2", "--out", folder, XLA_FLAGS=flags))
    return outcome.result, rows(folder)


def assert_said(left):
    """A process that is left has said that the other is gone. What jax's threads write at that moment may stand around the line."""
    assert left.status == distributed.LOST_PROCESS, left
    (line,) = [line for line in left.err.splitlines() if "another process of this run is gone" in line]
    assert line.startswith("rl-jax: error: ") and "--resume" in line, left.err


@pytest.mark.slow
def test_two_processes_train_to_the_same_parameters_though_each_is_lost_once(alone, tmp_path):
    """The one that is left ends; the run resumes, twice, and ends as one process's does that was never stopped."""
    folder = tmp_path / "run"
    saved, place = 0, ["--out", folder]
    for lost in (0, 1):
        processes = two(*TWO, *place, lost=lost)
        assert wait(processes[lost]).status == -signal.SIGKILL
        left = wait(processes[1 - lost])
        assert_said(left)
        assert saved < Checkpoints(folder).steps()[-1] < 4096
        saved, place = Checkpoints(folder).steps()[-1], ["--resume", folder]
    outcomes = [wait(process) for process in two(*TWO, *place)]
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert outcomes[0].result["params_sha256"] == alone[0]["params_sha256"]
    assert rows(folder) == alone[1]
    assert "{" not in outcomes[1].out, "the first process alone reports"


@pytest.mark.slow
def test_what_the_first_process_refuses_nobody_waits_for(tmp_path):
    (tmp_path / "file").write_text("not a run")
    first, second = [wait(process, 120) for process in two(*TWO, "--out", tmp_path)]
    failed_line = [line for line in first.err.splitlines() if "error" in line]
    assert first.status == second.status == 2, (first, second)
    assert "exists already" in failed_line[0]
    assert "first process has refused" in second.err


# ------------------------------------------------------------------------------------------------------ mistakes


def test_more_devices_than_there_are(tmp_path):
    jax.devices()  # a process that has not looked yet could still make as many of its CPU
    failed(
        call("train", "ppo", *TINY, "--devices", 64, "--out", tmp_path / "r"), "64", "--devices", "host_platform_device_count"
    )


@pytest.mark.parametrize(("number", "near"), [(10, "8 or 16"), (3, "use 8"), (17, "16 or 24")])
def test_what_devices_cannot_share(number, near):
    with pytest.raises(RLJaxError, match=near):
        check_divides(8, number, "environments")


def test_half_a_meeting_place(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    failed(call("train", "ppo", *TINY, "--distributed", "--out", tmp_path / "r"), "JAX_COORDINATOR_ADDRESS", "JAX_PROCESS_ID")


# --------------------------------------------------------------------------------------------------------- parts


def test_axes_of_environments_are_found():
    trainer = PPOConfig(num_envs=6, rollout_length=6, minibatches=2, hidden=(6,), memory="gru", memory_width=6).trainer(
        make("CartPole-v1")
    )
    axes = env_axes(trainer, 3)
    assert set(jax.tree.leaves(axes.agent)) == {-1}
    assert set(jax.tree.leaves(axes.collector)) == {0}
    assert axes.key == axes.horizon == -1


def test_without_a_mesh_nothing_is_split():
    x = jnp.arange(8.0)
    np.testing.assert_array_equal(per_device(lambda a, b: a + b, x, x), 2 * x)
    assert with_sharding(x, 0) is x
