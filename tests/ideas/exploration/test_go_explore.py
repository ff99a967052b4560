"""Go-Explore: what the archive keeps, which cell is chosen, that restored states are the stored ones, and the way back."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, leaves_equal, rollout_of, unchecked

import rl_jax as rl
from rl_jax.agents import RandomRepeat
from rl_jax.curricula import Backward, demonstration, pad_demonstrations
from rl_jax.curricula.backward import Demonstration, Stage
from rl_jax.envs.grid.key_maze import KeyMaze
from rl_jax.ideas.exploration.go_explore import GoExplore, Way
from rl_jax.ops import add_bounded
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec, Step


class Spot(NamedTuple):
    place: jax.Array
    stamp: jax.Array  # differs from visit to visit, so that a stored state tells when it was stored


class Line:
    """Places -1 (no cell) to 6; the reward depends on the place walked to, and walking from 6 to the right ends the episode."""

    name, time_limit, default_params = "line", None, ()

    def observation_space(self, params):
        return Box.of(-10, 10**6, (2,))

    def action_space(self, params):
        return Discrete(2)

    def reset(self, key, params):
        state = Spot(jnp.int32(2), jnp.int32(0))
        return state, self.look(state)

    def look(self, state):
        return jnp.stack([state.place, state.stamp]).astype(jnp.float32)

    def step(self, key, state, action, params):
        place = state.place + 2 * action - 1
        ended = place > 6
        reward = jnp.where(ended, 5.0, jnp.where(place == 4, 0.5, jnp.where(place == 1, -0.25, 0.0)))
        state = Spot(jnp.clip(place, -1, 6).astype(jnp.int32), state.stamp * 3 % 1000 + action.astype(jnp.int32) + 1)
        return Step(state, self.look(state), reward, ended, jnp.zeros((), bool), {})


CELLS = 7


def line(**options):
    return GoExplore(Line(), cell_of=lambda state: state.place, cells=CELLS, **options)


def spec(num_envs=1):
    return Spec(Line().observation_space(()), Discrete(2), num_envs, 4)


def trainer_of(curriculum, env, num_envs=4, length=9, limit=5, repeat=0.5):
    parts = {"curriculum": curriculum, "num_envs": num_envs, "rollout_length": length, "time_limit": limit}
    return rl.Trainer.create(env=env, agent=RandomRepeat(repeat), **parts)


# ------------------------------------------------------------------------- the choice


def filled(archive, chosen, since_new, seen):
    def put(values):
        return jnp.zeros(CELLS + 1, jnp.int32).at[:3].set(jnp.asarray(values, jnp.int32))

    length = jnp.where(jnp.arange(CELLS + 1) < 3, 1, -1).at[CELLS].set(9)
    return archive._replace(length=length, chosen=put(chosen), since_new=put(since_new), seen=put(seen))


def test_weights_by_hand():
    curriculum = line(weights=(1.0, 2.0, 0.1), powers=(1.0, 0.5, 1.0), base=0.25)
    archive = filled(curriculum.init(jax.random.key(0), spec()), (1, 0, 4), (4, 9, 0), (2, 1, 8))
    want = [
        0.25 + 1 / 1.001 + 2 / 4.001**0.5 + 0.1 / 2.001 + 3e-5,
        0.25 + 1 / 0.001 + 2 / 9.001**0.5 + 0.1 / 1.001 + 3e-5,
        0.25 + 1 / 4.001 + 2 / 0.001**0.5 + 0.1 / 8.001 + 3e-5,
        *[0.0] * 4,
    ]
    np.testing.assert_allclose(curriculum.weight(archive), want, rtol=1e-5)


def test_cells_are_drawn_by_their_weights_and_the_end_never():
    curriculum = line()
    archive = filled(curriculum.init(jax.random.key(0), spec()), (1, 2, 4), (1, 3, 1), (5, 5, 5))
    keys = jax.random.split(jax.random.key(1), 20_000)
    drawn = jax.jit(jax.vmap(curriculum.start, in_axes=(None, 0, None)))(archive, keys, 0).level.cell
    share = np.bincount(np.asarray(drawn), minlength=CELLS + 1) / len(keys)
    weight = np.asarray(curriculum.weight(archive))
    assert share[3:].sum() == 0
    np.testing.assert_allclose(share[:CELLS], weight / weight.sum(), atol=0.02)
    even = line(weights=(0.0, 0.0, 0.0)).weight(archive)
    np.testing.assert_allclose(even[:3], np.full(3, even[0]))


# ------------------------------------------------------------------------- the archive


class Plain:
    """The archive in words: dictionaries, one state after the other."""

    def __init__(self, archive):
        self.score, self.length, self.parent = (np.array(x) for x in (archive.score, archive.length, archive.parent))
        self.counts = [np.array(x) for x in (archive.chosen, archive.since_new, archive.seen)]
        self.obs = np.array(archive.obs)
        self.running = {}

    def update(self, rollout):
        r = jax.tree.map(np.asarray, rollout)
        steps, envs = r.reward.shape
        old = (self.score.copy(), self.length.copy(), self.parent.copy())
        chosen, since_new, seen = self.counts
        best, led, seen_now = {}, set(), set()
        episode = np.cumsum(r.first, axis=0)
        for t in range(steps):
            for n in range(envs):
                place = int(r.env_state.place[t, n])
                origin = int(r.level.cell[t, n])
                if r.first[t, n]:
                    chosen[origin] += 1
                    since_new[origin] += 1
                    way = {"trail": [old[2][origin], place], "score": r.level.score[t, n], "length": r.level.length[t, n]}
                    self.running[n] = way
                way = self.running[n]
                if place >= 0 and place != way["trail"][-1]:
                    way["trail"].append(place)
                entries = [(place, way["trail"][-2], way["score"], way["length"], 0)] if place >= 0 else []
                way["score"], way["length"] = np.float32(way["score"] + r.reward[t, n]), way["length"] + 1
                if r.terminated[t, n]:
                    entries.append((CELLS, way["trail"][-1], way["score"], way["length"], 1))
                if place >= 0:
                    seen_now.add((n, episode[t, n], place))
                for cell, parent, score, length, is_end in entries:
                    if (score, -length) > (old[0][cell], -old[1][cell]):
                        led.add(origin)
                        key = (score, -length, -is_end, -t, -n)
                        if cell not in best or key > best[cell][0]:
                            best[cell] = (key, parent, score, length, r.obs[t, n])
        for _, _, place in seen_now:
            seen[place] += 1
        for cell in led:
            since_new[cell] = 0
        for cell, (_, parent, score, length, obs) in best.items():
            self.score[cell], self.length[cell], self.parent[cell], self.obs[cell] = score, length, parent, obs
            chosen[cell] = since_new[cell] = 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_archive_is_that_of_brute_force(seed):
    curriculum = line(weights=(0.0, 0.0, 0.0))
    trainer = trainer_of(curriculum, Line())
    state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(seed), 10**4)
    plain, collect, train_step = Plain(state.curriculum), jax.jit(trainer.collect), jax.jit(trainer.train_step)
    for _ in range(12):
        plain.update(collect(state)[1])
        state = train_step(state)[0]
        archive = state.curriculum
        for name, want in zip(("chosen", "since_new", "seen"), plain.counts, strict=True):
            np.testing.assert_array_equal(getattr(archive, name), want, err_msg=name)
        for name in ("score", "length", "parent"):
            np.testing.assert_array_equal(getattr(archive, name), getattr(plain, name), err_msg=name)
        some = np.asarray(archive.length) >= 0
        np.testing.assert_array_equal(np.asarray(archive.obs)[some], plain.obs[some])
        np.testing.assert_array_equal(np.asarray(jax.vmap(Line().look)(archive.env_state))[some], plain.obs[some])
    assert some.all() and np.asarray(archive.score)[CELLS] >= 5.0, "the walk saw too little for a test"


@pytest.mark.slow
def test_of_two_environments_in_one_cell_the_better_is_kept():
    """Higher score first, then shorter, then the earlier environment; a worse or equal way replaces nothing."""
    curriculum = line()

    def update(archive, score, length, stamp):
        n = len(score)
        state = Spot(jnp.full((1, n), 5, jnp.int32), jnp.asarray([stamp], jnp.int32))
        exact = jnp.zeros((1, n), jnp.float32)
        level = Way(jnp.full((1, n), 2, jnp.int32), jnp.asarray([score], jnp.float32), exact, jnp.asarray([length], jnp.int32))
        rollout = rollout_of(
            np.zeros((1, n)), obs=jnp.asarray([stamp], jnp.float32)[..., None] * jnp.ones(2), first=np.ones((1, n), bool)
        )
        rollout = rollout.replace(env_state=state, level=level)
        return curriculum.update(archive, rollout, context().replace(collected=rollout))[0]

    archive = update(curriculum.init(jax.random.key(0), spec(4)), [1, 2, 2, 2], [3, 9, 8, 8], [10, 11, 12, 13])
    assert (archive.score[5], archive.length[5], archive.env_state.stamp[5], archive.obs[5, 0]) == (2, 8, 12, 12)
    assert archive.chosen[2] == 4 and archive.since_new[2] == 0
    archive = update(archive, [2, 1, 2, 2], [8, 1, 9, 10], [20, 21, 22, 23])
    assert archive.env_state.stamp[5] == 12 and archive.chosen[2] == 8 and archive.since_new[2] == 4
    archive = update(archive, [2, 2, 3, 1], [7, 6, 50, 1], [30, 31, 32, 33])
    assert (archive.score[5], archive.length[5], archive.env_state.stamp[5]) == (3, 50, 32)


@pytest.mark.slow
def test_the_order_of_equal_rewards_makes_no_way_better():
    """Six rewards in 300 orders: equal returns, though float32 sums differ; only a shorter way or a real gain replaces."""
    ways, rng = 300, np.random.default_rng(0)
    rewards = rng.normal(size=(7, ways)).astype(np.float32)
    rewards[6] = 0.0
    other = np.concatenate([rng.permuted(rewards[:6], axis=0), rewards[6:]])
    sums = [np.cumsum(x[:6], axis=0, dtype=np.float32)[-1] for x in (rewards, other)]
    assert np.mean(sums[0] < sums[1]) > 0.2, "no rounding to be seen"
    curriculum = GoExplore(Line(), cell_of=lambda state: state.place, cells=ways + 1)

    @jax.jit
    def update(archive, reward, longer):
        """Environments end in the cells 0, 1, ..., each in its own, or several in one."""
        shape = reward.shape
        place = np.full(shape, ways, np.int32)
        place[6] = np.arange(shape[1]) % ways
        level = Way(*(jnp.full(shape, x, t) for x, t in ((ways, jnp.int32), (0, jnp.float32), (0, jnp.float32))), longer)
        first = jnp.zeros(shape, bool).at[0].set(True)
        state = Spot(jnp.asarray(place), jnp.zeros(shape, jnp.int32))
        rollout = rollout_of(reward, first=first, obs=jnp.zeros((*shape, 2))).replace(env_state=state, level=level)
        return curriculum.update(archive, rollout, context().replace(collected=rollout))[0]

    def length(archive):
        return np.asarray(archive.length)[:ways]

    more, same = (jnp.full((7, ways), x, jnp.int32) for x in (1, 0))
    archive = update(curriculum.init(jax.random.key(0), spec(ways)), rewards, more)
    np.testing.assert_array_equal(length(archive), 7)
    np.testing.assert_array_equal(length(update(archive, other, more + 5)), 7)
    np.testing.assert_array_equal(length(update(archive, other, same)), 6)
    # Both orders in one rollout: of equals the shorter way, wherever it stands.
    both, fresh = np.concatenate([rewards, other], axis=1), curriculum.init(jax.random.key(0), spec(2 * ways))
    for longer in ((more, same), (same, more)):
        np.testing.assert_array_equal(length(update(fresh, both, jnp.concatenate(longer, axis=1))), 6)
    other[3] += 1e-4
    np.testing.assert_array_equal(length(update(archive, other, more + 5)), 12)


@pytest.mark.slow
def test_restored_states_are_exactly_those_stored():
    env = KeyMaze(side=2, size=4, keys=1)
    curriculum = GoExplore(env, env.cell_of, env.num_cells, task=env.default_params)
    trainer = trainer_of(curriculum, env, num_envs=8, length=16, limit=8, repeat=0.7)
    state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 10**4)
    collect, train_step, starts = jax.jit(trainer.collect), jax.jit(trainer.train_step), 0
    for _ in range(20):
        archive, rollout = state.curriculum, collect(state)[1]
        where = np.argwhere(np.asarray(rollout.first)[1:]) + np.array([1, 0])
        for t, n in where:
            cell = rollout.level.cell[t, n]
            here = jax.tree.map(lambda x, t=t, n=n: x[t, n], (rollout.env_state, rollout.obs))
            assert leaves_equal(here, jax.tree.map(lambda x, c=cell: x[c], (archive.env_state, archive.obs)))
            assert int(env.cell_of(here[0])) == cell
        starts += len(where)
        state, metrics = train_step(state)
    assert starts > 100 and metrics["go_explore/cells"] > 10
    way = demonstration(state.curriculum, goal=int(np.argmax(np.asarray(state.curriculum.length)[:-1])))
    cells = np.asarray(jax.vmap(env.cell_of)(way.states))
    assert cells[0] == int(env.cell_of(env.reset(jax.random.key(0), env.default_params)[0])) and len(set(cells)) == len(cells)
    rows = np.asarray(way.states.world.position)
    assert (np.abs(np.diff(rows, axis=0)).sum(1) <= 1).all(), "neighbours on the way are not neighbours on the map"


# ------------------------------------------------------------------------- the way back


def demo():
    archive = line().init(jax.random.key(0), spec())
    parent = jnp.asarray([-1, -1, -1, 2, 3, -1, -1, 4], jnp.int32)
    score = jnp.asarray([0, 0, 0, 0.5, 1, 0, 0, 4], jnp.float32)
    length = jnp.asarray([-1, -1, 0, 1, 2, -1, -1, 3], jnp.int32)
    stored = Spot(jnp.arange(8, dtype=jnp.int32), jnp.zeros(8, jnp.int32))
    return archive._replace(parent=parent, score=score, length=length, env_state=stored)


def test_the_way_to_the_end_and_to_a_cell():
    whole, part = demonstration(demo()), demonstration(demo(), goal=3)
    assert whole.states.place.tolist() == [2, 3, 4] and whole.returns.tolist() == [4.0, 3.5, 3.0]
    assert part.states.place.tolist() == [2, 3] and part.returns.tolist() == [0.5, 0.0]
    both = pad_demonstrations([whole, part])
    assert both.states.place.tolist() == [[2, 3, 4], [2, 2, 3]] and both.returns.shape == (2, 3)
    with pytest.raises(rl.errors.RLJaxError, match="no way to cell 6"):
        demonstration(demo(), goal=6)
    with pytest.raises(rl.errors.RLJaxError, match="in a circle"):
        demonstration(demo()._replace(parent=demo().parent.at[2].set(3)))


@pytest.mark.slow
def test_the_start_moves_back_with_success():
    both = pad_demonstrations([demonstration(demo()), demonstration(demo(), goal=3)])
    curriculum = Backward(Line(), *both, success_rate=0.5, episodes=4)
    state = curriculum.init(jax.random.key(0), spec(4))

    def update(state, which, place, reward, done):
        level = Stage(jnp.full((2, 4), which, jnp.int32), jnp.full((2, 4), place, jnp.int32))
        rollout = rollout_of(reward, truncated=np.asarray(done, bool)).replace(level=level)
        return curriculum.update(state, rollout, context().replace(collected=rollout))[0]

    last = [[0] * 4, [1] * 4]
    # Returns over both steps against the 3 that are asked for from place 2: one of four succeeds, which is too few.
    state = update(state, 0, 2, [[1, 1, 1, 1], [2, 1, 1, 1]], last)
    assert state.place.tolist() == [2, 2] and state.tried.tolist() == [0, 0]
    # Two of four are enough; the first two episodes end in the next rollout, with what they had earned before.
    state = update(state, 0, 2, [[1, 1, 0, 0], [1, 2, 0, 0]], [[0] * 4, [0, 0, 1, 1]])
    assert state.place.tolist() == [2, 2] and state.tried.tolist() == [2, 0]
    state = update(state, 0, 2, [[1, 0, 0, 0], [0, 0, 0, 0]], [[1, 1, 0, 0], [0] * 4])
    assert state.place.tolist() == [1, 2] and state.won.tolist() == [0, 0]
    # Episodes from the place that was left no longer count.
    state = update(state, 0, 2, [[9] * 4, [0] * 4], last)
    assert state.tried.tolist() == [0, 0]
    for want in ([1, 1], [1, 0], [1, 0]):
        state = update(state, 1, int(state.place[1]), [[9] * 4, [0] * 4], last)
        assert state.place.tolist() == want
    start = jax.vmap(curriculum.start, in_axes=(None, 0, 0))(state, jax.random.split(jax.random.key(0), 64), jnp.arange(64))
    assert set(zip(start.level.demonstration.tolist(), start.env_state.place.tolist(), strict=True)) == {(0, 3), (1, 2)}


PLACES = 60


def as_archived(rewards):
    """The demonstration out of an archive that this way was explored for."""
    score, error = [np.float32(0)], [np.float32(0)]
    for reward in rewards:
        total, bound = add_bounded(score[-1], error[-1], reward)
        score.append(np.float32(total))
        error.append(np.float32(bound))
    assert abs(sum(rewards.tolist()) - score[-1]) < error[-1] < 1e-4, "the bound holds, and is small beside a step"
    cells = np.arange(PLACES + 1)
    way = {"parent": cells - 1, "length": cells, "env_state": cells, "obs": cells}
    return demonstration(demo()._replace(score=np.array(score), error=np.array(error), **way))


def from_the_end(rewards):
    """One of one's own, whose returns are ``float32`` sums from the end."""
    places = np.arange(PLACES)
    return Demonstration(places, places, np.cumsum(rewards[::-1], dtype=np.float32)[::-1].copy())


