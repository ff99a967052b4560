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
from rl_jax.curricula import FixedTask
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


# --8<-- [start:global-episodic-bonus]
class BonusState(NamedTuple):
    lifetime: jax.Array  # [slots] visits of each hashed key, shared by all environments
    episodic: jax.Array  # [N, slots] visits within the running episode, or E3B's inverse covariances [N, D, D]
    encoder: PyTree  # inverse-dynamics features and their optimiser
    scale: PyTree  # running spread of the bonus


@struct.dataclass
class GlobalEpisodicBonus(Transform):
    """``reward + beta * episodic * lifetime``.

    Reads ``rollout.next_obs`` (what was visited), ``rollout.first`` and ``rollout.last.first`` (where an episode's memory is
    cleared), ``rollout.action`` (the encoder's target), ``rollout.level`` and ``extras["value"]`` (variance of V over
    contexts, logged). ``spec.num_envs`` sizes the state. Rewrites ``reward``; stands before ``gae`` in the chain.
    """

    beta: Any = 1.0
    ridge: Any = 0.1
    learning_rate: Any = 1e-4
    key_of: Callable[[Rollout], jax.Array] = struct.field(pytree_node=False, default=lambda rollout: rollout.next_obs)
    slots: int = struct.field(pytree_node=False, default=2**16)

    def init(self, key: Key, spec: Spec) -> BonusState:
        raise NotImplementedError

    def update(self, state: BonusState, rollout: Rollout, context: Context) -> tuple[BonusState, Rollout, Metrics]:
        raise NotImplementedError


_global_episodic_bonus: ExperienceTransform = GlobalEpisodicBonus(beta=0.5)
# --8<-- [end:global-episodic-bonus]


# --8<-- [start:go-explore]
class Archive(NamedTuple):
    env_state: PyTree  # [cells, ...] from which the environment goes on
    obs: jax.Array  # [cells, ...] the observation that belongs to it
    score: jax.Array  # [cells] return on the way there
    length: jax.Array  # [cells] steps on the way there; 0: empty cell
    parent: jax.Array  # [cells] the cell that the way came through
    chosen: jax.Array  # [cells] counts for the selection weights
    seen: jax.Array
    running: jax.Array  # [N] return of each running way, across rollouts


class Way(NamedTuple):
    """The level of an episode: the cell that it was started from, with what it had cost to get there."""

    cell: jax.Array
    score: jax.Array
    length: jax.Array


@struct.dataclass
class GoExplore:
    """An archive of cells; each episode is a restored cell.

    ``start`` returns a stored ``env_state`` with the observation that belongs to it: nothing else is needed to restore an
    episode, and the loop's time limit is the number of steps to explore. ``update`` reads ``context.collected``, the rollout
    with the observations and rewards that the environment gave: ``env_state`` (the state *before* each step, in line with
    ``obs``), ``reward``, ``level`` (where the way began) and ``done``.
    """

    env: Environment = struct.field(pytree_node=False)
    cell_of: Callable[[PyTree, jax.Array], jax.Array] = struct.field(pytree_node=False)
    cells: int = struct.field(pytree_node=False, default=2**14)
    weights: Any = (1.0, 1.0, 0.1)
    task: PyTree = ()

    def init(self, key: Key, spec: Spec) -> Archive:
        raise NotImplementedError

    def start(self, state: Archive, key: Key, index: jax.Array) -> Start:
        raise NotImplementedError

    def params(self, state: Archive, level: Way) -> PyTree:
        raise NotImplementedError

    def update(self, state: Archive, rollout: Rollout, context: Context) -> tuple[Archive, Metrics]:
        raise NotImplementedError


@struct.dataclass
class Backward:
    """Phase 2: episodes start on a demonstration, ever earlier as the success rate allows."""

    env: Environment = struct.field(pytree_node=False)
    states: PyTree = ()  # [demonstrations, steps, ...]
    observations: Any = ()
    returns: Any = ()
    success_rate: Any = 0.2

    def init(self, key: Key, spec: Spec) -> PyTree:
        raise NotImplementedError

    def start(self, state: PyTree, key: Key, index: jax.Array) -> Start:
        raise NotImplementedError

    def params(self, state: PyTree, level: PyTree) -> PyTree:
        raise NotImplementedError

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        raise NotImplementedError


