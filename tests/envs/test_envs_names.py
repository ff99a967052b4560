"""Names of environments, the probes behind some of them, and what is said about names and options that do not fit."""

import sys

import jax
import jax.numpy as jnp
import pytest

from rl_jax import envs
from rl_jax.envs import adapt, check_env, make
from rl_jax.errors import ProtocolError, RLJaxError


def play(name, policy, seed=0, **options):
    """Rewards and the last step of one episode under ``policy(obs) -> action``."""
    env = make(name, **options)
    state, obs = env.reset(jax.random.key(seed), ())
    rewards = []
    for _ in range(20):
        step = env.step(jax.random.key(9), state, jnp.asarray(policy(obs)), ())
        rewards.append(float(step.reward))
        state, obs = step.state, step.obs
        if step.terminated or step.truncated:
            return rewards, step
    raise AssertionError("the episode did not end")


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_probes_pay_what_they_promise(seed):
    assert play("probe/constant-reward", lambda obs: 0, seed)[0] == [1.0]
    assert play("probe/discount", lambda obs: 0, seed)[0] == [0.0, 1.0]
    assert play("probe/action-choice", lambda obs: 1, seed)[0] == [1.0]
    assert play("probe/action-choice", lambda obs: 0, seed)[0] == [-1.0]
    assert play("probe/observed-action", lambda obs: int(obs[0] > 0), seed)[0] == [1.0]
    assert play("probe/continuous-action", lambda obs: [2.0], seed)[0] == [0.0]
    assert play("probe/multi-discrete", lambda obs: [2, 0] if obs[0] > 0 else [0, 1], seed)[0] == [1.0]
    seen: list = []
    assert play("probe/observed-reward", lambda obs: seen.append(obs) or 0, seed)[0] == [float(seen[0][0])]
    cues: list = []
    remembered = play("probe/memory", lambda obs: cues.append(float(obs[0])) or int(cues[0] > 0), seed, delay=3)[0]
    assert remembered == [0.0] * 4 + [1.0] and cues[1:] == [0.0] * 4
    rewards, last = play("probe/truncation", lambda obs: 0, seed)
    assert rewards == [1.0] * 4 and last.truncated and not last.terminated


@pytest.mark.parametrize(
    ("wrong", "offered"),
    [
        ("CartPole-v2", "CartPole-v1"),
        ("cartpole-v1", "CartPole-v1"),
        ("Breakout", "Breakout-MinAtar"),
        ("ant", "brax/ant"),
        ("probe/memry", "probe/memory"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(wrong, offered):
    with pytest.raises(RLJaxError, match=f"no environment '{wrong}'; did you mean {offered}"):
        make(wrong)


def test_names_are_made_by_their_options(monkeypatch):
    assert make("DeepSea-bsuite", size=5).observation_space(make("DeepSea-bsuite", size=5).default_params).shape == (
        5,
        5,
    )
    assert make("CartPole-v1", time_limit=9).time_limit == 9
    with pytest.raises(RLJaxError, match=r"CartPole-v1 cannot be made with the options \{'wheels': 4\}"):
        make("CartPole-v1", wheels=4)

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("gymnax.utils.load_mnist.load_mnist", offline)
    with pytest.raises(RLJaxError, match=r"MNIST files.*no network.*train-images-idx3-ubyte.gz"):
        make("MNISTBandit-bsuite")


def test_own_environments_are_registered_or_imported(tmp_path, monkeypatch):
    def own(delay=1):
        return make("probe/memory", delay=delay), {"task": 3}

    monkeypatch.setattr("rl_jax.envs.registry._registered", {})
    envs.register("my/task", own)
    assert "my/task" in envs.names() and make("my/task") is make("my/task")
    assert make("my/task").default_params == {"task": 3} and make("my/task", delay=4) is not make("my/task")
    with pytest.raises(RLJaxError, match="already an environment 'my/task'"):
        envs.register("my/task", own)

    (tmp_path / "my_lines.py").write_text("from tests_line import Line\n")
    (tmp_path / "my_probe.py").write_text(
        "from rl_jax.envs import make\ndef maze(delay=1):\n    return make('probe/memory', delay=delay)\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    assert make("my_probe:maze", delay=2).steps == 4
    with pytest.raises(RLJaxError, match=r"has no 'labyrinth'; it has maze$"):
        make("my_probe:labyrinth")
    with pytest.raises(RLJaxError, match=r"has no 'MAZES'; did you mean maze\?$"):
        make("my_probe:MAZES")
    with pytest.raises(RLJaxError, match="no module 'my_nothing'"):
        make("my_nothing:maze")
    with pytest.raises(RLJaxError, match="it needs the module 'tests_line'"):
        make("my_lines:Line")
    with pytest.raises(RLJaxError, match=r"cannot be made with the options \{'wheels': 4\}"):
        make("my_probe:maze", wheels=4)


@pytest.mark.slow
def test_brax_mistakes_name_their_mending():
    with pytest.raises(RLJaxError, match="backend 'warp'; choose one of generalized"):
        make("brax/fast", backend="warp")
    check_env(make("brax/swimmer"))  # its fluid forces name an argument that jax has dropped: mended on import
    with pytest.raises(RLJaxError, match="did you mean brax/hopper"):
        make("brax/hoper")
    with pytest.raises(RLJaxError, match="gravitation"):
        env = make("brax/reacher")
        jax.eval_shape(env.reset, jax.random.key(0), {"gravitation": jnp.zeros(3)})
    from brax.envs import create

    with pytest.raises(ProtocolError, match=r"AutoResetWrapper.*env\.unwrapped"):
        adapt(create("fast"))
    assert adapt(create("fast").unwrapped).name == "brax/fast"
