"""The loop: collect, transform, store, learn. One compiled ``train_step``, whatever the algorithm."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.curricula import FixedTask
from rl_jax.errors import naming_what_lacks, returned
from rl_jax.experience import chain
from rl_jax.experience.transform import updated
from rl_jax.loop import counter as streams
from rl_jax.loop import parts
from rl_jax.loop.collect import Collector, collect, no_episodes, not_first, reset_envs
from rl_jax.loop.counter import Counter
from rl_jax.loop.metrics import Means
from rl_jax.loop.parts import distinct, naming_environment, reported
from rl_jax.loop.rounds import check_rounds, collect_rounds, joined_rounds
from rl_jax.loop.state import TrainState, with_rollout
from rl_jax.loop.updates import Constant
from rl_jax.ops import any_true, unrolled_threefry, with_sharding
from rl_jax.replay import OnPolicy
from rl_jax.types import Agent, Context, Environment, Key, Metrics, PyTree, Rollout, Sample, Spec


@struct.dataclass
class Trainer:
    """The parts of a training run, and the loop over them. A pytree: numeric hyperparameters are leaves and can be vmapped.

    Build it with :meth:`create`. All methods are pure; ``jit``, ``vmap`` and ``grad`` go through them.
    """

    agent: Agent
    experience: Any
    replay: Any
    curriculum: Any
    updates: Any
    env: Environment = struct.field(pytree_node=False)
    base: Spec = struct.field(pytree_node=False)
    time_limit: int | None = struct.field(pytree_node=False)
    episode_info: tuple[str, ...] = struct.field(pytree_node=False, default=())

    @classmethod
    def create(
        cls,
        env: Environment,
        agent: Agent,
        experience: Any = None,
        replay: Any = None,
        curriculum: Any = None,
        updates: Any = None,
        num_envs: int = 64,
        rollout_length: int = 128,
        time_limit: int | None = None,
        params: PyTree = None,
        episode_info: Sequence[str] = (),
        whole: bool = False,
        rounds: int = 1,
    ) -> "Trainer":
        """Compose a run.

        Args:
            env: an :class:`~rl_jax.types.Environment`, from :func:`rl_jax.make` or your own.
            agent: such as :func:`rl_jax.agents.ppo`.
            experience: one transform or a :func:`~rl_jax.experience.chain` of them.
            replay: default :class:`~rl_jax.replay.OnPolicy`.
            curriculum: default: every episode in the task ``params``.
            updates: how often the agent learns per train step; default once.
            num_envs: ``N``. Where the replay was given all experience, nothing is collected, and one environment shows the shapes.
            rollout_length: ``T``, steps of each environment per train step.
            time_limit: truncate episodes after so many steps; default ``env.time_limit``.
            params: the task, default ``env.default_params``.
            episode_info: numbers of the environment's ``info`` to report, as ``episode/NAME``, of finished episodes' last steps.
            whole: each rollout is one whole episode per environment (:mod:`rl_jax.loop.rounds`), and ``extras["own"]`` ``[T, N]``
                says which steps are the policy's.
            rounds: of whole episodes, how often environments are run for one train step.

        Raises:
            RLJaxError: sizes that cannot be, an agent that cannot serve the environment's spaces, or no such number.
        """
        parts.check_parts(env, agent, experience, replay, curriculum, updates)
        parts.check_params(env, params)
        if getattr(replay, "given", False):
            num_envs = rollout_length = parts.check_given(updates, whole)
        limit = env.time_limit if time_limit is None else time_limit
        parts.check_sizes(num_envs, rollout_length, limit)
        task = env.default_params if params is None else params
        with naming_environment(env, task):
            spaces = env.observation_space(task), env.action_space(task)
            spec = Spec(*spaces, num_envs * rounds, rollout_length, whole=whole, rounds=rounds)
            parts.check_curriculum(env, params, curriculum)
        parts.check_spaces(spec.obs_space, spec.action_space)
        made = cls(
            agent=agent.bind(spec),
            experience=chain() if experience is None else experience,
            replay=OnPolicy() if replay is None else replay,
            curriculum=FixedTask(env, task) if curriculum is None else curriculum,
            updates=Constant() if updates is None else updates,
            env=env,
            base=spec,
            time_limit=limit,
            episode_info=parts.check_episode_info(episode_info),
        )
        parts.check_leaves(made)
        check_rounds(env, curriculum, made.agent, limit, rollout_length, whole, rounds)
        if made.episode_info:
            made.spec()  # refuses names that the environment does not have
        return made

    @property
    def collects(self) -> bool:
        """Whether a train step collects experience: unless all of it was given to the replay (:class:`rl_jax.replay.Offline`)."""
        return not getattr(self.replay, "given", False)

    @property
    def num_envs(self) -> int:
        """Number of environments side by side, ``N``."""
        return self.base.num_envs // self.base.rounds

    @property
    def rollout_length(self) -> int:
        """Steps of each environment per train step, ``T``."""
        return self.base.rollout_length

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one train step, over all environments and rounds; where nothing is collected, learning steps."""
        return self.base.num_envs * self.rollout_length if self.collects else self.updates.number

    def num_updates(self, num_steps: int) -> int:
        """Train steps that reach at least ``num_steps`` environment steps."""
        parts.check_steps(num_steps)
        return max(1, -(-int(num_steps) // self.steps_per_update))

    def spec(self, key: Key | None = None) -> Spec:
        """The spec that parts are initialised with, with the rollout's exact shapes; nothing is computed.

        Args:
            key: the run's, whose kind of generator is the type of all keys in environment states; default JAX's default.
        """
        key = unrolled_threefry(jax.random.key(0)) if key is None else key
        with naming_environment(self.env, getattr(self.curriculum, "task", None)):
            return with_rollout(self.base, jax.eval_shape(self._example, key)[2])

    def _example(self, key: Key) -> tuple[PyTree, Collector, Rollout]:
        """The states of a fresh agent and of its environments, and a rollout; only their shapes are used."""
        keys = jax.random.split(key, 4)
        agent = self.agent.init(keys[0], self.base)
        curriculum = self.curriculum.init(keys[1], self.base)
        collector = self._reset(curriculum, self.agent.initial_carry(self.num_envs), keys[2])

        def policy(carry: PyTree, obs: Any, first: jax.Array, key: Key) -> Any:
            return self.agent.act(agent, carry, obs, first, key)

        def value(carry: PyTree, obs: Any) -> jax.Array:
            return self.agent.value(agent, carry, obs, not_first(obs))

        rollout = self._rollout(curriculum, policy, value, collector, keys[3])[1]
        return agent, collector, joined_rounds([rollout] * self.base.rounds)

    def _reset(self, curriculum: PyTree, carry: PyTree, key: Key, round_number: int = 0) -> Collector:
        """All environments of a round at the beginning of an episode, with empty memories ``carry``."""
        offset = round_number * self.num_envs
        return reset_envs(self.curriculum, curriculum, carry, key, self.num_envs, self.base.whole, offset)

    def _rollout(
        self, curriculum: PyTree, policy: Any, value: Any, collector: Collector, key: Key
    ) -> tuple[Collector, Rollout, Means]:
        return collect(
            self.env,
            self.base.action_space,
            self.curriculum,
            curriculum,
            policy,
            value,
            collector,
            key,
            self.rollout_length,
            self.time_limit,
            self.episode_info,
        )

    def init(self, key: Key, num_steps: int | jax.Array) -> TrainState:
        """A fresh run.

        Args:
            key: typed key (``jax.random.key(seed)``).
            num_steps: environment steps planned; schedules run over this length.
        """
        parts.check_steps(num_steps)
        key = unrolled_threefry(key)
        spec = self.spec(key)
        keys = jax.random.split(jax.random.fold_in(key, streams.INIT), 6)
        curriculum = self.curriculum.init(keys[0], self.base)
        horizon = jnp.ceil(jnp.asarray(num_steps, jnp.float32) / self.steps_per_update)
        state = TrainState(
            key=jax.random.fold_in(key, streams.TRAIN),
            updates=Counter.zero(),
            horizon=jnp.maximum(horizon, 1.0),
            agent=self.agent.init(keys[1], self.base),
            experience=self.experience.init(keys[2], spec),
            replay=self.replay.init(keys[3], spec),
            curriculum=curriculum,
            schedule=self.updates.init(keys[4]),
            collector=self._reset(curriculum, self.agent.initial_carry(self.num_envs), keys[5]),
        )
        return distinct(state)

    def _key(self, state: TrainState, stream: int) -> Key:
        """The key of one stream of the train step that ``state`` is about to do."""
        return jax.random.fold_in(state.updates.key(state.key), stream)

    def _context(self, state: TrainState, stream: int) -> Context:
        """The context of the train step that ``state`` is about to do, with the key of one stream."""
        return Context(
            key=self._key(state, stream),
            agent=self.agent,
            agent_state=state.agent,
            update=state.updates.low.astype(jnp.int32),
            progress=jnp.minimum(state.updates.as_float() / state.horizon, 1.0),
            horizon=state.horizon,
            steps=state.updates.as_float() * self.steps_per_update,
        )

    def _collect(self, state: TrainState) -> tuple[TrainState, Rollout, Context, Means]:
        agent = self.agent.prepare(state.agent, self._context(state, streams.PREPARE))
        state = state.replace(agent=agent)  # type: ignore[attr-defined]

        def policy(carry: PyTree, obs: Any, first: jax.Array, key: Key) -> Any:
            return self.agent.act(state.agent, carry, self.experience.observe(state.experience, obs), first, key)

        def value(carry: PyTree, obs: Any) -> jax.Array:
            obs = self.experience.observe(state.experience, obs)
            return self.agent.value(state.agent, carry, obs, not_first(obs))

        state, collected, means = collect_rounds(self, state, policy, value)
        context = self._context(state, streams.EXPERIENCE)
        context = context.replace(policy=policy, collected=collected)  # type: ignore[attr-defined]
        experience, rollout, from_experience = updated(self.experience, state.experience, collected, context)
        parts.check_rollout(collected, rollout)
        for_curriculum = context.replace(key=self._key(state, streams.CURRICULUM))
        result = self.curriculum.update(state.curriculum, rollout, for_curriculum)
        curriculum, from_curriculum = returned("the curriculum's update", result, ("state", "metrics"))
        state = state.replace(experience=experience, curriculum=curriculum)  # type: ignore[attr-defined]
        means |= reported(self.experience, from_experience) | reported(self.curriculum, from_curriculum)
        return state, rollout, context, means

    def _learn(self, state: TrainState, rollout: Any, context: Context) -> tuple[TrainState, Means, jax.Array]:
        def at(stream: int) -> Context:
            return context.replace(key=self._key(state, stream))  # type: ignore[attr-defined]

        replay = self.replay.add(state.replay, rollout, at(streams.REPLAY))
        schedule, count = self.updates.count(state.schedule, rollout, at(streams.UPDATES))
        key = self._key(state, streams.LEARN)

        def learn(agent: PyTree, replay: PyTree, key: Key) -> tuple[PyTree, PyTree, Means]:
            key_sample, key_learn = jax.random.split(key)
            sample_context = context.replace(key=key_sample, agent_state=agent)  # type: ignore[attr-defined]
            sample: Sample = self.replay.sample(replay, sample_context)
            sample = sample._replace(batch=with_sharding(sample.batch, axis=1))
            learn_context = sample_context.replace(key=key_learn)
            with naming_what_lacks(self.agent, sample.batch.extras):
                result = self.agent.learn(agent, sample, learn_context)
            next_agent, metrics, priorities = returned("the agent's learn", result, ("state", "metrics", "priorities"))
            if (usable := sample.usable) is not None:
                next_agent = jax.tree.map(lambda new, old: jnp.where(usable, new, old), next_agent, agent)
            return next_agent, self.replay.update(replay, sample.indices, priorities), reported(self.agent, metrics)

        ready = self.replay.ready(replay)
        if ready is not True:
            count = jnp.where(any_true(ready), count, 0)

        if isinstance(count, int) and count == 1:
            agent, replay, means = learn(state.agent, replay, key)
        else:
            zeros = Means.zeros_like(jax.eval_shape(learn, state.agent, replay, key)[2])

            def learn_once(i: jax.Array, carry: tuple[PyTree, PyTree, Means]) -> tuple[PyTree, PyTree, Means]:
                agent, replay, means = learn(*carry[:2], jax.random.fold_in(key, i))
                return agent, replay, carry[2] + means

            agent, replay, means = jax.lax.fori_loop(0, count, learn_once, (state.agent, replay, zeros))
        boundary = state.collector.boundary
        boundary = boundary.replace(carry=self.agent.refresh(agent, boundary.carry))  # type: ignore[attr-defined]
        state = state.replace(  # type: ignore[attr-defined]
            updates=state.updates.next(),
            agent=agent,
            replay=self.replay.release(replay),
            schedule=schedule,
            collector=state.collector.replace(boundary=boundary),  # type: ignore[attr-defined]
        )
        return state, means, jnp.asarray(count, jnp.float32)

    def _train_step(self, state: TrainState) -> tuple[TrainState, Means, jax.Array]:
        """The next state, its metrics, and how often the agent has learned."""
        if self.collects:
            state, rollout, context, means = self._collect(state)
        else:
            rollout, context, means = None, self._context(state, streams.EXPERIENCE), no_episodes(self.episode_info)
        state, learned, count = self._learn(state, rollout, context)
        return state, means | learned, count

    def collect(self, state: TrainState) -> tuple[TrainState, Rollout, Metrics]:
        """The first half of a train step: a rollout after the experience chain. Nothing is learned from it.

        Collecting twice without learning in between uses the same random keys twice: the train step's number is what tells
        them apart.
        """
        state, rollout, _, means = self._collect(state)
        return state, rollout, means.finish()

    def train_step(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Collect ``T * N`` environment steps and learn from them. The metrics are scalars."""
        state, means, _ = self._train_step(state)
        return state, means.finish()

    def advance(self, state: TrainState, num_updates: int | jax.Array) -> tuple[TrainState, Metrics]:
        """``num_updates`` train steps and the means of their metrics, in memory that does not depend on their number.

        ``num_updates`` may be traced (one program for every length); a Python integer keeps the loop differentiable in reverse.
        The metrics also have those of :data:`~rl_jax.loop.state.SIGNS`.
        """
        train_step = jax.jit(self._train_step, inline=True)  # traced once, for the shapes of its metrics and for the loop
        next_state, *shapes = jax.eval_shape(train_step, state)
        parts.check_same(state, next_state)
        means, learned = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        none = jnp.full((), -1, jnp.int32)

        def body(i: jax.Array, carry: Any) -> tuple[TrainState, Means, jax.Array, jax.Array]:
            state, means, learned, bad = carry
            state, new, count = train_step(state)
            bad = jnp.where((bad < 0) & ~new.finite(), jnp.asarray(i, jnp.int32), bad)
            return state, means + new, learned + count, bad

        state, means, learned, bad = jax.lax.fori_loop(0, num_updates, body, (state, means, learned, none))
        return state, {**means.finish(), "nonfinite_update": bad, "learn_calls": learned}

    def train(self, key: Key, num_steps: int, num_rows: int = 100) -> tuple[TrainState, Metrics]:
        """A complete run: at least ``num_steps`` environment steps, metrics ``[rows]`` with ``rows <= num_rows``.

        ``metrics["steps"]`` ``[rows]`` is the number of environment steps at the end of each row, ``float32`` (exact to 2^24).
        """
        total = self.num_updates(num_steps)
        rows = min(num_rows, total)
        edges = [round(i * total / rows) for i in range(rows + 1)]
        counts = jnp.asarray([b - a for a, b in itertools.pairwise(edges)], jnp.int32)
        state, metrics = jax.lax.scan(self.advance, self.init(key, num_steps), counts)
        steps = jnp.asarray([edge * self.steps_per_update for edge in edges[1:]], jnp.float32)
        return state, {**metrics, "steps": steps}

    def params(self, state: TrainState) -> PyTree:
        """The parameters of the policy."""
        return self.agent.params(state.agent)

    def env_steps(self, state: TrainState) -> int:
        """Environment steps done, exact (on the host, for a single run's state)."""
        return state.updates.to_int() * self.steps_per_update