def _go_explore(env: Environment) -> Curriculum:
    return GoExplore(env, cell_of=lambda state, obs: obs)


_backward: Callable[[Environment], Curriculum] = Backward
# --8<-- [end:go-explore]


# --8<-- [start:relic]
class Trial(NamedTuple):
    """The agent's memory: everything that it saw in the running trial, and the keys and values computed from it."""

    obs: jax.Array  # [N, L, ...] inputs, from which keys and values can be computed again
    action: jax.Array
    reward: jax.Array
    episode: jax.Array  # [N, L] index of the episode within the trial, for the rotary positions
    log_prob: jax.Array  # [N, L] what the acting policy said, for the update over the whole trial
    keys: jax.Array  # [N, layers, L, heads, D]
    values: jax.Array
    written: jax.Array  # [N]


@struct.dataclass
class TrialEnv:
    """Many episodes of one hidden task as one episode: inner ends are reported in ``info`` and in the observation.

    So ``first`` marks the beginning of a *trial*, which is where the memory starts afresh, and the curriculum draws the task
    (``params``, the level's) once per trial.
    """

    inner: Environment = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False, default="trial")
    time_limit: int | None = struct.field(pytree_node=False, default=4096)

    @property
    def default_params(self) -> PyTree:
        raise NotImplementedError

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, jax.Array]:
        raise NotImplementedError

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        raise NotImplementedError

    def observation_space(self, params: PyTree) -> Space:
        raise NotImplementedError

    def action_space(self, params: PyTree) -> Space:
        raise NotImplementedError


