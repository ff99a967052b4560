"""The samplers beside brute force: what may be drawn after every add, how often it is, and with which weights."""

import re
from dataclasses import dataclass
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import border, context, rollout_of

from rl_jax.errors import RLJaxError
from rl_jax.experience import chain, normalize_obs
from rl_jax.replay import Buffer, Episodes, Prioritized, RankBased, Reservoir, StratifiedByTask, weighted
from rl_jax.replay import ring as rings
from rl_jax.replay.prioritized import importance_weights
from rl_jax.replay.reservoir import below
from rl_jax.replay.ring import Added, Layout
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

TASKS = 3


@dataclass(frozen=True)
class Case:
    """A ring and the rollouts that it is given."""

    envs: int
    steps: int
    capacity: int
    length: int = 1
    period: int = 1
    finals: float = 0.3
    ends: float = 0.2

    @property
    def layout(self):
        example = jax.eval_shape(lambda: jax.tree.map(lambda x: x[0], Stream(self, 0, 1).rollouts))
        spec = Spec(Discrete(2), Discrete(2), self.envs, self.steps, example)
        return Layout.of(spec, self.capacity, self.length, self.period, self.finals)


CASES = {
    "dqn": Case(3, 1, 40),
    "one environment": Case(1, 4, 30),
    "sequences": Case(2, 4, 60, length=7),
    "overlapping": Case(3, 4, 80, length=5, period=2),
    "one rollout fills it": Case(5, 8, 30, length=2),
    "lost": Case(2, 3, 100, length=4, finals=0.01, ends=0.6),
}


class Stream:
    """Rollouts of made-up episodes, whose level is their task and which carry a score."""

    def __init__(self, case, seed, adds):
        rng = np.random.default_rng(seed)
        shape = (adds * case.steps, case.envs)
        self.done = rng.random(shape) < case.ends
        self.first = np.concatenate([np.ones((1, case.envs), bool), self.done[:-1]])
        episode = np.cumsum(self.first, 0) * case.envs + np.arange(case.envs)
        # Task 2 is rare; TASKS itself is no task.
        self.task = rng.choice(TASKS + 1, 1000, p=[0.5, 0.35, 0.05, 0.1])[episode % 1000].astype(np.int32)
        self.score = np.where(rng.random(shape) < 0.3, 0, rng.random(shape)).astype(np.float32)
        self.ids = np.arange(self.done.size).reshape(shape)
        cut = lambda x: jnp.asarray(x.reshape(adds, case.steps, *x.shape[1:]))  # noqa: E731
        one = jax.vmap(rollout_of)(cut(self.score))
        obs = cut(self.ids[..., None].astype(np.float32))
        self.rollouts = one.replace(
            obs=obs,
            next_obs=obs + 0.5,
            reward=cut(self.ids.astype(np.float32)),
            truncated=cut(self.done),
            first=cut(self.first),
            level=cut(self.task),
            extras={"score": cut(self.score)},
            start=None,
            last=jax.vmap(border)(obs[:, -1]),
        )

    def __getitem__(self, i):
        return jax.tree.map(lambda x: x[i], self.rollouts)


def score(rollout):
    return rollout.extras["score"]


SAMPLERS = {
    "prioritized": Prioritized(),
    "weighted": weighted(score),
    "learned": Prioritized(alpha=0.5, score=score),
    "ranks": RankBased(),
    "tasks": StratifiedByTask(num_tasks=TASKS),
    "episodes": Episodes(),
}


