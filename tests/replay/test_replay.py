"""The ring and the buffer beside a slow model of them: what can be drawn, what is read back, how often, and where it lies."""

import contextlib
import functools
import re
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import struct
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import border, context, rollout_of, unchecked

from rl_jax.errors import RLJaxError
from rl_jax.experience import Transform, chain, normalize_obs
from rl_jax.replay import Buffer, Recent, Uniform, n_step
from rl_jax.replay.ring import read, row_of_age, span, starts
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

# -------------------------------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Case:
    """A buffer and the rollouts that it is given."""

    envs: int
    steps: int
    capacity: int
    length: int = 1
    period: int = 1
    finals: float = 0.125
    kind: str = "float32"
    memory: bool = True

    @property
    def buffer(self):
        return Buffer(
            capacity=self.capacity,
            length=self.length,
            period=self.period,
            finals=self.finals,
            keep=("log_prob",),
            batch_size=32,
        )


CASES = {
    "smallest": Case(1, 1, 2),
    "dqn": Case(3, 4, 60, finals=0.2, kind="uint8", memory=False),
    "one step, n-step": Case(2, 1, 30, length=3, finals=0.1),
    "as long as the rollout": Case(6, 5, 150, length=5, period=5, finals=0.3, kind="bool"),
    "period above the rollout": Case(2, 1, 40, length=3, period=4, finals=0.05, kind="uint8"),
    "overlapping sequences": Case(4, 4, 90, length=5, period=2, finals=0.05),
    "apart": Case(2, 2, 44, length=3, period=4, finals=0.5, kind="bool"),
    "one rollout fills it": Case(5, 5, 10),
    "sequences as long as it": Case(1, 3, 8, length=5, period=3),
    "few finals": Case(3, 2, 72, length=4, finals=0.01),
}


def encode(ids, kind):
    """Observations that say which they are."""
    ids = np.asarray(ids)
    if kind == "uint8":
        return np.stack([ids >> 16, ids >> 8, ids], -1).astype(np.uint8)
    if kind == "bool":
        return (ids[..., None] >> np.arange(16) & 1).astype(bool).reshape(*ids.shape, 4, 4)
    return np.stack([ids, -ids], -1).astype(np.float32)


class Stream:
    """So many steps of ``N`` environments, all made up: every observation, reward and memory is another one."""

    def __init__(self, case, seed, ends, terminated, adds):
        rng = np.random.default_rng(seed)
        shape = self.steps, self.envs = adds * case.steps, case.envs
        done = rng.random(shape) < ends
        kinds = rng.random(shape)
        both = done & (rng.random(shape) < 0.1)
        self.terminated = done & (kinds < terminated) | both
        self.truncated = done & (kinds >= terminated) | both
        self.done = done
        self.first = np.concatenate([np.ones((1, case.envs), bool), done[:-1]])
        ids = 1 + rng.permutation(2 * (self.steps + 1) * case.envs)
        before, final = ids.reshape(2, self.steps + 1, case.envs)
        self.present = encode(before, case.kind)  # [steps + 1, N]: what each action is chosen on
        after = np.where(done, final[:-1], before[1:])
        self.obs, self.next_obs = self.present[:-1], encode(after, case.kind)
        self.action = rng.normal(size=(*shape, 2)).astype(np.float32)
        self.reward = rng.normal(size=shape).astype(np.float32)
        self.log_prob = rng.normal(size=shape).astype(np.float32)
        episode = np.cumsum(self.first, 0)
        self.level = {"number": episode.astype(np.int32), "task": rng.normal(size=(200, 3))[episode % 200].astype(np.float32)}
        memory = {"h": rng.normal(size=(*shape, 2)).astype(np.float32), "age": rng.integers(0, 99, shape).astype(np.int32)}
        self.carry = memory if case.memory else ()

    def rollouts(self, case):
        """``[adds, T, N, ...]``."""

        def cut(x):
            return jax.tree.map(lambda x: jnp.asarray(x.reshape(-1, case.steps, *x.shape[1:])), x)

        # The boundary of each: all that the buffer may look at is the observation.
        last = jax.vmap(border)(jnp.asarray(self.present[case.steps :: case.steps]))
        one = jax.vmap(rollout_of)(cut(self.reward))
        names = ("obs", "action", "terminated", "truncated", "first", "next_obs", "level", "carry")
        fields = {name: cut(getattr(self, name)) for name in names}
        extras = {"log_prob": cut(self.log_prob), "value": jnp.zeros_like(one.reward)}
        return one.replace(**fields, extras=extras, start=None, last=last)


