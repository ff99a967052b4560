"""Settings and fixtures that all tests share: the CPU, key-reuse checks, a compilation cache, and one small PPO."""

import gc
import os
from pathlib import Path
from typing import NamedTuple

# Before jax starts, and in the environment, so that the processes that tests start are compiled alike and find what is compiled.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_HOME = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rl_jax"
os.environ.setdefault("RL_JAX_CACHE", str(_HOME))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(os.environ["RL_JAX_CACHE"]) / "xla"))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
# Tests compile much and run little. (RL_JAX_TEST_OPTIMIZED=1 runs them on programs as users get them.)
if os.environ.get("RL_JAX_TEST_OPTIMIZED") != "1":
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    # A third of the compile time: the older of XLA's two emitters, few passes, and each program as one module of LLVM's.
    for _flag in (
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_opt_preset=FAST_COMPILE",
        "--xla_cpu_parallel_codegen_split_count=1",
    ):
        if _flag not in os.environ.get("XLA_FLAGS", ""):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_flag}".strip()

import jax  # noqa: E402

# A key that is used twice is an error everywhere in the tests.
jax.config.update("jax_debug_key_reuse", True)

import pytest  # noqa: E402

from rl_jax.agents.configs import PPOConfig  # noqa: E402
from rl_jax.envs import make  # noqa: E402
from rl_jax.loop import Trainer  # noqa: E402

# Small enough to compile fast, big enough to hold episode ends: 4 environments, 8 steps, 2 minibatches.
SMALL = PPOConfig(num_envs=4, rollout_length=8, epochs=2, minibatches=2, hidden=(8,))


#: The files that take longest. They begin first: whoever comes to one last would work on alone.
LONGEST = (
    *("test_devices.py", "test_agents.py", "test_claims.py", "test_traps.py", "test_docs.py", "test_bench.py"),
    *("test_resume.py", "test_notebook.py", "test_precision.py", "test_relic.py", "test_envs.py", "test_transformer.py"),
)


def pytest_collection_modifyitems(items):
    order = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish():
    # What is imported stays: looking through it for garbage takes a tenth of the time in which programs are traced.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_configure(config):
    # Two workers may meet in the cache: whoever reads half a file compiles for itself.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache")


class Run(NamedTuple):
    """A trainer and its compiled functions, so that every test that needs them shares one compilation."""

    trainer: Trainer
    init: object
    train_step: object
    advance: object


def compiled(trainer):
    """The functions of a trainer, jitted with the trainer itself as an argument."""
    # Lambdas of their own: jax keeps one cache per function, and tests count the programs in it.
    return Run(
        trainer,
        jax.jit(lambda trainer, key, num_steps: trainer.init(key, num_steps)),
        jax.jit(lambda trainer, state: trainer.train_step(state)),
        jax.jit(lambda trainer, state, num_updates: trainer.advance(state, num_updates)),
    )


@pytest.fixture(scope="session")
def cartpole():
    """PPO with normalisation on CartPole, cut after 20 steps so that both kinds of episode ends occur."""
    return compiled(SMALL.trainer(make("CartPole-v1"), time_limit=20))


@pytest.fixture(scope="session")
def recurrent():
    """The same with a GRU."""
    config = PPOConfig(num_envs=4, rollout_length=8, epochs=2, minibatches=2, hidden=(8,), memory="gru", memory_width=8)
    return compiled(config.trainer(make("CartPole-v1"), time_limit=12))