class Run:
    """A ring and all samplers upon it, compiled together."""

    def __init__(self, case):
        self.case, self.layout = case, case.layout
        self.advance = jax.jit(self._advance)
        self.update = jax.jit(self._update)

    def start(self, ended=0):
        """Nothing yet, but a count of episodes that have ``ended``."""
        example = Stream(self.case, 0, 1)[0]
        ring = rings.empty(self.layout, example)
        ring = ring.replace(ended=jnp.full_like(ring.ended, ended))
        return ring, {name: s.init(self.layout) for name, s in SAMPLERS.items()}

    def _advance(self, ring, states, rollout):
        before = Added(ring.head, ring.size)
        ring = rings.add(ring, self.layout, rollout)
        add = lambda name: SAMPLERS[name].add(states[name], ring, self.layout, before, rollout, context())  # noqa: E731
        return ring, {name: add(name) for name in SAMPLERS}

    def _update(self, states, indices, errors):
        return {name: s.update(states[name], indices, errors) for name, s in SAMPLERS.items()}

    def draw(self, name, ring, state, number, seed=0, progress=0.0):
        """Drawn steps ``(row, environment)`` and weights."""
        sampler, layout = SAMPLERS[name], self.layout

        def one(ring, state, key):
            moment = context(progress=progress).replace(key=key)
            return sampler.draw(state, ring, layout, number, moment)

        draw = jax.jit(one)(ring, state, jax.random.key(seed))
        assert draw.indices.dtype == np.int32
        return np.asarray(draw.indices), draw.weights

    def drawable(self, now, size):
        """Times of the steps at which a trajectory that is whole begins, oldest first."""
        rows, case = self.layout.rows, self.case
        return [t for t in range(now - size, now - case.length + 1) if (t % rows) % case.period == 0]

    def table(self, times, values):
        """``[L, N]`` with ``values[time]`` in the rows of ``times`` and zeros elsewhere."""
        table = np.zeros((self.layout.rows, self.case.envs), values.dtype)
        for t in times:
            table[t % self.layout.rows] = values[t]
        return table


@pytest.fixture(scope="module")
def runs():
    """Compiled once for all tests of this file."""
    made = {}

    def run(name):
        return made.setdefault(name, None) or made.__setitem__(name, Run(CASES[name])) or made[name]

    return run


class Model:
    """What prioritized samplers must hold: first the largest value so far, then what the agent said, then nothing."""

    def __init__(self, steps, envs, power, initial=None):
        self.power, self.initial, self.largest = power, initial, 1.0
        self.values = np.zeros((steps, envs)) if initial is None else initial.copy()
        self.alive = set()

    def renew(self, times):
        for t in set(times) - self.alive:
            if self.initial is None:
                self.values[t] = self.largest
        self.alive = set(times)

    def update(self, times, envs, errors):
        for t, n, error in zip(times, envs, errors, strict=True):
            if t in self.alive and self.values[t, n] > 0:
                self.values[t, n] = self.power(error)
                self.largest = max(self.largest, self.values[t, n])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "edge"), [*((name, False) for name in CASES), ("dqn", True), ("lost", True)])