class Model:
    """What a buffer must do, said slowly: Python lists of steps, one list per environment."""

    def __init__(self, case, stream):
        self.case, self.stream = case, stream

    def trajectory(self, time, env):
        """Times of the steps of a trajectory; beyond the end of the episode it stands still and the mask is false."""
        times, mask = [time], [True]
        while len(times) < self.case.length:
            over = self.stream.done[times[-1], env]
            times.append(times[-1] if over else times[-1] + 1)
            mask.append(mask[-1] and not over)
        return times, mask

    def reachable(self, now, layout):
        """How many of the newest steps are whole, ``now`` steps having been added."""
        kept = []  # per environment: the times of the newest final observations
        for env in range(self.case.envs):
            ends = [t for t in range(now) if self.stream.done[t, env]]
            kept.append(ends[-layout.final_rows :])
        size = 0
        while size < min(now, layout.rows - 1):
            older = now - 1 - size
            for env in range(self.case.envs):
                end = next((t for t in range(older, now) if self.stream.done[t, env]), None)
                if end is not None and end not in kept[env]:
                    return size
            size += 1
        return size

    def eligible(self, now, size):
        """Times at which a trajectory may begin: where memory is stored, and all of its steps are there."""
        return [t for t in range(now - size, now - self.case.length + 1) if t % self.case.period == 0]


def spec_of(case):
    stream = Stream(case, 0, 0.5, 0.5, 1)
    rollout = jax.eval_shape(lambda: jax.tree.map(lambda x: x[0], stream.rollouts(case)))
    box = Box.of(-np.inf, np.inf, rollout.obs.shape[2:], rollout.obs.dtype)
    return Spec(box, Discrete(2), case.envs, case.steps, rollout)


def empty(case):
    return case.buffer.init(jax.random.key(0), spec_of(case))