@pytest.mark.parametrize("made", [as_archived, from_the_end])
def test_the_exact_replay_of_a_demonstration_is_a_success_from_every_place(made):
    """-0.001 a step, 1 for the last one; a replay that takes one step more is a failure from all places."""
    rewards = np.full(PLACES, -0.001, np.float32)
    rewards[-1] += 1
    curriculum = Backward(Line(), *pad_demonstrations([made(rewards)]), success_rate=1.0, episodes=1)
    steps = PLACES + 1
    level = Stage(jnp.zeros((steps, PLACES), jnp.int32), jnp.broadcast_to(jnp.arange(PLACES), (steps, PLACES)))
    fresh = curriculum.init(jax.random.key(0), spec(PLACES))

    @jax.jit
    def won(reward, done):
        """Each environment starts from a place of its own, which is made the current one in turn."""
        rollout = rollout_of(reward, truncated=done).replace(level=level)
        moment = context().replace(collected=rollout)
        at = jax.vmap(lambda place: curriculum.update(fresh._replace(place=place[None]), rollout, moment)[1]["backward/won"])
        return at(jnp.arange(PLACES))

    for longer, wins in ((0, 1), (1, 0)):
        left, time = PLACES - np.arange(PLACES) + longer, np.arange(steps)[:, None]
        played = np.where(time < left, np.float32(-0.001), 0) + (time == left - 1).astype(np.float32)
        np.testing.assert_array_equal(won(played, time == left - 1), wins)