def test_tables_hold_what_may_be_drawn(name, edge, runs):
    """After every add: whole trajectories with their values, and zeros for all other rows, however they came to be others.

    At the ``edge`` the count of episodes begins again in the middle.
    """
    run = runs(name)
    case, layout = run.case, run.layout
    adds = 3 * layout.rows // case.steps + 2
    stream, rng = Stream(case, 1, adds), np.random.default_rng(2)
    ring, states = run.start(rings.span(layout) - int(stream.done.sum(0).min()) // 2 if edge else 0)
    shape = stream.score.shape
    models = {
        "prioritized": Model(*shape, lambda x: (abs(x) + 1e-6) ** 0.6),
        "weighted": Model(*shape, None, stream.score.astype(float)),
        "learned": Model(*shape, lambda x: abs(x) ** 0.5, stream.score.astype(float) ** 0.5),
        "ranks": Model(*shape, abs),
    }
    lost = False
    for i in range(adds):
        ring, states = run.advance(ring, states, stream[i])
        now = (i + 1) * case.steps
        lost |= int(ring.size) < min(now, layout.rows - 1)
        times = run.drawable(now, int(ring.size))
        for key, model in models.items():
            model.renew(times)
            leaves = np.asarray(states[key].tree.leaves)[: layout.slots].reshape(layout.rows, -1)
            np.testing.assert_allclose(leaves, run.table(times, model.values), rtol=1e-5, err_msg=f"{key} after {i}")
            assert bool(SAMPLERS[key].ready(states[key], ring, layout)) == bool(leaves.any())
        task = np.where(stream.task < TASKS, 1 + stream.task, 0)
        table = states["tasks"][0]
        np.testing.assert_array_equal(table.tasks[: layout.slots].reshape(layout.rows, -1), run.table(times, task))
        counts = np.bincount(task[times].reshape(-1), minlength=TASKS + 1)[1:]
        np.testing.assert_array_equal(table.totals, counts)
        # New priorities for steps that may be drawn and for steps that may not.
        indices = rng.integers(0, layout.slots, 6)
        errors = rng.normal(size=6)
        ages = (int(ring.head) - indices // case.envs - 1) % layout.rows + 1
        errors[[j for j in range(6) if indices[j] in indices[:j]]] = 0  # of several for one step the largest counts
        states = run.update(states, jnp.asarray(indices, jnp.int32), jnp.asarray(np.abs(errors), jnp.float32))
        first = np.unique(indices, return_index=True)[1]
        for key in ("prioritized", "learned", "ranks"):
            models[key].update((now - ages)[first], (indices % case.envs)[first], np.abs(errors)[first])
    assert lost or name != "lost"
    assert 0 < int(ring.ended.min()) < len(stream.done)  # begun again, where it was at the edge


def fits(indices, weights):
    """Whether draws follow the weights: the p-value of a chi-squared test, rare items together."""
    expected = weights / weights.sum() * len(indices)
    counts = np.bincount(indices, minlength=len(weights)).astype(float)
    assert len(counts) == len(weights)
    assert counts[weights == 0].sum() == 0
    rare = expected < 8
    if expected[rare].sum() > 8:
        expected = np.append(expected[~rare], expected[rare].sum())
        counts = np.append(counts[~rare], counts[rare].sum())
    else:
        expected, counts = expected[~rare], counts[~rare]
    return scipy.stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue


@pytest.fixture(scope="module")
def late(runs):
    """``case name -> (run, ring, states, stream, now)``, some time after the ring was full, with priorities of the agent's."""
    made = {}

    def state(name):
        if name not in made:
            run = runs(name)
            adds = 2 * run.layout.rows // run.case.steps + 3
            stream, rng = Stream(run.case, 3, adds), np.random.default_rng(4)
            ring, states = run.start()
            for i in range(adds):
                ring, states = run.advance(ring, states, stream[i])
                indices = jnp.asarray(rng.choice(run.layout.slots, 6, replace=False), jnp.int32)
                states = run.update(states, indices, jnp.asarray(rng.exponential(size=6), jnp.float32))
            made[name] = run, ring, states, stream, adds * run.case.steps
        return made[name]

    return state


DRAWS = 30_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dqn", "lost"])
def test_prioritized_draws_and_weights(name, late):
    """P(i) is the share of the priority, and w = (N P)^-beta / max w, with beta on its way from its start to its end."""
    run, ring, states, _, now = late(name)
    leaves = np.asarray(states["prioritized"].tree.leaves, np.float64)[: run.layout.slots]
    indices, weights = run.draw("prioritized", ring, states["prioritized"], DRAWS, progress=0.25)
    assert fits(indices, leaves) > 1e-4
    eligible = len(run.drawable(now, int(ring.size))) * run.case.envs
    assert eligible == (leaves > 0).sum()
    chance = leaves[indices] / leaves.sum()
    expected = (eligible * chance) ** -(0.4 + 0.25 * 0.6)
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-4)
    assert weights.dtype == np.float32


@pytest.mark.slow
def test_weighted_draws(late):
    """In proportion to the scores, without weights to undo it; zero scores are never drawn in a million draws."""
    run, ring, states, stream, now = late("overlapping")
    times = run.drawable(now, int(ring.size))
    table = run.table(times, stream.score).reshape(-1)
    assert (run.table(times, 1 + stream.score).reshape(-1) > 0).sum() > (table > 0).sum() > 10
    indices, weights = run.draw("weighted", ring, states["weighted"], 2**20)
    assert fits(indices, table.astype(np.float64)) > 1e-4
    assert np.all(np.asarray(weights) == 1)


@pytest.mark.parametrize("name", ["dqn", "overlapping"])
def test_rank_based_draws_and_weights(name, late):
    """P(i) falls with the rank among the steps that may be drawn."""
    run, ring, states, _, _ = late(name)
    leaves = np.asarray(states["ranks"].tree.leaves, np.float64)[: run.layout.slots]
    order = np.argsort(-leaves, kind="stable")[: (leaves > 0).sum()]
    chance = np.zeros_like(leaves)
    chance[order] = (1.0 + np.arange(len(order))) ** -0.7
    indices, weights = run.draw("ranks", ring, states["ranks"], DRAWS, progress=1.0)
    assert fits(indices, chance) > 1e-4
    chance /= chance.sum()
    expected = 1 / (len(order) * chance[indices])
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-4)


