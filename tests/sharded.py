"""Run by tests/run/devices/test_devices.py with eight devices: one job on one of them and on all; prints how far apart they end."""

import functools
import json
import math
import re

import jax
import numpy as np

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.experience import chain
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.placement import Devices, Layout, on_host
from rl_jax.run.devices.run_programs import ProgramSpec
from rl_jax.run.devices.tree_io import key_to_words

PPO = {"num_envs": 16, "rollout_length": 8, "epochs": 2, "minibatches": 2, "hidden": (8,)}
REPLAY = {"num_envs": 8, "buffer_size": 400, "batch_size": 16, "learning_starts": 32, "hidden": (8,)}
SAC = REPLAY | {"random_steps": 32}
#: Agent, environment, options, what is split, seeds, train steps, whether it is evaluated: once of each layout.
CASES = {
    "ppo envs": ("ppo", "CartPole-v1", PPO, "envs", 1, 3, False),
    "ppo envs of two seeds": ("ppo", "CartPole-v1", PPO, "envs", 2, 3, True),
    "ppo seeds": ("ppo", "CartPole-v1", PPO, "seeds", 8, 3, True),
    "ppo gru": ("ppo", "CartPole-v1", PPO | {"memory": "gru", "memory_width": 8}, "envs", 1, 3, False),
    "sac envs": ("sac", "Pendulum-v1", SAC, "envs", 1, 8, False),
}


@functools.cache
def compiled_job(case, devices):
    """The compiled runs of a case on ``devices`` devices."""
    agent, env, options, shard, seeds, *_ = CASES[case]
    trainer = CONFIGS[agent](**options).trainer(rl.make(env), time_limit=20)
    job = CompiledRuns(trainer, list(range(seeds)), 100_000, 8, devices=Devices.choose(devices, shard))
    job.compile()
    return job


def end(case, devices):
    """All leaves of the state, the metrics and the evaluation of a job that was trained on ``devices`` devices."""
    job, (updates, evaluated) = compiled_job(case, devices), CASES[case][-2:]
    state, metrics = job.advance(job.init(), updates)
    where = {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)}
    leaves = {
        jax.tree_util.keystr(path): on_host(key_to_words(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
    bytes_here = sum(leaf.addressable_shards[0].data.nbytes for leaf in map(key_to_words, jax.tree.leaves(state)))
    evaluation = {"evaluation": job.evaluate(state, 1).returns} if evaluated else {}
    return {**leaves, **metrics, **evaluation}, where, bytes_here


def compare(case):
    one, _, bytes_one = end(case, 1)
    many, where, bytes_many = end(case, 8)
    worst, name_worst, integers = 0.0, "", True
    for name, a in one.items():
        b = many[name]
        assert a.shape == b.shape and a.dtype == b.dtype, name
        if not np.issubdtype(a.dtype, np.floating):
            integers &= bool(np.array_equal(a, b))
        elif a.size:
            scale = max(1.0, float(np.nanmax(np.abs(a))) if np.isfinite(a).any() else 1.0)
            apart = float(np.nanmax(np.abs(a - b))) / scale if np.isfinite(a).any() else 0.0
            assert np.array_equal(np.isnan(a), np.isnan(b)), name
            if apart > worst:
                worst, name_worst = apart, name
    return {"worst": worst, "where": name_worst, "integers": integers, "devices": max(where), "share": bytes_many / bytes_one}


def collectives(program):
    """The numbers of elements that each collective operation of a compiled program moves."""
    sizes = []
    for line in program.as_text().splitlines():
        if found := re.match(
            r"\s*(?:ROOT )?\S+ = (.*?) (?:all-reduce|all-gather|all-to-all|collective-permute)(?:-start)?\(", line
        ):
            shapes = re.findall(r"\w+\[([\d,]*)\]", found[1])
            sizes.append(max(math.prod(int(n) for n in shape.split(",") if n) for shape in shapes))
    return sizes


def meetings(program):
    """The numbers of elements of each array that is summed over devices: a CPU's devices meet once for every one of them."""
    found = []
    for line in program.as_text().splitlines():
        if match := re.match(r"\s*(?:ROOT )?\S+ = (.*?) all-reduce(?:-start)?\(", line):
            found += [math.prod(int(n) for n in shape.split(",") if n) for shape in re.findall(r"\w+\[([\d,]*)\]", match[1])]
    return found


def gradients():
    """What is summed over devices in a train step of each agent that learns from batches, and how many parameters it has."""
    found = {}
    pqn = CompiledRuns(CONFIGS["pqn"](**PPO).trainer(rl.make("CartPole-v1")), [0], 1000, 8, devices=Devices.choose(8, "envs"))
    pqn.compile(fresh=False)
    for agent, job in (("ppo", compiled_job("ppo envs", 8)), ("pqn", pqn), ("sac", compiled_job("sac envs", 8))):
        params = job.state_shape().agent.params
        parts = [params] if agent != "sac" else [params["actor"], params["critics"]]
        sizes = [[math.prod(leaf.shape) for leaf in jax.tree.leaves(part)] for part in parts]
        kernels = [size for part in sizes for size in part if size > REPLAY["batch_size"]]
        found[agent] = {"networks": list(map(sum, sizes)), "kernels": kernels, "sums": meetings(job.program("advance"))}
    return found


def traffic():
    """What is sent between the devices: in a whole rollout, and in train steps with a replay buffer of 4096 transitions."""
    devices = Devices.choose(8, "envs")
    trainer = CONFIGS["ppo"](**PPO, normalize_obs=False, normalize_reward=False).trainer(rl.make("CartPole-v1"), time_limit=20)
    job = CompiledRuns(trainer.replace(experience=chain()), [0], 1000, 8, devices=devices)
    job._compile(
        ProgramSpec(
            "rollout",
            lambda trainer, state: trainer.collect(state)[0],
            (Layout.TRAIN_STATE,),
            Layout.TRAIN_STATE,
            (job.state_shape(),),
        )
    )
    rollout = job._programs["rollout"]
    trainer = CONFIGS["dqn"](**REPLAY | {"buffer_size": 4096}).trainer(rl.make("CartPole-v1"))
    job = CompiledRuns(trainer, [0], 1000, 8, devices=devices)
    job.compile(fresh=False)
    return {"rollout": collectives(rollout), "replay": collectives(job._programs["advance"])}


if __name__ == "__main__":
    print(json.dumps({"traffic": traffic(), "gradients": gradients(), **{case: compare(case) for case in CASES}}))