def test_a_share_of_successes_that_is_just_enough_is_enough():
    """30 of 100 are 0.3, though 0.3 in float32 times 100 is more than 30; 29 are not."""
    both = pad_demonstrations([demonstration(demo())])
    curriculum = Backward(Line(), *both, success_rate=jnp.float32(0.3), episodes=100)
    level = Stage(jnp.zeros((1, 100), jnp.int32), jnp.full((1, 100), 2, jnp.int32))

    @jax.jit
    def place(wins):
        rollout = rollout_of(9 * (jnp.arange(100) < wins)[None], truncated=np.ones((1, 100), bool)).replace(level=level)
        state = curriculum.init(jax.random.key(0), spec(100))
        return curriculum.update(state, rollout, context().replace(collected=rollout))[0].place

    assert place(30).tolist() == [1] and place(29).tolist() == [2]


def test_actions_are_repeated_as_often_as_said():
    agent = RandomRepeat(0.9).bind(Spec(Line().observation_space(()), Discrete(4), 1, 1))
    first, obs, carry, same = jnp.zeros(20_000, bool), jnp.zeros((20_000, 2)), jnp.full(20_000, 3, jnp.int32), []
    for i, want in ((0, 0.9 + 0.1 / 4), (1, 0.25)):
        now = agent.act((), carry, obs, first if i == 0 else ~first, jax.random.key(i))[1]
        same = float(jnp.mean(now == carry))
        assert abs(same - want) < 0.01 and now.dtype == jnp.int32