@pytest.mark.parametrize("name", ["dqn", "overlapping"])
def test_draws_by_task(name, late):
    """As many of each task that there is; uniform within a task; which ones get one more is random."""
    run, ring, states, stream, now = late(name)
    times = run.drawable(now, int(ring.size))
    table = run.table(times, np.where(stream.task < TASKS, 1 + stream.task, 0)).reshape(-1)
    there = np.unique(table[table > 0])
    indices, weights = run.draw("tasks", ring, states["tasks"], DRAWS + 1)
    assert weights is None
    tasks = table[indices]
    counts = np.bincount(tasks, minlength=TASKS + 1)[there]
    assert counts.sum() == DRAWS + 1 and set(counts) <= {DRAWS // len(there), -(-(DRAWS + 1) // len(there))}
    for task in there:
        assert fits(indices[tasks == task], (table == task).astype(float)) > 1e-4


def test_the_odd_draw_goes_to_any_task(late):
    """Four draws for two or three tasks: the one left over is not always the same task's."""
    run, ring, states, stream, now = late("dqn")
    table = run.table(run.drawable(now, int(ring.size)), np.where(stream.task < TASKS, 1 + stream.task, 0)).reshape(-1)
    there = np.unique(table[table > 0])
    number = len(there) + 1

    def draw(key):
        return SAMPLERS["tasks"].draw(states["tasks"], ring, run.layout, number, context().replace(key=key)).indices

    tasks = table[np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 3000)))]
    twice = np.array([(tasks == task).sum(1) for task in there]) == 2
    assert np.all(twice.sum(0) == 1)
    assert scipy.stats.chisquare(twice.sum(1)).pvalue > 1e-4


def episodes(case, stream, now, size):
    """First steps ``(time, environment)`` of the finished episodes that lie whole in the ring and fit into a trajectory."""
    found = []
    for n in range(case.envs):
        starts = np.flatnonzero(stream.first[:now, n])
        for t, after in zip(starts, np.append(starts[1:], -1), strict=True):
            end = np.flatnonzero(stream.done[t:now, n])
            if len(end) and t >= now - size and end[0] < case.length:
                assert after in (-1, t + end[0] + 1)
                found.append((int(t), n))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sequences", "lost"])
def test_episodes(name, runs):
    """At every moment the drawn steps are the first steps of just those episodes that are whole; equally often at the end."""
    run = runs(name)
    case, layout = run.case, run.layout
    adds = 2 * layout.rows // case.steps + 5
    stream = Stream(case, 5, adds)
    ring, states = run.start()
    draw = jax.jit(lambda ring, state, key: Episodes().draw(state, ring, layout, 1500, context().replace(key=key)).indices)
    most = 0
    for i in range(adds):
        ring, states = run.advance(ring, states, stream[i])
        now = (i + 1) * case.steps
        found = episodes(case, stream, now, int(ring.size))
        assert bool(Episodes().ready(states["episodes"], ring, layout)) == bool(found)
        if not found:
            continue
        expected = np.zeros(layout.slots)
        for t, n in found:
            expected[t % layout.rows * case.envs + n] = 1
        indices = np.asarray(draw(ring, states["episodes"], jax.random.key(i)))
        assert fits(indices, expected) > 1e-5
        assert set(indices) == set(np.flatnonzero(expected))
        most = max(most, len(found))
    assert most > 2
    batch = jax.jit(lambda ring, index: rings.read(ring, layout, index))(ring, jnp.asarray(indices))
    assert np.all(batch.first[0]) and np.all(batch.truncated[-1])


@pytest.mark.slow
def test_runs_of_a_vmapped_batch_are_runs_alone(runs):
    """Also where one run gives up rows, loses none, or may not draw yet while the other does."""
    run = runs("lost")
    streams = [Stream(run.case, 6, 25), Stream(Case(**{**vars(run.case), "ends": 0.02}), 7, 25)]
    alone = [run.start(), run.start()]
    both = jax.tree.map(lambda *x: jnp.stack(x), *alone)
    advance = jax.jit(jax.vmap(run._advance))
    update = jax.jit(jax.vmap(run._update, in_axes=(0, None, None)))
    indices, errors = jnp.asarray([0, 5, 9], jnp.int32), jnp.asarray([0.5, 3.0, 0.1])
    sizes = []
    for i in range(25):
        both = advance(*both, jax.tree.map(lambda *x: jnp.stack(x), streams[0][i], streams[1][i]))
        both = both[0], update(both[1], indices, errors)
        for j in range(2):
            ring, states = run.advance(*alone[j], streams[j][i])
            alone[j] = ring, run.update(states, indices, errors)
        sizes.append([int(x) for x in both[0].size])
    for j in range(2):
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda x: x[j], both), alone[j])  # noqa: B023
    assert sizes[-1][0] != sizes[-1][1]