@struct.dataclass
class ReLIC:
    """PPO after every segment of a trial, with the whole trial as context.

    One train step is one segment (``rollout_length=256``), so partial updates are the loop's own pace. ``learn`` reads
    ``batch.last.carry``, the memory *after* the segment and before any reset: the loss covers the newest segment, at the end
    of a trial all of it. ``refresh`` is given the new parameters and the running memories and computes keys and values again
    in one pass. The warm-up and cosine schedules read ``context.progress``.
    """

    network: nn.Module | None = struct.field(pytree_node=False, default=None)
    learning_rate: Any = 2e-4
    clip_epsilon: Any = 0.2
    length: int = struct.field(pytree_node=False, default=4096)
    epochs: int = struct.field(pytree_node=False, default=4)

    def bind(self, spec: Spec) -> "ReLIC":
        raise NotImplementedError

    def init(self, key: Key, spec: Spec) -> Learner:
        raise NotImplementedError

    def initial_carry(self, num_envs: int) -> Trial:
        raise NotImplementedError

    def prepare(self, state: Learner, context: Context) -> Learner:
        raise NotImplementedError

    def act(
        self, state: Learner, carry: Trial, obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[Trial, jax.Array, dict[str, jax.Array]]:
        raise NotImplementedError

    def value(self, state: Learner, carry: Trial, obs: jax.Array, first: jax.Array) -> jax.Array:
        raise NotImplementedError

    def learn(self, state: Learner, sample: Sample, context: Context) -> tuple[Learner, Metrics, None]:
        raise NotImplementedError

    def refresh(self, state: Learner, carry: Trial) -> Trial:
        raise NotImplementedError

    def params(self, state: Learner) -> PyTree:
        raise NotImplementedError


@struct.dataclass
class TrialAdvantage(Transform):
    """GAE over the values of the refreshed history in ``rollout.last.carry``; cuts where ``info`` reports an inner end."""

    gamma: Any = 0.99
    lam: Any = 0.95

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        raise NotImplementedError


_relic: Agent = ReLIC()
_trial_env: Callable[[Environment], Environment] = TrialEnv
_trial_advantage: ExperienceTransform = TrialAdvantage()
# --8<-- [end:relic]


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


# --8<-- [start:ta-lpg]
class LPGState(NamedTuple):
    params: PyTree
    opt_state: PyTree


@struct.dataclass
class LPG:
    """An agent whose update rule is a network. Its weights ``rule`` are a *hyperparameter*: a leaf of the agent, hence of the
    trainer, that an outer loop may perturb, vmap over or differentiate with respect to.

    ``learn`` gives the rule ``r``, ``done``, ``pi(a|s)`` and ``y(s_t)``, ``y(s_{t+1})`` (from ``batch.obs`` and
    ``batch.next_obs``), and, time-aware, ``context.progress`` (n/N) and ``log(context.horizon)`` (log N). The horizon may
    differ from run to run of a batch: ``Trainer.init`` takes a traced ``num_steps``.
    """

    rule: PyTree
    learning_rate: Any = 1e-2
    target_weight: Any = 0.5
    time_aware: bool = struct.field(pytree_node=False, default=True)
    network: nn.Module | None = struct.field(pytree_node=False, default=None)

    def bind(self, spec: Spec) -> "LPG":
        raise NotImplementedError

    def init(self, key: Key, spec: Spec) -> LPGState:
        raise NotImplementedError

    def initial_carry(self, num_envs: int) -> tuple[()]:
        raise NotImplementedError

    def prepare(self, state: LPGState, context: Context) -> LPGState:
        raise NotImplementedError

    def act(
        self, state: LPGState, carry: tuple[()], obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[tuple[()], jax.Array, dict[str, jax.Array]]:
        raise NotImplementedError

    def value(self, state: LPGState, carry: tuple[()], obs: jax.Array, first: jax.Array) -> jax.Array:
        raise NotImplementedError

    def learn(self, state: LPGState, sample: Sample, context: Context) -> tuple[LPGState, Metrics, None]:
        raise NotImplementedError

    def refresh(self, state: LPGState, carry: tuple[()]) -> tuple[()]:
        raise NotImplementedError

    def params(self, state: LPGState) -> PyTree:
        raise NotImplementedError


class EvolutionState(NamedTuple):
    rule: PyTree
    opt_state: PyTree
    members: TrainState  # [population, ...] agents in the middle of their lives, kept from step to step


def evolution_step(
    trainer: Trainer, state: EvolutionState, tasks: PyTree, horizons: jax.Array, key: Key, sigma: jax.Array, updates: int
) -> tuple[EvolutionState, Metrics]:
    """One OpenAI-ES step: antithetic pairs on the same task and seed, ranked by the return after their lives.

    For each member ``trainer.replace(agent=..., curriculum=...)`` with its perturbed rule and its task, then
    ``vmap(Trainer.advance)``; the fitness is :func:`rl_jax.evaluate`.
    """
    raise NotImplementedError


_lpg: Agent = LPG(rule=())
# --8<-- [end:ta-lpg]


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


# --8<-- [start:stream-x]
class StreamState(NamedTuple):
    actor: PyTree
    critic: PyTree
    actor_trace: PyTree
    critic_trace: PyTree
    progress: jax.Array  # written by learn, read by act (an epsilon that falls over the run)


@struct.dataclass
class StreamAC:
    """Stream AC(lambda): ``Trainer.create(num_envs=1, rollout_length=1)``, many independent streams by vmap over seeds.

    A rollout is one step: ``obs``, ``action``, ``reward``, ``next_obs``, ``terminated`` and ``truncated`` are all there. Traces
    are cleared where ``done``. Running normalisation of observations and rewards is two transforms of the chain
    (``normalize_obs`` learns of a step after it was acted on).
    """

    learning_rate: Any = 1.0
    actor_kappa: Any = 3.0
    critic_kappa: Any = 2.0
    gamma: Any = 0.99
    lam: Any = 0.8
    entropy_weight: Any = 0.01
    sparsity: float = struct.field(pytree_node=False, default=0.9)

    def bind(self, spec: Spec) -> "StreamAC":
        raise NotImplementedError

    def init(self, key: Key, spec: Spec) -> StreamState:
        raise NotImplementedError

    def initial_carry(self, num_envs: int) -> tuple[()]:
        raise NotImplementedError

    def prepare(self, state: StreamState, context: Context) -> StreamState:
        raise NotImplementedError

    def act(
        self, state: StreamState, carry: tuple[()], obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[tuple[()], jax.Array, dict[str, jax.Array]]:
        raise NotImplementedError

    def value(self, state: StreamState, carry: tuple[()], obs: jax.Array, first: jax.Array) -> jax.Array:
        raise NotImplementedError

    def learn(self, state: StreamState, sample: Sample, context: Context) -> tuple[StreamState, Metrics, None]:
        raise NotImplementedError

    def refresh(self, state: StreamState, carry: tuple[()]) -> tuple[()]:
        raise NotImplementedError

    def params(self, state: StreamState) -> PyTree:
        raise NotImplementedError


_stream_ac: Agent = StreamAC()
# --8<-- [end:stream-x]


# --8<-- [start:adaptive-rr]
class RatioState(NamedTuple):
    last: jax.Array  # the reading at the last check
    due: jax.Array  # learn calls owed (a ratio below one accumulates)
    raised: jax.Array  # whether the high ratio has been switched to
    episodes: jax.Array  # finished since the last check


@struct.dataclass
class AdaptiveReplayRatio:
    """Low at first, high once the critic's fraction of active units has settled.

    ``learn`` leaves the reading in the agent's state, where ``count`` finds it: ``context.agent_state``. Episodes are counted
    by ``rollout.done``. The number may be traced, and zero; every ``learn`` call samples the replay anew.
    """

    low: Any = 0.5
    high: Any = 2.0
    threshold: Any = 1e-3
    interval: Any = 50

    def init(self, key: Key) -> RatioState:
        raise NotImplementedError

    def count(self, state: RatioState, rollout: Rollout, context: Context) -> tuple[RatioState, jax.Array]:
        raise NotImplementedError


_adaptive_rr: Updates = AdaptiveReplayRatio()
# --8<-- [end:adaptive-rr]


# --8<-- [start:mbtl]
class Coverage(NamedTuple):
    chosen: jax.Array  # [rounds] indices of the tasks trained on
    transfer: jax.Array  # [rounds, tasks] return of each policy on every task
    score: jax.Array  # [rounds] mean over tasks of the best so far


def transfer_matrix(trainer: Trainer, tasks: PyTree, keys: jax.Array, num_steps: int, episodes: int = 64) -> jax.Array:
    """Every single-task policy on every task ``[K, K]``: two vmaps.

    The task is ``trainer.curriculum.task``, a leaf, so ``vmap`` over trainers trains ``K`` policies in one program; the second
    vmap evaluates each with ``rl_jax.evaluate(..., task=other)``.
    """
    raise NotImplementedError


def mbtl(transfer: jax.Array, rounds: int, slope: float = 0.005) -> Coverage:
    """Choose tasks by a Gaussian process over what has been trained so far; arrays only, no part of the loop."""
    raise NotImplementedError


def in_task(trainer: Trainer, task: PyTree) -> Trainer:
    """The same run in another task."""
    return trainer.replace(curriculum=FixedTask(trainer.env, task))  # type: ignore[attr-defined]


# --8<-- [end:mbtl]


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


# --8<-- [start:gigpo]
class Group(NamedTuple):
    """The level of an episode: which group it belongs to."""

    task: PyTree
    group: jax.Array


@struct.dataclass
class GroupedStarts:
    """Groups of environments that begin in the same task and the same initial state.

    Environment ``index`` belongs to group ``index // size``; ``start`` resets it with the group's task and key, which are
    part of the state, and which ``update`` replaces. The group's number stays with the episode as its level.
    """

    env: Environment = struct.field(pytree_node=False)
    tasks: PyTree = ()
    size: int = struct.field(pytree_node=False, default=8)

    def init(self, key: Key, spec: Spec) -> PyTree:
        raise NotImplementedError

    def start(self, state: PyTree, key: Key, index: jax.Array) -> Start:
        raise NotImplementedError

    def params(self, state: PyTree, level: Group) -> PyTree:
        raise NotImplementedError

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        raise NotImplementedError


@struct.dataclass
class GiGPO(Transform):
    """``advantage`` = episode's against its group + ``omega`` times step's against steps of the group in the same state.

    Reads ``rollout.level.group``, ``obs`` (or a hash that the environment reports in ``info``), ``reward``, ``first`` and
    ``done``; episodes that are not whole within the rollout get advantage 0. Replaces ``gae``: no value is read.
    """

    gamma: Any = 0.95
    omega: Any = 1.0
    divide_by_std: bool = struct.field(pytree_node=False, default=False)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        raise NotImplementedError


_grouped_starts: Callable[[Environment], Curriculum] = GroupedStarts
_gigpo: ExperienceTransform = GiGPO()
# --8<-- [end:gigpo]


# --8<-- [start:spa]
class ProgressState(NamedTuple):
    params: PyTree
    opt_state: PyTree


@struct.dataclass
class StepwiseProgress(Transform):
    """A progress model on the policy's own features; its outputs are the rewards.

    ``extras["hidden"]`` holds the features that the agent acted on. The sum over an episode needs whole episodes in one
    rollout: ``first`` and ``done`` say which are. Whether an action had an effect: ``obs`` against ``next_obs``, or ``info``.
    """

    alpha: Any = 1.0
    beta: Any = 0.5
    learning_rate: Any = 3e-4

    def init(self, key: Key, spec: Spec) -> ProgressState:
        raise NotImplementedError

    def update(self, state: ProgressState, rollout: Rollout, context: Context) -> tuple[ProgressState, Rollout, Metrics]:
        raise NotImplementedError


_spa: ExperienceTransform = StepwiseProgress()
# --8<-- [end:spa]


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


# --8<-- [start:spear-curriculum-self-imitation]
class Wins(NamedTuple):
    episodes: PyTree  # [capacity, T, ...] whole episodes with positive advantage
    born: jax.Array  # [capacity] train step of each
    returns: jax.Array  # [capacity]
    baselines: jax.Array  # FIFO of group means
    fresh: PyTree  # the rollout of this train step
    now: jax.Array  # its number


@struct.dataclass
class SelfImitation:
    """Hands back the fresh rollout with replayed episodes beside it, ``[T, N + B]``, marked in ``extras["replayed"]``.

    ``add`` stores whole winning episodes with their ``log_prob`` and drops old ones (``context.update``); ``sample`` computes
    the replayed advantages anew, against the median of the FIFO.
    """

    capacity: int = struct.field(pytree_node=False, default=2048)
    batch: int = struct.field(pytree_node=False, default=256)
    tolerate: Any = 10

    def init(self, key: Key, spec: Spec) -> Wins:
        raise NotImplementedError

    def add(self, state: Wins, rollout: Rollout, context: Context) -> Wins:
        raise NotImplementedError

    def ready(self, state: Wins) -> bool:
        raise NotImplementedError

    def sample(self, state: Wins, context: Context) -> Sample:
        raise NotImplementedError

    def update(self, state: Wins, indices: jax.Array | None, priorities: jax.Array | None) -> Wins:
        raise NotImplementedError

    def release(self, state: Wins) -> Wins:
        raise NotImplementedError


@struct.dataclass
class FadingReward(Transform):
    """Adds an auxiliary reward that fades out: a cosine of ``context.update``."""

    auxiliary: Callable[[Rollout], jax.Array] = struct.field(pytree_node=False)
    fade: Any = 100

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        raise NotImplementedError


@struct.dataclass
class GrowingImitation:
    """The clipped objective on ``extras["replayed"]`` items, its weight a cosine of ``context.update``.

    Clip-cov leaves out a random share of the items with the highest covariance, drawn from ``context.key``.
    """

    warm_up: Any = 100
    clip_low: Any = 0.2
    clip_high: Any = 0.28

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        raise NotImplementedError


_self_imitation: Replay = SelfImitation()
_fading_reward: ExperienceTransform = FadingReward(auxiliary=lambda rollout: rollout.reward)
_growing_imitation: LossTerm = GrowingImitation()
# --8<-- [end:spear-curriculum-self-imitation]


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
