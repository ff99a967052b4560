"""Where an idea goes: one published idea per section, as the signatures that it would be written in.

Nothing here is implemented. The file exists to be type-checked: the assignments at the end of each section make mypy
compare the signatures with the library's protocols. Each docstring says which facts the idea needs and where it finds them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax import struct

import rl_jax as rl
from rl_jax.agents import Learner, PolicyGradient
from rl_jax.experience import Transform
from rl_jax.loop import Trainer, TrainState
from rl_jax.networks import Outputs
from rl_jax.spaces import Box, Space
from rl_jax.types import (
    Agent,
    Context,
    Curriculum,
    Environment,
    ExperienceTransform,
    Key,
    LossTerm,
    Metrics,
    PyTree,
    Replay,
    Rollout,
    Sample,
    Spec,
    Start,
    Step,
    Updates,
)


# --8<-- [start:hcam]
class Chunks(NamedTuple):
    keys: jax.Array  # [N, M, D] one summary per chunk
    contents: jax.Array  # [N, M, C, D]
    accumulator: jax.Array  # [N, C, D] the chunk being written
    steps_since_write: jax.Array  # [N]


class HCAM(nn.Module):
    """A memory in place of ``GRU``: ``(carry, features [T, N, F], first [T, N]) -> (carry, features)``.

    ``first`` clears a memory before the step (or marks chunks as another episode's). The agent learns from whole sequences that
    begin with the memory that was stored when the rollout began.
    """

    chunks: int = 32
    chunk_length: int = 16
    width: int = 128
    top_k: int = 8

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> Chunks:
        raise NotImplementedError

    @nn.compact
    def __call__(self, carry: Chunks, x: jax.Array, first: jax.Array) -> tuple[Chunks, jax.Array]:
        raise NotImplementedError


@struct.dataclass
class OutputsWithInput(Outputs):
    """Outputs may have more fields, for terms that need them."""

    reconstruction: jax.Array


@struct.dataclass
class Reconstruction:
    """The auxiliary loss: reads ``context.outputs.reconstruction`` and ``batch.obs``."""

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        raise NotImplementedError


def hcam_network(spec: Spec, memory: HCAM = HCAM()) -> nn.Module:  # noqa: B008
    """What ``ppo(network=hcam_network)`` takes: a function from the spaces to a module."""
    raise NotImplementedError


_hcam: PolicyGradient = rl.agents.ppo(network=hcam_network)
_reconstruction: LossTerm = Reconstruction()
# --8<-- [end:hcam]


# --8<-- [start:groove]
class Levels(NamedTuple):
    params: PyTree  # [levels, ...] the environment's params
    lifetime: jax.Array  # [levels] train steps
    score: jax.Array  # [levels] algorithmic regret
    active: jax.Array  # [levels]


class MetaState(NamedTuple):
    rule: PyTree
    opt_state: PyTree
    agents: TrainState  # [population, ...]
    level: jax.Array  # [population] which level each lives in
    critics: PyTree  # [population, ...] for the meta-gradient's advantage
    levels: Levels


def groove_step(
    trainer: Trainer,
    baseline: Trainer,
    sample_level: Callable[[Key], PyTree],
    state: MetaState,
    key: Key,
    inner_updates: int = 5,
    replay_probability: float = 0.5,
) -> tuple[MetaState, Metrics]:
    """One meta step for a population of agents, then new levels for those whose life has ended.

    The gradient flows through ``trainer.advance(state, inner_updates)`` (a Python integer keeps the loop differentiable in
    reverse) into ``trainer.agent.rule``. The level of a life is ``trainer.curriculum.task``, a leaf. A finished life is scored
    by ``baseline`` (A2C from scratch in the same task) minus its own return, both by :func:`rl_jax.evaluate`. The meta-loss's
    fresh rollout is ``trainer.collect(state)``.
    """
    raise NotImplementedError


_groove: Callable[[Trainer, Trainer, Callable[[Key], PyTree], MetaState, Key], tuple[MetaState, Metrics]] = groove_step
# --8<-- [end:groove]


# --8<-- [start:synther]
class SyntheticState(NamedTuple):
    real: PyTree  # ring of transitions [capacity, ...]
    synthetic: PyTree  # [samples, ...]
    size: jax.Array
    position: jax.Array
    denoiser: PyTree
    moments: PyTree


@struct.dataclass
class SynthER:
    """A replay with a generator of its own.

    ``add`` is given the rollout and a context with a key and the number of the train step: every ``interval`` of them it fits
    the diffusion model anew (a scan) and fills the second buffer, under ``any_true`` so that vmapped seeds skip it together.
    ``sample`` mixes both; fields that nobody reads of a generated transition (``env_state``, ``info``) are empty.
    """

    capacity: int = struct.field(pytree_node=False, default=1_000_000)
    samples: int = struct.field(pytree_node=False, default=200_000)
    batch: int = struct.field(pytree_node=False, default=256)
    interval: int = struct.field(pytree_node=False, default=10_000)
    synthetic_share: float = struct.field(pytree_node=False, default=0.5)

    def init(self, key: Key, spec: Spec) -> SyntheticState:
        raise NotImplementedError

    def add(self, state: SyntheticState, rollout: Rollout, context: Context) -> SyntheticState:
        raise NotImplementedError

    def ready(self, state: SyntheticState) -> bool:
        raise NotImplementedError

    def sample(self, state: SyntheticState, context: Context) -> Sample:
        raise NotImplementedError

    def update(self, state: SyntheticState, indices: jax.Array | None, priorities: jax.Array | None) -> SyntheticState:
        raise NotImplementedError

    def release(self, state: SyntheticState) -> SyntheticState:
        raise NotImplementedError


_synther: Replay = SynthER()
# --8<-- [end:synther]


# --8<-- [start:ravl-edge-of-reach]
@struct.dataclass
class ModelEnv:
    """A learned dynamics model as an environment: its weights and the start states of the data are ``params``.

    ``time_limit`` is the model horizon ``k``: the loop truncates there, so ``rollout.truncated`` marks exactly the final-step
    states whose values are bootstrapped but never trained. The true dynamics with the same truncation are the same class with
    another ``step``.
    """

    model: nn.Module | None = struct.field(pytree_node=False, default=None)
    obs_space: Space = struct.field(pytree_node=False, default=Box.of(-1.0, 1.0, (1,)))
    act_space: Space = struct.field(pytree_node=False, default=Box.of(-1.0, 1.0, (1,)))
    name: str = struct.field(pytree_node=False, default="model")
    time_limit: int | None = struct.field(pytree_node=False, default=5)

    @property
    def default_params(self) -> PyTree:
        raise NotImplementedError

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, jax.Array]:
        raise NotImplementedError

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        raise NotImplementedError

    def observation_space(self, params: PyTree) -> Space:
        return self.obs_space

    def action_space(self, params: PyTree) -> Space:
        return self.act_space


@struct.dataclass
class MixedReplay:
    """Model rollouts of the last train steps, and a share of real data from a data set that is part of the state."""

    data: PyTree = ()
    real_share: float = struct.field(pytree_node=False, default=0.05)

    def init(self, key: Key, spec: Spec) -> PyTree:
        raise NotImplementedError

    def add(self, state: PyTree, rollout: Rollout, context: Context) -> PyTree:
        raise NotImplementedError

    def ready(self, state: PyTree) -> bool:
        raise NotImplementedError

    def sample(self, state: PyTree, context: Context) -> Sample:
        raise NotImplementedError

    def update(self, state: PyTree, indices: jax.Array | None, priorities: jax.Array | None) -> PyTree:
        raise NotImplementedError

    def release(self, state: PyTree) -> PyTree:
        raise NotImplementedError


@struct.dataclass
class EdgeOfReach(Transform):
    """Logs the critics' disagreement at truncated and at other steps: ``context.agent``, ``context.agent_state``."""

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        raise NotImplementedError


_model_env: Environment = ModelEnv()
_mixed_replay: Replay = MixedReplay()
_edge_of_reach: ExperienceTransform = EdgeOfReach()
_thousand_updates: Updates = rl.loop.updates.Constant(1000)
# --8<-- [end:ravl-edge-of-reach]


# --8<-- [start:spo-minimax-winner]
class TrajectoryQueue(NamedTuple):
    running: jax.Array  # [N, L, features] what the preference needs of each running episode
    length: jax.Array  # [N]
    finished: jax.Array  # [queue, L, features]
    position: jax.Array


@struct.dataclass
class MinimaxWinner(Transform):
    """The reward of an episode is the share of recent episodes that it is preferred to, paid at its end.

    Reads ``obs``, ``action``, ``reward`` (the comparison's raw material), ``first`` and ``done``; an episode may span rollouts,
    since what has been seen of it is part of the state. Noisy comparisons draw from ``context.key``. Stands before ``gae``.
    """

    prefer: Callable[[jax.Array, jax.Array], jax.Array] = struct.field(pytree_node=False)
    queue: int = struct.field(pytree_node=False, default=256)
    length: int = struct.field(pytree_node=False, default=1000)

    def init(self, key: Key, spec: Spec) -> TrajectoryQueue:
        raise NotImplementedError

    def update(self, state: TrajectoryQueue, rollout: Rollout, context: Context) -> tuple[TrajectoryQueue, Rollout, Metrics]:
        raise NotImplementedError


_minimax_winner: ExperienceTransform = MinimaxWinner(prefer=lambda one, other: one.sum() > other.sum())
# --8<-- [end:spo-minimax-winner]


# --8<-- [start:sppo]
class AnchoredState(NamedTuple):
    learner: Learner
    reference: PyTree  # parameters of the policy compared with


@struct.dataclass
class Anchored:
    """Any :class:`PolicyGradient` together with a reference policy, which is renewed every ``rounds``-th train step.

    ``learn`` calls the inner one with ``context.replace(target=state.reference)``, and every loss term finds it there. For a
    fixed reference (a behaviour-cloned policy) ``renew`` is never.
    """

    inner: PolicyGradient
    renew: int = struct.field(pytree_node=False, default=1)

    def bind(self, spec: Spec) -> "Anchored":
        raise NotImplementedError

    def init(self, key: Key, spec: Spec) -> AnchoredState:
        raise NotImplementedError

    def initial_carry(self, num_envs: int) -> PyTree:
        raise NotImplementedError

    def prepare(self, state: AnchoredState, context: Context) -> AnchoredState:
        raise NotImplementedError

    def act(
        self, state: AnchoredState, carry: PyTree, obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        raise NotImplementedError

    def value(self, state: AnchoredState, carry: PyTree, obs: jax.Array, first: jax.Array) -> jax.Array:
        raise NotImplementedError

    def learn(self, state: AnchoredState, sample: Sample, context: Context) -> tuple[AnchoredState, Metrics, None]:
        raise NotImplementedError

    def refresh(self, state: AnchoredState, carry: PyTree) -> PyTree:
        raise NotImplementedError

    def params(self, state: AnchoredState) -> PyTree:
        raise NotImplementedError


@struct.dataclass
class WinProbability(Transform):
    """Adds ``extras["win_probability"]``: how often a response is preferred to the others of its group (``rollout.level``)."""

    prefer: Callable[[Rollout], jax.Array] = struct.field(pytree_node=False)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        raise NotImplementedError


@struct.dataclass
class SPPO:
    """``(log pi(a|s) - log pi_ref(a|s) - eta * (P - 1/2))^2``.

    ``pi`` is ``context.outputs.policy``; the reference's parameters are ``context.target``, applied with
    ``context.agent.network`` to ``batch.obs``; ``P`` is ``batch.extras["win_probability"]``.
    """

    eta: Any = 1e3

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        raise NotImplementedError


_anchored: Agent = Anchored(rl.agents.ppo())
_win_probability: ExperienceTransform = WinProbability(prefer=lambda rollout: rollout.reward)
_sppo: LossTerm = SPPO()
# --8<-- [end:sppo]


# --8<-- [start:dsrl-noise-steering]
@struct.dataclass
class NoiseSteered:
    """A frozen generative policy and its environment as one environment, whose actions are the noise it denoises from.

    The action space is ``Box(-bound, bound)``; ``step`` computes ``G(obs, noise)``, hence the state holds the observation, and
    reports the real action in ``info["action"]``, which reaches the replay (noise aliasing learns from it). Its weights are
    part of ``params``, so no gradient touches them.
    """

    inner: Environment = struct.field(pytree_node=False)
    sampler: Callable[[PyTree, jax.Array, jax.Array], jax.Array] = struct.field(pytree_node=False)
    weights: PyTree = struct.field(pytree_node=False, default=())
    bound: float = struct.field(pytree_node=False, default=1.5)
    name: str = struct.field(pytree_node=False, default="steered")
    time_limit: int | None = struct.field(pytree_node=False, default=None)

    @property
    def default_params(self) -> PyTree:
        return self.inner.default_params, self.weights

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, jax.Array]:
        raise NotImplementedError

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        raise NotImplementedError

    def observation_space(self, params: PyTree) -> Space:
        raise NotImplementedError

    def action_space(self, params: PyTree) -> Space:
        raise NotImplementedError


def _noise_steered(env: Environment) -> Environment:
    return NoiseSteered(env, sampler=lambda weights, obs, noise: noise)


# --8<-- [end:dsrl-noise-steering]


# --8<-- [start:stability-gap]
@struct.dataclass
class TaskStream:
    """One task after another: the level is the task's number, and ``update`` moves on by ``context.update``."""

    env: Environment = struct.field(pytree_node=False)
    tasks: PyTree = ()
    updates_per_task: Any = 100

    def init(self, key: Key, spec: Spec) -> PyTree:
        raise NotImplementedError

    def start(self, state: PyTree, key: Key, index: jax.Array) -> Start:
        raise NotImplementedError

    def params(self, state: PyTree, level: PyTree) -> PyTree:
        raise NotImplementedError

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        raise NotImplementedError


class Worst(NamedTuple):
    minimum: jax.Array  # [tasks] lowest evaluation since the task ended
    window: jax.Array  # [D, tasks] the last D evaluations
    updates: jax.Array


def watched_step(
    trainer: Trainer, state: TrainState, watch: Worst, tasks: PyTree, key: Key, episodes: int = 64
) -> tuple[TrainState, Worst, Metrics]:
    """A train step and an evaluation on every task, to be scanned in place of ``train_step``.

    :func:`rl_jax.evaluate` is traced like everything else, and vmapped over its argument ``task``. ``key`` belongs to the
    evaluation alone. (From inside a part the acting policy is at hand too: ``context.policy``.)
    """
    raise NotImplementedError


_task_stream: Callable[[Environment], Curriculum] = TaskStream
_watched: Callable[[Trainer, TrainState, Worst, PyTree, Key], tuple[TrainState, Worst, Metrics]] = watched_step
# --8<-- [end:stability-gap]