class Far(Line):
    """The line with no reward but that of the end."""

    def step(self, key, state, action, params):
        out = super().step(key, state, action, params)
        return out._replace(reward=jnp.where(out.terminated, 5.0, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("x64", [False, True])
def test_both_phases_train_and_vmap(x64):
    """The whole of it, for two seeds at once: a demonstration found on the line, and walked back to its start."""

    def train(curriculum):
        trainer = trainer_of(curriculum, Far())
        return jax.jit(jax.vmap(lambda key: trainer.train(key, 1000, 2)))(jax.random.split(jax.random.key(0), 2))

    with jax.enable_x64(x64), unchecked():
        state, metrics = train(GoExplore(Far(), cell_of=lambda state: state.place, cells=CELLS))
        assert metrics["go_explore/cells"].shape == (2, 2) and (metrics["go_explore/ended"][:, 1] > 0).all()
        archives = [jax.tree.map(lambda x, i=i: x[i], state.curriculum) for i in range(2)]
        both = pad_demonstrations([demonstration(archive) for archive in archives])
        assert both.states.place.tolist() == [[2, 3, 4, 5, 6]] * 2 and both.returns.tolist() == [[5.0] * 5] * 2
        state, metrics = train(Backward(Far(), *both, success_rate=0.1, episodes=4))
        places = np.asarray(metrics["backward/place"])
        assert (places[:, 1] < places[:, 0]).all() and (np.asarray(state.curriculum.place) < 3).all()