def adds_of(case):
    """Enough for two times round."""
    return 1 + max(6, -(-2 * case.buffer.layout(spec_of(case)).rows // case.steps))


def all_starts(case, layout, ring):
    """Ages at which trajectories may begin ``[K]``, whether they may, and the index of each in each environment ``[K, N]``."""
    youngest, count = starts(ring, layout)
    number = jnp.arange(layout.rows // layout.period + 1)
    age = youngest + number * layout.period
    return age, number < count, row_of_age(ring, layout, age)[:, None] * case.envs + jnp.arange(case.envs)


def add_and_look(case, state, rollout):
    """One add, then everything that can be seen: size, ages, and every trajectory ``[length, K, N, ...]``."""
    state = case.buffer.add(state, rollout, context())
    age, may, index = all_starts(case, state.layout, state.ring)
    batch = read(state.ring, state.layout, index.reshape(-1))
    batch = jax.tree.map(lambda x: x.reshape(x.shape[0], *index.shape, *x.shape[2:]), batch)
    return state, (state.ring.size, age, may, case.buffer.ready(state), batch)


@functools.cache
def program(case):
    """``[adds, T, N, ...]`` rollouts to what can be seen after each; ``ended`` episodes are counted already at the beginning."""

    def run(rollouts, ended=0):
        state = empty(case)
        state = state.replace(ring=state.ring.replace(ended=jnp.full_like(state.ring.ended, ended)))
        return jax.lax.scan(functools.partial(add_and_look, case), state, rollouts)

    return jax.jit(run), jax.jit(jax.vmap(run))


def check(case, stream, seen, layout):
    """All that was seen is the model's, and nothing else was."""
    model = Model(case, stream)
    sizes, ages, mays, readies, batches = jax.tree.map(np.asarray, seen)
    for i, size in enumerate(sizes):
        now = (i + 1) * case.steps
        assert size == model.reachable(now, layout)
        times = model.eligible(now, size)
        assert sorted(now - ages[i][mays[i]]) == times
        assert readies[i] == bool(times)
        if not times:
            continue
        batch = jax.tree.map(lambda x: x[i][:, mays[i]], batches)  # noqa: B023
        where = [[model.trajectory(now - age, env) for env in range(case.envs)] for age in ages[i][mays[i]]]
        steps = np.moveaxis(np.array([[one[0] for one in row] for row in where]), -1, 0)  # [length, K, N]
        mask = np.moveaxis(np.array([[one[1] for one in row] for row in where]), -1, 0)
        env = np.arange(case.envs)
        for name in ("obs", "action", "reward", "terminated", "truncated", "next_obs", "level"):
            expected = jax.tree.map(lambda x: x[steps, env], getattr(stream, name))  # noqa: B023
            got = getattr(batch, name)
            jax.tree.map(np.testing.assert_array_equal, got, expected)
            assert jax.tree.map(lambda x: x.dtype, got) == jax.tree.map(lambda x: x.dtype, expected)
        np.testing.assert_array_equal(batch.extras["log_prob"], stream.log_prob[steps, env])
        np.testing.assert_array_equal(batch.extras["mask"], mask)
        assert set(batch.extras) == {"log_prob", "mask"}
        # Within a trajectory there is no second beginning, and its memory is that before its first step.
        np.testing.assert_array_equal(batch.first[0], stream.first[steps[0], env])
        assert not batch.first[1:].any()
        jax.tree.map(lambda got, x: np.testing.assert_array_equal(got[0], x[steps[0], env]), batch.carry, stream.carry)  # noqa: B023
        assert batch.start is batch.last is None


# --------------------------------------------------------------------------------------------------- ring and model


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_trajectory_that_may_be_drawn_is_the_model_s(name):
    """After every add, twice round: exactly the whole trajectories may be drawn, and each reads back as it happened."""
    case = CASES[name]
    layout = empty(case).layout

    @settings(max_examples=8, deadline=None)
    @given(
        seed=st.integers(0, 2**31 - 1),
        ends=st.sampled_from([0.0, 0.02, 0.2, 0.6, 1.0]),
        terminated=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def streams(seed, ends, terminated):
        stream = Stream(case, seed, ends, terminated, adds_of(case))
        seen = program(case)[0](stream.rollouts(case))[1]
        check(case, stream, seen, layout)

    streams()
    # Where every step ends an episode, final observations must run out, unless there is one for every row.
    stream = Stream(case, 0, 1.0, 0.5, adds_of(case))
    size = int(program(case)[0](stream.rollouts(case))[1][0][-1])
    assert size == min(layout.final_rows, layout.rows - 1)
    assert layout.capacity >= case.capacity


@pytest.mark.parametrize("name", ["dqn", "overlapping sequences", "few finals"])
def test_the_count_of_episodes_begins_again_unseen(name):
    """A run whose count of episodes is about to begin again, in the middle of its stream, is like one that begins at 0."""
    case = CASES[name]
    layout = empty(case).layout
    assert span(layout) % layout.final_rows == 0
    assert 2**28 - layout.final_rows < span(layout) <= 2**28  # above the three flags of a mark, which is of 31 bits
    for ends in (0.2, 1.0):
        stream = Stream(case, 5, ends, 0.5, adds_of(case))
        before = int(stream.done[: len(stream.done) // 2].sum(0).min())
        state, seen = program(case)[0](stream.rollouts(case), span(layout) - before)
        assert 0 <= int(state.ring.ended.min()) < len(stream.done)  # it has begun again
        check(case, stream, seen, layout)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["few finals", "period above the rollout"])
def test_under_vmap_each_run_has_its_own(name):
    """Seeds, whose episodes end at different times, lose final observations at different times."""
    case = CASES[name]
    streams = [Stream(case, seed, ends, 0.5, adds_of(case)) for seed, ends in enumerate((0.0, 0.3, 1.0))]
    rollouts = jax.tree.map(lambda *x: jnp.stack(x), *[stream.rollouts(case) for stream in streams])
    seen = program(case)[1](rollouts)[1]
    assert len(set(np.asarray(seen[0])[:, -1].tolist())) == 3
    for i, stream in enumerate(streams):
        check(case, stream, jax.tree.map(lambda x: x[i], seen), empty(case).layout)  # noqa: B023


def test_added_one_by_one_is_the_same():
    """Outside a scan, as a user's own loop would: each call of ``add`` and ``sample`` alone."""
    case = CASES["overlapping sequences"]
    stream = Stream(case, 3, 0.2, 0.5, adds_of(case))
    rollouts = stream.rollouts(case)
    state, add = empty(case), jax.jit(case.buffer.add)
    for i in range(adds_of(case)):
        state = add(state, jax.tree.map(lambda x: x[i], rollouts), context())  # noqa: B023
    expected = program(case)[0](rollouts)[0]
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------------------------- a million draws


def mixed(*words):
    """A number that looks random, of non-negative integers."""
    x = jnp.uint32(17)
    for word in words:
        x = (x ^ jnp.asarray(word).astype(jnp.uint32)) * jnp.uint32(0x9E3779B1)
        x = x ^ x >> 15
    return (x >> 1).astype(jnp.int32)


@dataclass(frozen=True)
class World:
    """Episodes whose every number follows from ``(environment, episode, time)``, so that a batch alone can be judged.

    The observation is those three and the environment's age in steps; an episode's length is 1 to ``longest``.
    """

    case: Case
    longest: int = 20
    sampler: object = Uniform()

    @property
    def buffer(self):
        return replace(self.case.buffer, sampler=self.sampler, batch_size=64)

    def last(self, env, episode):
        """The time of an episode's last step, and whether it ends by itself."""
        return mixed(env, episode, 1) % self.longest, mixed(env, episode, 2) % 2 == 0

    def beginning(self):
        """Before the first rollout: episode, time and age of each environment."""
        return (jnp.zeros((self.case.envs,), jnp.int32),) * 3

    def empty(self):
        """A buffer for these rollouts."""
        rollout = jax.eval_shape(lambda: self.rollout(self.beginning())[1])
        spec = Spec(Box.of(-np.inf, np.inf, (4,), jnp.int32), Discrete(5), self.case.envs, self.case.steps, rollout)
        return self.buffer.init(jax.random.key(0), spec)

    def rollout(self, now):
        """The next rollout, and where it ends."""
        env = jnp.arange(self.case.envs)

        def step(now, _):
            episode, time, age = now
            last, terminates = self.last(env, episode)
            done = time == last
            row = {
                "obs": jnp.stack([env, episode, time, age], -1),
                "next_obs": jnp.stack([env, episode, time + 1, age + 1], -1),
                "action": mixed(env, episode, time, 3) % 5,
                "reward": (mixed(env, episode, time, 4) % 1000).astype(jnp.float32),
                "terminated": done & terminates,
                "truncated": done & ~terminates,
                "first": time == 0,
                "carry": mixed(env, episode, time, 5),
                "level": mixed(env, episode, 6),
                "extras": {"log_prob": (mixed(env, episode, time, 7) % 1000).astype(jnp.float32)},
            }
            return (episode + done, jnp.where(done, 0, time + 1), age + 1), row

        now, rows = jax.lax.scan(step, now, None, self.case.steps)
        rollout = rollout_of(rows["reward"]).replace(**rows, start=None)
        return now, rollout.replace(last=border(jnp.stack([env, *now], -1)))

    def broken(self, batch, age, rows):
        """Which trajectories ``[B]`` are not one piece of one episode, read back as it happened, and not too old."""
        length = self.case.length
        env, episode, start, born = (batch.obs[0, :, i] for i in range(4))
        last, terminates = self.last(env, episode)
        inside = start + jnp.arange(length)[:, None] <= last
        time = jnp.minimum(start + jnp.arange(length)[:, None], last)
        born_now = born + time - start
        end = time == last
        same = jnp.broadcast_to
        right = [
            batch.extras["mask"] == inside,
            jnp.all(batch.obs == jnp.stack([same(env, time.shape), same(episode, time.shape), time, born_now], -1), -1),
            jnp.all(batch.next_obs == batch.obs + jnp.array([0, 0, 1, 1]), -1),
            batch.action == mixed(env, episode, time, 3) % 5,
            batch.reward == (mixed(env, episode, time, 4) % 1000).astype(jnp.float32),
            batch.extras["log_prob"] == (mixed(env, episode, time, 7) % 1000).astype(jnp.float32),
            batch.terminated == (end & terminates),
            batch.truncated == (end & ~terminates),
            batch.first == ((time == 0) & (jnp.arange(length) == 0)[:, None]),
            batch.level == mixed(env, episode, 6),
            same(batch.carry == mixed(env, episode, start, 5), time.shape),
            # Memory is stored at every period-th step of the environment, and nothing older than the rows is there.
            same((born % self.case.period == 0) & (born > age - rows), time.shape),
            same(born + length <= age, time.shape),
        ]
        return ~jnp.all(jnp.stack(right), axis=(0, 1))

    def play(self, key, number):
        """So many operations: an add or none, then two batches; how many were drawn, how many broken, adds and episodes."""
        buffers = [self.buffer, replace(self.buffer, batch_size=5)]

        def body(i, carry):
            now, state, counts = carry
            key_add, *keys = jax.random.split(jax.random.fold_in(key, i), 3)

            def add():
                after, rollout = self.rollout(now)
                return after, self.buffer.add(state, rollout, context())

            adding = jax.random.bernoulli(key_add, 0.7)
            now, state = jax.lax.cond(adding, add, lambda: (now, state))
            ready = self.buffer.ready(state)
            for buffer, own in zip(buffers, keys, strict=True):
                batch = buffer.sample(state, context().replace(key=own)).batch
                broken = self.broken(batch, now[2][0], state.layout.rows) & ready
                counts = counts + jnp.array([1, 0, 0]) * jnp.where(ready, broken.size, 0) + jnp.array([0, 1, 0]) * broken.sum()
            return now, state, counts + jnp.array([0, 0, 1]) * adding

        now, state, counts = jax.lax.fori_loop(0, number, body, (self.beginning(), self.empty(), jnp.zeros(3, jnp.int32)))
        return counts, now, state.ring.size


WORLDS = [
    World(Case(5, 4, 1000, finals=0.05), sampler=Recent(0.98)),
    World(Case(3, 1, 200, length=3, finals=0.02)),
    World(Case(3, 4, 200, length=3, finals=0.5), longest=1),
    World(Case(2, 1, 150, length=8, period=4, finals=0.05), sampler=Recent(0.5)),
    World(Case(4, 4, 300, length=8, period=4, finals=0.05), longest=3),
    World(Case(4, 4, 60, length=8, period=1, finals=0.01), longest=5),
]


@pytest.mark.slow
def test_t15_no_trajectory_is_ever_broken_in_a_million_draws():
    """Random adds and batches, judged on the device by arithmetic alone: 6 buffers, 5000 times an add and 69 draws."""
    total = 0
    for i, world in enumerate(WORLDS):
        with unchecked():  # the checker does not follow keys through the branch
            counts, now, size = jax.jit(world.play, static_argnums=1)(jax.random.key(i), 5000)
        drawn, broken, adds = counts.tolist()
        assert broken == 0, world
        total += drawn
        rows = world.empty().layout.rows
        assert adds * world.case.steps > 6 * rows, world
        assert 0 < size < rows
        assert now[0].min() > 200
    assert total > 2_000_000


@pytest.mark.slow
def test_a_broken_trajectory_would_be_noticed():
    """The judge of the test above, shown batches with one thing wrong."""
    world = World(Case(7, 4, 700, length=8))

    @jax.jit
    def played():
        def body(carry, _):
            now, rollout = world.rollout(carry[0])
            return (now, world.buffer.add(carry[1], rollout, context())), None

        (now, state), _ = jax.lax.scan(body, (world.beginning(), world.empty()), None, 30)
        return world.buffer.sample(state, context()).batch, now[2][0]

    judge = jax.jit(world.broken)
    batch, age = played()
    rows = world.empty().layout.rows
    assert not judge(batch, age, rows).any()
    assert judge(batch, age + rows, rows).all()
    for name in ("obs", "next_obs", "action", "reward", "level", "carry"):
        assert judge(batch.replace(**{name: getattr(batch, name) + 1}), age, rows).all(), name
    for name in ("terminated", "truncated", "first"):
        assert judge(batch.replace(**{name: ~getattr(batch, name)}), age, rows).all(), name
    for name in ("obs", "next_obs", "reward"):  # one step of one trajectory
        wrong = getattr(batch, name).at[-1, 3].add(1)
        np.testing.assert_array_equal(judge(batch.replace(**{name: wrong}), age, rows), np.arange(64) == 3)


# ------------------------------------------------------------------------------------------------ how often what is drawn


def filled(case, adds, ends=0.1, seed=0):
    """A buffer after so many rollouts."""
    stream = Stream(case, seed, ends, 0.5, adds)
    state, _ = jax.jit(lambda r: jax.lax.scan(lambda s, x: (case.buffer.add(s, x, context()), None), empty(case), r))(
        stream.rollouts(case)
    )
    return state


def surprise(counts, probability):
    """How likely a table of draws is, at most: the p-value of the chi-squared test."""
    assert counts[probability == 0].sum() == 0
    inside = probability > 0
    expected = counts.sum() * probability[inside]
    assert expected.min() > 5
    return scipy.stats.chi2.sf(((counts[inside] - expected) ** 2 / expected).sum(), inside.sum() - 1)


def table(case, state, sampler, number, seed=0):
    """Draws of each step of each environment ``[rows, N]``."""
    draw = jax.jit(lambda sampler: sampler.draw((), state.ring, state.layout, number, context(seed=seed)))(sampler)
    assert draw.weights is None
    slots = state.layout.slots
    assert np.asarray(draw.indices).min() >= 0
    assert np.asarray(draw.indices).max() < slots
    return np.bincount(draw.indices, minlength=slots).reshape(state.layout.rows, case.envs)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [None, 0.3, 0.9, 0.999, 1 - 1e-6])
@pytest.mark.parametrize("name", ["dqn", "overlapping sequences", "period above the rollout"])
@pytest.mark.parametrize("full", [False, True])
def test_draws_have_the_probabilities_that_are_promised(name, decay, full):
    """Uniform, or falling by ``decay`` per possible first row: chi-squared, half filled and after the ring has turned over."""
    case = CASES[name]
    layout = empty(case).layout
    state = filled(case, (2 * layout.rows + 3) // case.steps + 1 if full else layout.rows // 2 // case.steps + 1)
    age, may, index = jax.tree.map(np.asarray, all_starts(case, layout, state.ring))
    number = may.sum()
    assert number > 2
    share = np.ones(number) if decay is None else np.float64(decay) ** np.arange(number)
    if decay == 0.3:  # beyond some age nothing can be expected of 300,000 draws
        share[share < 1e-4] = 0
    probability = np.zeros(layout.slots)
    probability[index[may]] = (share / share.sum() / case.envs)[:, None]
    assert sorted(age[may]) == list(age[may])
    counts = table(case, state, Uniform() if decay is None else Recent(decay), 300_000, seed=11)
    if decay == 0.3:
        counts = np.where(probability.reshape(counts.shape) > 0, counts, 0)
    assert surprise(counts.ravel(), probability) > 1e-4


def test_draws_follow_a_swept_decay():
    """The decay is a number of the sampler: one program for a vmapped batch of them."""
    case = CASES["dqn"]
    state = filled(case, 12)
    draw = jax.jit(jax.vmap(lambda s: s.draw((), state.ring, state.layout, 20_000, context()).indices))
    rows = np.asarray(draw(Recent(jnp.array([0.5, 0.99, 1.0])))) // case.envs
    ages = (int(state.ring.head) - rows) % state.layout.rows
    np.testing.assert_allclose(ages[0].mean(), 2.0, rtol=0.05)
    assert ages[1].mean() > 5
    # The limit is uniform over all rows that may be drawn.
    np.testing.assert_array_equal(np.unique(ages[2]), np.arange(1, ages[2].max() + 1))
    np.testing.assert_allclose(ages[2].mean(), (1 + int(state.ring.size)) / 2, rtol=0.05)


@pytest.mark.slow
def test_batches_of_any_size_and_their_indices():
    """The batch has the size asked for, its indices are those of its first steps, and two keys draw two batches."""
    case = CASES["overlapping sequences"]
    state = filled(case, 20)
    again = jax.jit(lambda index: read(state.ring, state.layout, index))
    for size in (1, 1000):
        sample_of = jax.jit(replace(case.buffer, batch_size=size).sample)
        sample = sample_of(state, context(seed=1))
        assert sample.weights is None
        assert sample.indices.shape == (size,)
        assert sample.batch.reward.shape == (5, size)
        np.testing.assert_array_equal(again(sample.indices).obs, sample.batch.obs)
    assert not np.array_equal(sample_of(state, context(seed=2)).indices, sample.indices)


# ------------------------------------------------------------------------------------------------------------ in place


WIDE = Case(7, 3, 7 * 4000, length=3)


@contextlib.contextmanager
def optimized(flag):
    """Programs as users get them, or as the tests usually compile them."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", not flag)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def loop(state, rollouts, key):
    """Adds and batches in turn, as in a training loop."""

    def body(state, x):
        rollout, key = x
        state = WIDE.buffer.add(state, rollout, context())
        return state, WIDE.buffer.sample(state, context().replace(key=key)).batch.obs.sum()

    return jax.lax.scan(body, state, (rollouts, jax.random.split(key, 4)))


def copies(program, layout):
    """Instructions of a compiled program that copy one of the ring's big arrays."""
    sizes = f"{layout.rows}|{layout.rows + layout.final_rows}"
    return re.findall(rf"= \w+\[(?:\d+,)*(?:{sizes})(?:,\d+)*\]\S* copy\(.*", program.as_text())


@pytest.mark.slow
@pytest.mark.parametrize("fast", [False, True], ids=["as tested", "optimized"])
@pytest.mark.parametrize("runs", [1, 2])
def test_t31_no_program_copies_a_donated_buffer(fast, runs):
    """One add, a loop of adds and draws, and that under vmap: no copy of a big array, and no memory for one."""
    state, rollouts = empty(WIDE), Stream(WIDE, 0, 0.1, 0.5, 4).rollouts(WIDE)
    one = jax.tree.map(lambda x: x[0], rollouts)
    many = loop, (state, rollouts, jax.random.key(0))
    programs = [(lambda state, rollout: WIDE.buffer.add(state, rollout, context()), (state, one)), many][runs - 1 :]
    big = state.ring.action.nbytes
    for function, args in programs:
        if runs > 1:
            function = jax.vmap(function, axis_size=runs)  # noqa: PLW2901
            args = jax.tree.map(lambda x: jnp.stack([x] * runs), args)  # noqa: PLW2901
        with optimized(fast), unchecked():
            donated = (
                jax.jit(function, donate_argnums=0)
                .lower(*args)
                .compile({"xla_cpu_use_fusion_emitters": True} if fast else None)
            )
        assert not copies(donated, state.layout)
        assert donated.memory_analysis().temp_size_in_bytes < big / 4


def test_a_copy_would_be_noticed():
    """Without donation the same add copies every array once."""
    state = empty(WIDE)
    rollout = jax.tree.map(lambda x: x[0], Stream(WIDE, 0, 0.1, 0.5, 4).rollouts(WIDE))
    kept = jax.jit(lambda state, rollout: WIDE.buffer.add(state, rollout, context())).lower(state, rollout).compile()
    assert len(copies(kept, state.layout)) >= 9


def test_t31_a_donated_buffer_stays_where_it_is():
    """The arrays after an add are the arrays before it, by address."""
    state = empty(WIDE)
    rollout = jax.tree.map(lambda x: x[0], Stream(WIDE, 0, 0.1, 0.5, 4).rollouts(WIDE))
    add = jax.jit(lambda state, rollout: WIDE.buffer.add(state, rollout, context()), donate_argnums=0)
    state = add(state, rollout)
    for _ in range(2):
        before = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state) if x.size > 1000]
        state = add(state, rollout)
        assert [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state) if x.size > 1000] == before
    assert len(before) == 9


def test_the_plan_is_what_is_allocated():
    """Bytes and capacity are known before there is a buffer."""
    plan = WIDE.buffer.plan(spec_of(WIDE))
    assert plan.capacity >= WIDE.capacity
    assert plan.bytes == sum(x.nbytes for x in jax.tree.leaves(empty(WIDE)))


def test_each_observation_is_stored_once():
    """Not twice, as pairs of observation and next observation would be; final observations take an eighth more."""
    state = empty(WIDE)
    one = 2 * 4  # bytes
    assert state.ring.obs.nbytes <= one * (1.126 * WIDE.capacity + 4 * WIDE.envs)
    assert state.ring.obs.dtype == np.float32
    assert empty(CASES["dqn"]).ring.obs.dtype == np.uint8
    assert empty(CASES["apart"]).ring.obs.dtype == np.bool_


# ----------------------------------------------------------------------------------------------------- what is refused


@struct.dataclass
class Echo(Transform):
    """Hands its key on."""

    def update(self, state, rollout, context):
        return state, rollout.with_extras(key=jax.random.key_data(context.key)), {}


def test_transforms_see_the_batch_and_a_key_of_their_own():
    """Each draw's transforms get another key than the drawing itself."""
    case = CASES["dqn"]
    state = filled(case, 20)
    buffer = replace(case.buffer, transforms=chain(Echo(), n_step(1, 0.5)))
    state = replace(state, transforms=((), ()))
    draw = jax.jit(lambda context: buffer.sample(state, context).batch.extras)
    one, two = (draw(context(seed=seed)) for seed in (0, 1))
    assert not np.array_equal(one["key"], two["key"])
    assert not np.array_equal(one["key"], jax.random.key_data(context().key))
    np.testing.assert_array_equal(one["discount"], np.full((1, 32), 0.5, np.float32))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"capacity": 0}, "capacity must be an integer from 1 to 1e12, not 0"),
        ({"batch_size": 0}, "batch_size must be an integer from 1 to 2147483647, not 0"),
        ({"length": 0}, "length must be an integer from 1 to 2147483647, not 0"),
        ({"period": -2}, "period must be an integer from 1 to 2147483647, not -2"),
        ({"finals": 0.0}, "finals must be a number from 1e-30 to 1, not 0.0"),
        ({"finals": 1.5}, "finals must be a number from 1e-30 to 1, not 1.5"),
        ({"finals": float("nan")}, "finals must be a number from 1e-30 to 1, not nan"),
        ({"capacity": 5, "length": 2}, "use a capacity of at least 9, or fewer environments"),
        ({"capacity": 12, "period": 4}, "use a capacity of at least 15, or fewer environments"),
        ({"period": 3}, "a rollout of 4 steps and a period of 3: one must divide the other"),
        ({"period": 6}, "a rollout of 4 steps and a period of 6: one must divide the other"),
        ({"capacity": 10**10}, "use a capacity below"),
        ({"keep": ("log_prob", "advantage")}, "'advantage', which rollouts do not have: choose from log_prob, value"),
        ({"transforms": normalize_obs()}, "put it into the experience chain"),
        ({"transforms": chain(n_step(), normalize_obs())}, "put it into the experience chain"),
    ],
    ids=str,
)
def test_sizes_that_cannot_be_are_refused_with_what_can(changes, says):
    """Before anything is allocated, and with the way out."""
    case = CASES["dqn"]
    buffer = replace(case.buffer, **changes)
    with pytest.raises(RLJaxError, match=re.escape(says)):
        buffer.plan(spec_of(case))
    with pytest.raises(RLJaxError, match=re.escape(says)):
        buffer.init(jax.random.key(0), spec_of(case))


@settings(max_examples=300, deadline=None)
@given(
    envs=st.integers(1, 40),
    steps=st.integers(1, 12),
    length=st.integers(1, 12),
    period=st.integers(1, 24),
    capacity=st.integers(1, 10_000),
    finals=st.floats(1e-6, 1.0),
)
def test_the_sizes_of_a_ring_fit_together(envs, steps, length, period, capacity, finals):
    """At least the capacity asked for, and the newest trajectories are whole even if every step ends an episode."""
    spec = Spec(None, None, envs, steps)
    try:
        layout = Buffer(capacity=capacity, length=length, period=period, finals=finals).layout(spec)
    except RLJaxError:
        assert capacity < envs * (length + period) or (steps % period and period % steps)
        return
    assert capacity <= layout.capacity < capacity + envs * (1 + max(steps, period))
    assert layout.rows % steps == layout.rows % period == 0
    assert layout.final_rows <= layout.rows
    assert min(layout.final_rows, layout.rows - 1) >= length + period - 1  # one trajectory is always whole
    assert layout.final_rows >= min(steps, layout.rows)  # a rollout's ends have a place each
