"""The protocols on which everything stands, and the records that travel between them.

Shapes are time-major: ``T`` steps of a rollout, then ``N`` parallel environments, then the item's own axes. A *part* is a
frozen dataclass of hyperparameters with pure methods; its state is a pytree that the loop carries.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument
from rl_jax.spaces import ObsSpace, Space
from rl_jax.values import Count

PyTree = Any
Key = jax.Array
Metrics = dict[str, jax.Array]


class Step(NamedTuple):
    """What one environment step returns. There is no auto-reset: ``obs`` is always the true next observation.

    ``terminated``: the task itself ended, the value of what follows is zero. ``truncated``: something outside the task
    stopped it (a time limit), the value of what follows is the value of ``obs``. They are never merged.
    """

    state: PyTree
    obs: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    info: dict[str, Any]


@runtime_checkable
class Environment(Protocol):
    """One environment; the loop vmaps it. ``params`` is a pytree, so a batch of tasks is a vmapped ``params``.

    ``time_limit`` is the number of steps after which the loop truncates an episode (``None``: only the environment's own
    rules end it). An observation is one array, or a dictionary of arrays where the space is a :class:`~rl_jax.spaces.Dict`.
    """

    @property
    def name(self) -> str: ...

    @property
    def default_params(self) -> PyTree: ...

    @property
    def time_limit(self) -> int | None: ...

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, Any]: ...

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step: ...

    def observation_space(self, params: PyTree) -> ObsSpace: ...

    def action_space(self, params: PyTree) -> Space: ...


@struct.dataclass
class Boundary:
    """Where the environments stand between two rollouts, axes ``[N, ...]``.

    Attributes:
        obs: observation after any reset.
        first: whether ``obs`` is the first of an episode.
        carry: the agent's memory before it sees ``obs``.
        env_state: the environments' states.
        level: which level each running episode belongs to (see :class:`Curriculum`).
        index: the number of each environment, ``0..N-1``.
    """

    obs: Any
    first: jax.Array
    carry: PyTree
    env_state: PyTree
    level: PyTree
    index: jax.Array


@struct.dataclass
class Rollout:
    """``T`` steps of ``N`` environments, all leaves ``[T, N, ...]`` but those of ``start`` and ``last``.

    Observations are arrays, or dictionaries of arrays where the environment's are.

    A field that nobody reads costs nothing: the compiler removes it from the program (there is a test).

    Attributes:
        obs: observation on which the action was chosen.
        action: the policy's action in unit coordinates (see :mod:`rl_jax.spaces`).
        reward: reward of the step; experience transforms may rewrite it.
        terminated: the task ended at this step.
        truncated: the episode was cut at this step, without the task having ended.
        first: ``obs`` is the first observation of an episode (the *previous* step ended one).
        next_obs: the true next observation, before any reset.
        carry: the agent's memory before it saw ``obs``.
        env_state: the environment's state before the step, from which the episode can be started again.
        level: the level of the episode.
        info: what the environment reported.
        extras: what the agent added when acting (``log_prob``, ``value``), what the loop added (``truncated_value``: the
            agent's value of ``next_obs`` where the episode was truncated, zero elsewhere), and what transforms added later
            (``advantage``).
        start: what stood before the first step, such as the agent's memory.
        last: what follows the last step.
    """

    obs: Any
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    first: jax.Array
    next_obs: Any
    carry: PyTree
    env_state: PyTree
    level: PyTree
    info: dict[str, Any]
    extras: dict[str, jax.Array]
    start: Boundary
    last: Boundary

    @property
    def done(self) -> jax.Array:
        """``[T, N]``: an episode ended at this step, for whichever reason. For cutting traces, never for bootstrapping."""
        return jnp.logical_or(self.terminated, self.truncated)

    def with_extras(self, **extras: jax.Array) -> "Rollout":
        """This rollout with fields added to ``extras``."""
        return self.replace(extras={**self.extras, **extras})  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Spec:
    """Everything static that a part may need to build its state.

    Attributes:
        obs_space, action_space: of one environment.
        num_envs, rollout_length: ``N`` and ``T``; with several rounds ``N`` counts the columns of all.
        rollout: a :class:`Rollout` of ``jax.ShapeDtypeStruct``, as the loop collects it; ``None`` for agents and curricula,
            since these decide what a rollout looks like.
        whole: each column of a rollout is one whole episode, from its first row on (see :meth:`rl_jax.Trainer.create`).
        rounds: how often environments are run for one rollout: each round has ``num_envs / rounds`` of them.

    Raises:
        RLJaxError: ``rounds`` is no number of rounds.
    """

    obs_space: ObsSpace
    action_space: Space
    num_envs: int
    rollout_length: int
    rollout: Any = None
    whole: bool = False
    rounds: int = 1

    def __post_init__(self) -> None:
        check_argument("rounds", self.rounds, Count)


@struct.dataclass
class Context:
    """What a part may know about the moment it is called in.

    Attributes:
        key: a typed key of its own, never to be used twice; inside a loss, one for this minibatch.
        agent: the agent part; ``agent_state`` its state (parameters, targets, ...).
        update: index of this train step, ``int32`` (wraps after 2^31; exact counts are the loop's).
        progress: fraction of the planned training that is done, in ``[0, 1]``.
        horizon: number of train steps planned, ``float32``.
        steps: environment steps done before this train step, over all environments, ``float32``.
        policy: what acts now, ``(carry, obs [N, ...], first [N], key) -> (carry, action, extras)``, given raw observations.
        collected: the rollout as the environment gave it: raw observations and rewards, before any transform.
        outputs: inside a loss, the network's outputs on the batch, computed once for all terms.
        target: inside a loss, whatever fixed parameters an agent compares with (reference policy, target network); an agent
            that has such sets it before it calls its loss.
    """

    key: Key
    agent: Any
    agent_state: PyTree
    update: jax.Array
    progress: jax.Array
    horizon: jax.Array
    steps: jax.Array
    policy: Any = struct.field(pytree_node=False, default=None)
    collected: Any = None
    outputs: Any = None
    target: Any = None


@runtime_checkable
class ExperienceTransform(Protocol):
    """One idea about experience: adds or rewrites fields of a rollout, with an explicit state.

    ``observe`` is what the policy is shown while acting; it sees a frozen state, and ``update`` must rewrite the rollout's
    ``obs``, ``next_obs`` and ``last.obs`` with that same state before it learns from them. Most transforms leave it alone:
    inherit from :class:`rl_jax.experience.Transform`, which supplies the identity.
    """

    def init(self, key: Key, spec: Spec) -> PyTree: ...

    def observe(self, state: PyTree, obs: Any) -> Any: ...

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]: ...


class Sample(NamedTuple):
    """What a replay hands to the agent: time-major ``batch``, importance ``weights`` ``[B]``, ``indices`` for priorities.

    ``usable``: whether the batch may be learned from, where that depends on the data and may differ between the runs of a
    vmapped batch; ``None``: it may.
    """

    batch: Rollout
    weights: jax.Array | None
    indices: jax.Array | None
    usable: jax.Array | None = None


@runtime_checkable
class Replay(Protocol):
    """Where experience is kept between being collected and being learned from."""

    def init(self, key: Key, spec: Spec) -> PyTree: ...

    def add(self, state: PyTree, rollout: Rollout, context: Context) -> PyTree: ...

    def ready(self, state: PyTree) -> jax.Array | bool:
        """Whether there is anything to sample; until then nothing is learned."""

    def sample(self, state: PyTree, context: Context) -> Sample: ...

    def update(self, state: PyTree, indices: jax.Array | None, priorities: jax.Array | None) -> PyTree: ...

    def release(self, state: PyTree) -> PyTree:
        """What is kept until the next train step: a buffer whole, an on-policy rollout not at all."""


@runtime_checkable
class LossTerm(Protocol):
    """One named part of an agent's loss. ``context.outputs`` holds the network's outputs, shared by all terms.

    Loss and metrics are scalars, or arrays over the batch ``[T, B]`` whose means are meant: these cost less over many devices.
    """

    def __call__(self, params: PyTree, batch: Any, context: Context) -> tuple[jax.Array, Metrics]: ...


@runtime_checkable
class Agent(Protocol):
    """Acts and learns. ``bind`` fits it to an environment's spaces (and is where it refuses those it cannot serve)."""

    def bind(self, spec: Spec) -> "Agent": ...

    def init(self, key: Key, spec: Spec) -> PyTree: ...

    def initial_carry(self, num_envs: int) -> PyTree: ...

    def prepare(self, state: PyTree, context: Context) -> PyTree:
        """Called before each rollout: what acting depends on besides learning, such as a schedule over ``context.steps``."""

    def act(
        self, state: PyTree, carry: PyTree, obs: Any, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Choose actions for ``obs`` ``[N, ...]``; ``first`` ``[N]`` says where the memory must start afresh."""

    def value(self, state: PyTree, carry: PyTree, obs: Any, first: jax.Array) -> jax.Array:
        """State values ``[N]`` of ``obs`` ``[N, ...]`` given the memory before it."""

    def learn(self, state: PyTree, sample: Sample, context: Context) -> tuple[PyTree, Metrics, jax.Array | None]:
        """Update from a sample; the third result is new priorities ``[B]`` or ``None``."""

    def refresh(self, state: PyTree, carry: PyTree) -> PyTree:
        """The running memories ``[N, ...]`` after learning (recomputed keys and values, say). Usually the identity."""

    def params(self, state: PyTree) -> PyTree:
        """The parameters that define the policy: what is hashed, counted and checked for NaN."""


@runtime_checkable
class RewardModel(Protocol):
    """A reward that is learned: a discriminator, a model of preferences, a measure of progress. Batches are ``[L, B]`` steps.

    Whoever asks it lets it learn first: :mod:`rl_jax.experience.learned_reward` or :mod:`rl_jax.agents.rewarded`.
    """

    def init(self, key: Key, spec: Spec) -> PyTree: ...

    def learn(self, state: PyTree, batch: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        """One step of learning, with an optimiser of its own."""
        ...

    def reward(self, state: PyTree, batch: Rollout, context: Context) -> jax.Array:
        """The rewards ``[L, B]``. It reads whatever of the batch it likes but must not change its ends."""
        ...


class Start(NamedTuple):
    """The beginning of one episode: its level, the environment's state and the first observation."""

    level: PyTree
    env_state: PyTree
    obs: Any


@runtime_checkable
class Curriculum(Protocol):
    """Which task or level the next episode starts in, and from which state."""

    def init(self, key: Key, spec: Spec) -> PyTree: ...

    def start(self, state: PyTree, key: Key, index: jax.Array) -> Start:
        """Begin one episode in environment number ``index``; the loop vmaps this over keys and numbers."""

    def params(self, state: PyTree, level: PyTree) -> PyTree:
        """The environment's ``params`` for a running episode of ``level``."""

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Metrics]: ...


@runtime_checkable
class Updates(Protocol):
    """How often the agent learns per train step: a number, or a rule with a state (an adaptive replay ratio)."""

    def init(self, key: Key) -> PyTree: ...

    def count(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array | int]:
        """The number of ``learn`` calls in this train step, given its experience and ``context.agent_state``."""