def test_nothing_to_draw_is_not_ready_and_harms_nothing():
    """Another run of a vmapped batch may draw when this one cannot: indices exist, weights are numbers, updates change nothing."""
    layout, rollout = CASES["dqn"].layout, Stream(CASES["dqn"], 0, 1)[0]
    ring = rings.empty(layout, rollout)
    states = {name: sampler.init(layout) for name, sampler in SAMPLERS.items()}

    @jax.jit
    def learn(states, key):
        ready, draws, after = {}, {}, {}
        for i, (name, sampler) in enumerate(SAMPLERS.items()):
            ready[name] = sampler.ready(states[name], ring, layout)
            draws[name] = sampler.draw(states[name], ring, layout, 5, context().replace(key=jax.random.fold_in(key, i)))
            after[name] = sampler.update(states[name], draws[name].indices, jnp.full((5,), 7.0))
        return ready, draws, after

    ready, draws, after = learn(states, jax.random.key(0))
    assert not any(ready.values())
    for indices, weights in draws.values():
        assert np.all((np.asarray(indices) >= 0) & (np.asarray(indices) < layout.slots))
        assert weights is None or np.all(np.isfinite(weights))
    jax.tree.map(np.testing.assert_array_equal, after, states)


def test_first_states_can_be_donated():
    """One array under two names cannot be given away twice."""
    part, spec, _ = reservoir(40, 1)
    for state in [part.init(jax.random.key(0), spec), *(s.init(CASES["dqn"].layout) for s in SAMPLERS.values())]:
        pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state) if x.size]
        assert len(set(pointers)) == len(pointers)


def test_t16_weights_are_normalised_and_bounded():
    """Even with priorities of very different size, no weight is infinite, zero or not a number."""
    chances = jnp.asarray([1e-30, 1e-3, 1.0, 1e20, 0.0])
    weights = np.asarray(importance_weights(chances, 1.0))
    np.testing.assert_allclose(weights[:4], [1.0, 1e-27, 1e-30, 0.0], rtol=1e-5, atol=1e-37)
    assert weights[4] == 0
    np.testing.assert_array_equal(importance_weights(chances, 0.0)[:4], 1.0)


@pytest.mark.slow
def test_hyperparameters_can_be_swept(late):
    """alpha and beta are leaves: a sweep is one program."""
    states = late("dqn")[2]
    alphas = jnp.asarray([0.0, 0.5, 1.0])

    def value(alpha):
        state = Prioritized(alpha=alpha).update(states["prioritized"], jnp.asarray([4]), jnp.asarray([9.0]))
        return state.tree.get(jnp.asarray([4]))[0]

    leaves = states["prioritized"].tree.leaves
    assert float(leaves[4]) > 0
    np.testing.assert_allclose(jax.vmap(value)(alphas), [1.0, 3.0, 9.0], rtol=1e-5)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (Prioritized(score=lambda rollout: jnp.zeros(3)), r"score.*\(4, 3\).*\(3,\)"),
        (StratifiedByTask(num_tasks=2, task_of=lambda level: ()), "task_of"),
        (StratifiedByTask(num_tasks=2, task_of=lambda level: level.astype(jnp.float32)), "whole number"),
        (StratifiedByTask(num_tasks=0), "num_tasks"),
    ],
)
def test_misuse_is_told(sampler, words):
    """Shapes that would be broadcast, and levels that are no tasks."""
    case = CASES["overlapping"]
    layout, rollout = case.layout, Stream(case, 0, 1)[0]
    ring = rings.empty(layout, rollout)
    with pytest.raises(RLJaxError, match=words):
        sampler.add(sampler.init(layout), ring, layout, Added(ring.head, ring.size), rollout, context())


