"""MuJoCo Playground (Zakka et al. 2025, https://arxiv.org/abs/2502.08844), the extra ``playground``.

What was read in playground 0.2.0: ``done`` is an end of the task (a fall; in the control suite only numbers that are not finite) and
never a limit, so it is *terminated*; ``config.episode_length`` is counted by Playground's training wrapper, here by the loop, which
truncates. ``config.action_repeat`` is a step of that wrapper too; here it is one of this adapter (all but two environments have 1).
Actions lie in [-1, 1].

Every environment of 0.2.0 asks for the physics ``impl="warp"``, which needs an NVIDIA GPU; here ``impl="jax"`` is the default,
which runs everywhere. Locomotion and manipulation fetch the models of mujoco_menagerie from GitHub when the first is made.

Where the observation has the parts ``"state"`` and ``"privileged_state"``, it is a dictionary: ``"state"``, and ``"privileged"``, which
critics alone read, as in Playground's own training. ``observe`` names one part that is shown instead, as one array.
"""

import copy
import subprocess
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.envs.dtypes import scalar
from rl_jax.envs.suites.foreign import ForeignEnv, raw
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.spaces import PRIVILEGED, Box, Dict
from rl_jax.types import Key, PyTree, Step

_NAMES = """
AcrobotSwingup AcrobotSwingupSparse AeroCubeRotateZAxis AlohaHandOver AlohaSinglePegInsertion ApolloJoystickFlatTerrain BallInCup
BarkourJoystick BerkeleyHumanoidJoystickFlatTerrain BerkeleyHumanoidJoystickRoughTerrain CartpoleBalance CartpoleBalanceSparse
CartpoleSwingup CartpoleSwingupSparse CheetahRun FingerSpin FingerTurnEasy FingerTurnHard FishSwim G1JoystickFlatTerrain
G1JoystickRoughTerrain Go1Footstand Go1Getup Go1Handstand Go1JoystickFlatTerrain Go1JoystickRoughTerrain H1InplaceGaitTracking
H1JoystickGaitTracking HopperHop HopperStand HumanoidRun HumanoidStand HumanoidWalk LeapCubeReorient LeapCubeRotateZAxis Op3Joystick
PandaOpenCabinet PandaPickCube PandaPickCubeCartesian PandaPickCubeOrientation PandaRobotiqPushCube PendulumSwingup PointMass
ReacherEasy ReacherHard SpotFlatTerrainJoystick SpotGetup SpotJoystickGaitTracking SwimmerSwimmer6 T1JoystickFlatTerrain
T1JoystickRoughTerrain WalkerRun WalkerStand WalkerWalk"""
NAMES = tuple(_NAMES.split())
"""Playground's environments."""

_NAMED = {"privileged_state": PRIVILEGED}


def known() -> tuple[str, ...]:
    """All names that the library knows."""
    from mujoco_playground import registry

    return (*registry.dm_control_suite.ALL_ENVS, *registry.locomotion.ALL_ENVS, *registry.manipulation.ALL_ENVS)


def make(short: str, impl: str = "jax", observe: str | None = None, **options: Any) -> tuple[Any, PyTree, dict[str, Any]]:
    """The library's object; ``options`` replace entries of its configuration, such as ``ctrl_dt`` or ``episode_length``."""
    from mujoco_playground import registry

    try:
        return registry.load(short, config_overrides={"impl": impl, **options}), None, {"observe": observe}
    except (subprocess.CalledProcessError, OSError) as error:
        raise RLJaxError(
            f"playground/{short} fetches mujoco_menagerie from GitHub, and that failed ({error}); go online once"
        ) from error


def wrap(env: Any, name: str, params: PyTree = None, time_limit: int | None = None, observe: str | None = None) -> ForeignEnv:
    """An adapter for a Playground object.

    Tasks: ``params`` is a dictionary from fields of ``env.mjx_model`` (dots reach inside) to the arrays that replace them, as in
    :class:`rl_jax.envs.BraxEnv` and in Playground's own domain randomisation; ``{}`` replaces none.

    Raises:
        UnsupportedSpace: the observation has no such part.
    """
    config = env._config
    repeat = int(getattr(config, "action_repeat", 1))
    if time_limit is None:
        time_limit = -(-int(config.episode_length) // repeat)

    def bound(params: PyTree) -> Any:
        if not params:
            return env
        changed = copy.copy(env)
        try:
            changed._mjx_model = env.mjx_model.tree_replace(dict(params))
        except (AttributeError, TypeError) as error:
            raise RLJaxError(
                f"{name}: params must map fields of the environment's mjx.Model (such as 'opt.gravity' or 'body_mass') to arrays, "
                f"and these do not fit: {sorted(params)} ({error})"
            ) from error
        return changed

    obs_shape = jax.eval_shape(lambda: env.reset(raw(jax.random.key(0))).obs)
    parts = {} if hasattr(obs_shape, "shape") else {_NAMED.get(part, part): part for part in obs_shape}
    if parts and observe is not None:
        if observe not in obs_shape:
            raise UnsupportedSpace(
                f"{name}: the observation has no part '{observe}'; give observe one of {', '.join(obs_shape)}"
            )
        obs_shape = obs_shape[observe]

    def look(obs: Any) -> Any:
        if not parts:
            return obs
        return {key: obs[part] for key, part in parts.items()} if observe is None else obs[observe]

    def reset(key: Key, params: PyTree) -> tuple[PyTree, Any]:
        state = bound(params).reset(key)
        return state, look(state.obs)

    def step(key: Key, state: PyTree, action: Any, params: PyTree) -> Step:
        changed, reward, over = bound(params), jnp.float32(0), jnp.zeros((), bool)
        for _ in range(repeat):
            # The library writes into these dictionaries.
            state = changed.step(state.replace(info=dict(state.info), metrics=dict(state.metrics)), action)
            reward, over = reward + state.reward, over | (state.done > 0.5)
        metrics = {field: scalar(value, jnp.float32) for field, value in state.metrics.items() if jnp.size(value) == 1}
        return Step(state, look(state.obs), reward, over, jnp.zeros((), bool), metrics)

    def box(part: Any) -> Box:
        return Box.of(-jnp.inf, jnp.inf, tuple(part.shape))

    shown = Dict({key: box(obs_shape[part]) for key, part in parts.items()}) if parts and observe is None else box(obs_shape)
    action = Box.of(-1.0, 1.0, (int(env.action_size),))
    return ForeignEnv(env, name, {} if params is None else params, shown, action, reset, step, time_limit)
