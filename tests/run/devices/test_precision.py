"""Choices of arithmetic and of random generator: what they change, what they leave alone, and that a run keeps to them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import TINY, call, failed

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.run.storage.checkpoint import Checkpoints

DISCRETE = ("ppo", "dqn", "pqn", "r2d2")
CONTINUOUS = ("sac", "td3", "ddpg", "mdpo-off-policy")
SMALL = {"num_envs": 4, "rollout_length": 8, "hidden": (8,)}


def trainer(agent, dtype):
    config = CONFIGS[agent]
    sizes = {name: value for name, value in SMALL.items() if name in config.__dataclass_fields__}
    if "learning_starts" in config.__dataclass_fields__:
        sizes |= {"learning_starts": 8, "buffer_size": 256, "batch_size": 16}
    if "sequence_length" in config.__dataclass_fields__:
        sizes |= {"sequence_length": 4, "burn_in": 0, "period": 2}
    env = "Pendulum-v1" if agent in CONTINUOUS else "CartPole-v1"
    return config(torso_dtype=dtype, **sizes).trainer(rl.make(env))


@pytest.mark.slow
@pytest.mark.parametrize("agent", (*DISCRETE, *CONTINUOUS))
def test_hidden_layers_in_bfloat16(agent):
    """Products are of bfloat16 numbers, where they are asked for, and the parameters are not; they learn."""
    usual, run = trainer(agent, "float32"), trainer(agent, "bfloat16")
    shape = jax.eval_shape(usual.init, jax.random.key(0), 1000)
    assert "bf16" not in str(jax.make_jaxpr(usual._train_step)(shape))
    state = jax.jit(run.init)(jax.random.key(0), 1000)
    program = jax.jit(run.advance).trace(state, jnp.int32(3))
    assert "bf16" in str(program.jaxpr)
    after = program.lower().compile()(state, jnp.int32(3))[0]
    before, after = (jax.tree.leaves(run.params(state)) for state in (state, after))
    assert all(leaf.dtype == jnp.float32 for leaf in after)
    assert all(np.isfinite(leaf).all() for leaf in after)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.slow
def test_values_in_bfloat16_are_nearly_the_same():
    """Within the rounding of 8 bits, for vectors and for images; the outputs are float32."""
    for env in ("CartPole-v1", "Breakout-MinAtar"):
        outputs = {}
        for dtype in ("float32", "bfloat16"):
            run = CONFIGS["ppo"](num_envs=4, rollout_length=8, torso_dtype=dtype).trainer(rl.make(env))
            state = run.init(jax.random.key(0), 1000)
            outputs[dtype] = run.agent.value(state.agent, (), state.collector.boundary.obs, jnp.zeros(4, bool))
        assert outputs["bfloat16"].dtype == jnp.float32
        np.testing.assert_allclose(outputs["bfloat16"], outputs["float32"], rtol=0.05, atol=0.02)


@pytest.mark.slow
def test_another_generator(tmp_path):
    """A run with it differs, is kept in the configuration, continues bit for bit, and continues with no other."""
    options = [*TINY, "--steps", "2048", "--checkpoints", "2", "--quiet"]
    usual = call("train", "ppo", *options, "--out", tmp_path / "usual").result
    whole = call("train", "ppo", *options, "--prng", "rbg", "--out", tmp_path / "whole").result
    assert whole["params_sha256"] != usual["params_sha256"]
    folder = tmp_path / "whole"
    assert json.loads((folder / "config.json").read_text())["run"]["prng"] == "rbg"
    checkpoints = Checkpoints(folder)
    checkpoints.discard_after(checkpoints.steps()[-2])
    (folder / "result.json").unlink()
    failed(call("train", "ppo", "--resume", folder, "--prng", "threefry2x32"), "--prng threefry2x32", "was rbg")
    again = call("train", "ppo", "--resume", folder, "--quiet")
    assert again.status == 0, again.err
    assert again.result["params_sha256"] == whole["params_sha256"]
    played = call("evaluate", folder, "--episodes", "4")
    assert played.status == 0, played.err
    seeds = call("train", "ppo", *options, "--prng", "rbg", "--seeds", "3", "--out", tmp_path / "three")
    assert seeds.status == 0, seeds.err


@pytest.mark.slow
def test_runs_of_before_the_option_continue(tmp_path):
    """Their configuration does not name a generator: it is the default one."""
    options = [*TINY, "--steps", "1024", "--quiet"]
    call("train", "ppo", *options, "--out", tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    content = json.loads(path.read_text())
    for name in ("prng", "matmul_precision"):
        del content["run"][name]
    path.write_text(json.dumps(content))
    outcome = call("train", "ppo", "--resume", tmp_path / "old", "--quiet")
    assert outcome.status == 0, outcome.err


@pytest.mark.slow
def test_precision_of_products_is_recorded(tmp_path):
    before = jax.config.jax_default_matmul_precision
    try:
        call("train", "ppo", *TINY, "--steps", "128", "--matmul-precision", "bfloat16", "--quiet", "--out", tmp_path / "run")
        assert json.loads((tmp_path / "run" / "metadata.json").read_text())["matmul_precision"] == "bfloat16"
        assert jax.config.jax_default_matmul_precision == "bfloat16"
    finally:
        jax.config.update("jax_default_matmul_precision", before)
    failed(call("train", "ppo", *TINY, "--matmul-precision", "half"), "--matmul-precision", "bfloat16")