# ------------------------------------------------------------------------------------------------------------- in place


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prioritized", "tasks"])
def test_t31_no_program_copies_a_table(name):
    """A loop of add, draw and update, with priorities that do not depend on the weights, copies no table."""
    case = Case(3, 4, 7000, length=3)
    buffer = Buffer(sampler=SAMPLERS[name], capacity=case.capacity, batch_size=16, length=case.length)
    rollout = Stream(case, 0, 1)[0]
    spec = Spec(Discrete(2), Discrete(2), case.envs, case.steps, jax.eval_shape(lambda: rollout))
    state = buffer.init(jax.random.key(0), spec)

    def loop(state, rollout, key):
        def body(i, carry):
            state, total = carry
            state = buffer.add(state, rollout, context())
            batch, weights, indices, _ = buffer.sample(state, context().replace(key=jax.random.fold_in(key, i)))
            total = total + (0 if weights is None else weights.sum())
            return buffer.update(state, indices, jnp.abs(batch.reward[0])), total

        return jax.lax.fori_loop(0, 9, body, (state, jnp.float32(0)))

    big = [x.size for x in jax.tree.leaves(state.sampler) if x.size > 5000]
    assert big

    def copies(**options):
        text = jax.jit(loop, **options).lower(state, rollout, jax.random.key(0)).compile().as_text()
        return re.findall(rf"\w+\[(?:{'|'.join(map(str, big))})\]\S* copy\(.*", text)

    with jax.debug_key_reuse(False):
        assert not copies(donate_argnums=0)
        assert copies()  # so a copy would be seen


# ------------------------------------------------------------------------------------------------------------ reservoir


jit_below = jax.jit(below)


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 2**64 - 1), bits=st.integers(0, 2**64 - 1))
def test_below_is_exact(n, bits):
    """The upper 64 bits of the product, against Python's integers."""
    words = [jnp.uint32(x & 0xFFFFFFFF) for x in (bits >> 32, bits, n >> 32, n)]
    high, low = jit_below(jnp.stack(words[:2]), *words[2:])
    assert (int(high) << 32 | int(low)) == n * bits >> 64


def test_below_is_uniform_beyond_float32():
    """Below 2^33 + 2 a float32 reaches only every 512th number; the residues show it."""
    n = 2**33 + 2
    bits = jax.random.bits(jax.random.key(0), (200_000, 2), jnp.uint32)
    high, low = below(bits, jnp.uint32(n >> 32), jnp.uint32(n & 0xFFFFFFFF))
    numbers = (np.asarray(high, np.int64) << 32) + np.asarray(low, np.int64)
    assert numbers.max() < n
    assert scipy.stats.chisquare(np.bincount(numbers % 7)).pvalue > 1e-4
    assert scipy.stats.chisquare(np.bincount(numbers * 16 // n)).pvalue > 1e-4


FEW = Case(3, 2, 0)


def reservoir(capacity, adds, **options):
    part = Reservoir(capacity=capacity, batch_size=64, **options)
    stream = Stream(FEW, 0, adds)
    spec = Spec(Box.of(-1.0, 1.0, (1,)), Discrete(2), FEW.envs, FEW.steps, jax.eval_shape(lambda: stream[0]))
    return part, spec, stream


def after(part, spec, stream, key):
    """The kept numbers after all rollouts, and the state."""

    def body(state, x):
        rollout, key = x
        return part.add(state, rollout, context().replace(key=jax.random.wrap_key_data(key))), None

    keys = jax.random.key_data(jax.random.split(key, stream.ids.shape[0] // FEW.steps))
    state = jax.lax.scan(body, part.init(jax.random.key(0), spec), (stream.rollouts, keys))[0]
    return state


def test_reservoir_keeps_each_with_equal_probability():
    """Every transition ever seen, and every pair of them, is as likely to be there as any other, and none is there twice."""
    part, spec, stream = reservoir(5, 4)
    runs, seen = 6000, stream.ids.size
    keys = jax.random.split(jax.random.key(1), runs)
    with jax.debug_key_reuse(False):
        kept = jax.jit(jax.vmap(lambda key: after(part, spec, stream, key).kept.reward))(keys)
    kept = np.sort(np.asarray(kept).astype(int), axis=1)
    assert kept.shape == (runs, 5)
    assert np.all(np.diff(kept, axis=1) > 0)
    there = np.zeros((runs, seen))
    np.put_along_axis(there, kept, 1, axis=1)
    single = there.sum(0)
    deviation = (single - runs * 5 / seen) / np.sqrt(runs * (5 / seen) * (1 - 5 / seen))
    assert np.abs(deviation).max() < 4.5 and (deviation**2).mean() < 2
    pair = 5 * 4 / (seen * (seen - 1))
    pairs = (there.T @ there)[np.triu_indices(seen, 1)]
    deviation = (pairs - runs * pair) / np.sqrt(runs * pair * (1 - pair))
    assert np.abs(deviation).max() < 5 and (deviation**2).mean() < 1.3


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [1, 7, 50])
def test_reservoir_is_the_sequential_algorithm(capacity):
    """One transition after the other, each with its own random words: also where two of one rollout want the same place."""
    part, spec, stream = reservoir(capacity, 6, keep=("score",))
    add = jax.jit(part.add)
    state, kept, seen = part.init(jax.random.key(0), spec), {}, 0
    assert not part.ready(state)
    for i in range(6):
        key = jax.random.key(i)
        words = np.asarray(jax.random.bits(key, (6, 2), jnp.uint32)).astype(object)
        state = add(state, stream[i], context().replace(key=jax.random.key(i)))
        for j in range(6):
            place = seen if seen < capacity else (words[j, 0] << 32 | words[j, 1]) * (seen + 1) >> 64
            if place < capacity:
                kept[place] = seen
            seen += 1
        held = min(seen, capacity)
        np.testing.assert_array_equal(state.kept.reward[:held], [kept[k] for k in range(held)])
        assert int(state.seen_low) == seen and part.ready(state)
    times, envs = np.divmod(np.asarray(state.kept.reward[:held]).astype(int), FEW.envs)
    np.testing.assert_array_equal(state.kept.next_obs[:held, 0], state.kept.reward[:held] + 0.5)
    np.testing.assert_array_equal(state.kept.truncated[:held], stream.done[times, envs])
    np.testing.assert_array_equal(state.kept.level[:held], stream.task[times, envs])
    np.testing.assert_array_equal(state.kept.extras["score"][:held], stream.score[times, envs])


def test_reservoir_counts_beyond_every_word():
    """A float32 count stands still at 2^24, an int32 one overflows at 2^31, and both would change what is kept."""
    part, spec, stream = reservoir(2**20, 1)
    add = jax.jit(part.add)
    state = part.init(jax.random.key(0), spec)
    for start in (2**24, 2**31 - 3, 2**32 - 3, 2**40):
        state = state.replace(seen_high=jnp.uint32(start >> 32), seen_low=jnp.uint32(start & 0xFFFFFFFF))
        state = add(state, stream[0], context())
        assert (int(state.seen_high) << 32) + int(state.seen_low) == start + 6
        assert part.ready(state)

    def accepted(start):
        capacity, items = 2**30, 2**16
        bits = jax.random.bits(jax.random.key(1), (items, 2), jnp.uint32)
        high, low = below(bits, jnp.uint32(start >> 32), jnp.uint32(start & 0xFFFFFFFF))
        share = float(Fraction(capacity, start))
        return abs(float(((high == 0) & (low < capacity)).mean()) - share) / np.sqrt(share * (1 - share) / items)

    assert max(accepted(2**32 + 5), accepted(3 * 2**32 + 7), accepted(2**34)) < 4.5


def test_reservoir_batches():
    """Uniform with replacement over what is held, as single steps with their own next observations."""
    part, spec, stream = reservoir(40, 3)
    state = after(part, spec, stream, jax.random.key(2))
    big = Reservoir(capacity=40, batch_size=20_000)
    batch, weights, index, _ = jax.jit(lambda state: big.sample(state, context()))(state)
    assert weights is None and batch.obs.shape == (1, 20_000, 1) and np.all(batch.extras["mask"])
    numbers = np.asarray(batch.reward[0]).astype(int)
    assert scipy.stats.chisquare(np.bincount(numbers, minlength=18)).pvalue > 1e-4
    np.testing.assert_array_equal(state.kept.reward[index], batch.reward[0])
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 0.5)
    assert batch.start is None and batch.env_state == ()
    assert part.release(part.update(state, index, None)) is state


def test_reservoir_plan_and_misuse():
    """Bytes are known beforehand, and mistakes are told."""
    part, spec, _ = reservoir(40, 1)
    plan = part.plan(spec)
    assert plan.capacity == 40
    assert plan.bytes == sum(x.nbytes for x in jax.tree.leaves(part.init(jax.random.key(0), spec)))
    wrong = [Reservoir(capacity=0), Reservoir(capacity=2**31), Reservoir(batch_size=0), Reservoir(keep=("log_prob",))]
    for part in [*wrong, Reservoir(transforms=chain(normalize_obs()))]:
        with pytest.raises(RLJaxError, match=r"reservoir|state"):
            part.plan(spec)
