"""Experience transforms against brute-force NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import LinearValue, border, context, rollout_of

from rl_jax.errors import RLJaxError
from rl_jax.experience import (
    GAE,
    Chain,
    ClipReward,
    NormalizeObs,
    NormalizeReward,
    Transform,
    chain,
    clip_reward,
    gae,
    normalize_obs,
    standardize_advantage,
)
from rl_jax.experience.advantage.gae import values_of_truncated
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.experience.scaling.online import push
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

T, N = 7, 3
SPEC = Spec(Box.of(-np.inf, np.inf, (2,)), Discrete(2), N, T)
few = settings(max_examples=40, deadline=None)

# ------------------------------------------------------------------------------------------------------------- GAE


def trajectory(seed, ends, recurrent):
    """A consistent rollout as NumPy arrays: ``next_obs[t]`` is ``obs[t+1]`` except where an episode ends.

    ``ends`` ``[T, N]``: 0 nothing, 1 terminated, 2 truncated.
    """
    rng = np.random.default_rng(seed)
    obs, final, carry = (rng.normal(size=(T + 1, N, 1)).astype(np.float32) for _ in range(3))
    ends = np.asarray(ends).reshape(T, N)
    done = ends > 0
    next_obs = np.where(done[..., None], final[:T], obs[1:])
    first = np.concatenate([rng.uniform(size=(1, N)) < 0.5, done])
    return dict(
        reward=rng.normal(size=(T, N)).astype(np.float32), terminated=ends == 1, truncated=ends == 2,
        obs=obs, next_obs=next_obs, first=first, carry=carry if recurrent else None,
    )  # fmt: skip


def true_value(obs, carry, first):
    value = 2.0 * obs[..., 0] + 1.0
    return value if carry is None else value + np.where(first, 0.0, carry[..., 0])


def brute_force(data, gamma, lam):
    """Advantages by the definition: for every step, the discounted sum of the deltas until the trace is cut."""
    values = true_value(data["obs"], data["carry"], data["first"])
    carry_after = None if data["carry"] is None else data["carry"][1:]
    beyond = true_value(data["next_obs"], carry_after, np.zeros((T, N), bool))
    advantage = np.zeros((T, N))
    for n in range(N):
        for t in range(T):
            weight = 1.0
            for k in range(t, T):
                after = 0.0 if data["terminated"][k, n] else beyond[k, n]
                advantage[t, n] += weight * (data["reward"][k, n] + gamma * after - values[k, n])
                if data["terminated"][k, n] or data["truncated"][k, n]:
                    break
                weight *= gamma * lam
    return advantage, values[:T]


def as_rollout(data):
    carry = () if data["carry"] is None else jnp.asarray(data["carry"])
    here, end = (() if data["carry"] is None else carry[:T]), (() if data["carry"] is None else carry[T])
    return rollout_of(
        data["reward"], data["terminated"], data["truncated"], jnp.asarray(data["obs"][:T]), jnp.asarray(data["next_obs"]),
        data["first"][:T], here, border(data["obs"][T], data["first"][T], end),
        value=true_value(data["obs"], data["carry"], data["first"])[:T].astype(np.float32),
        # The loop computes these for agents that remember; a feed-forward agent's are computed in the transform.
        truncated_value=(truncated_values(data) if data["carry"] is not None else np.full((T, N), np.nan)).astype(np.float32),
    )  # fmt: skip


def truncated_values(data):
    after = None if data["carry"] is None else data["carry"][1:]
    return np.where(data["truncated"], true_value(data["next_obs"], after, np.zeros((T, N), bool)), 0.0)


@jax.jit
def run_gae(gamma, lam, rollout):
    _, rollout, metrics = GAE(gamma, lam).update((), rollout, context(LinearValue()))
    return rollout.extras["advantage"], rollout.extras["value_target"], metrics


def check_gae(data, gamma, lam):
    expected, values = brute_force(data, gamma, lam)
    advantage, target, _ = run_gae(gamma, lam, as_rollout(data))
    np.testing.assert_allclose(advantage, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(target, expected + values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recurrent", [False, True])
@few
@given(
    seed=st.integers(0, 2**31 - 1),
    ends=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=T * N, max_size=T * N),
    gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    lam=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_gae_is_the_definition(recurrent, seed, ends, gamma, lam):
    """Ends of both kinds anywhere: termination has no future, truncation has its own, and both cut the trace."""
    check_gae(trajectory(seed, ends, recurrent), gamma, lam)


def only(*places, kind=2):
    ends = np.zeros((T, N), int)
    for place in places:
        ends[place] = kind
    return ends


CASES = {
    "nothing ends": only(),
    "every step truncated": np.full((T, N), 2),
    "every step terminated": np.full((T, N), 1),
    "one environment truncated thrice": only((0, 1), (2, 1), (5, 1)),
    "truncated at the first step": only((0, 0)),
    "truncated at the last step": only((T - 1, 2)),
    "all truncated at the last step": only(*((T - 1, n) for n in range(N))),
    "terminated at the last step": only((T - 1, 0), kind=1),
    "more truncations than one block holds": only((0, 0), (1, 1), (2, 2), (3, 0), (4, 1)),
}


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_gae_at_the_corners(case, recurrent):
    """The blocks in which truncated steps are evaluated must neither miss one nor spill over."""
    check_gae(trajectory(3, CASES[case], recurrent), 0.9, 0.8)


def test_gae_with_lambda_one_is_the_discounted_return():
    """Without ends the value target is the discounted sum of rewards plus the discounted last value."""
    data = trajectory(0, CASES["nothing ends"], False)
    _, target, _ = run_gae(0.9, 1.0, as_rollout(data))
    returns = true_value(data["obs"], None, None)[T]
    for t in reversed(range(T)):
        returns = data["reward"][t] + 0.9 * returns
        np.testing.assert_allclose(target[t], returns, rtol=1e-4, atol=1e-4)


def test_gae_in_a_batch_is_gae_alone():
    """Under vmap one run's truncation makes all runs enter the branch; the others' values must not change."""
    datas = [
        trajectory(i, CASES[name], False)
        for i, name in enumerate(["nothing ends", "every step truncated", "truncated at the first step"])
    ]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *map(as_rollout, datas))
    advantage, _, _ = jax.jit(jax.vmap(partial(run_gae, 0.9, 0.8)))(stacked)
    for i, data in enumerate(datas):
        np.testing.assert_allclose(advantage[i], brute_force(data, 0.9, 0.8)[0], rtol=1e-4, atol=1e-4)


def test_truncated_values_are_zero_elsewhere():
    """Only truncated steps have a value of their own; a spill would count twice."""
    for recurrent in (False, True):
        data = trajectory(1, CASES["one environment truncated thrice"], recurrent)
        got = values_of_truncated(as_rollout(data), context(LinearValue()))
        np.testing.assert_allclose(got, truncated_values(data), rtol=1e-5, atol=1e-6)


def test_gae_metrics():
    """Explained variance is 1 for perfect values and 0 for values that explain nothing."""
    data = trajectory(0, CASES["every step terminated"], False)
    rollout = as_rollout(data)
    for value, explained in ((data["reward"], 1.0), (np.full((T, N), 3.0, np.float32), 0.0)):
        _, _, metrics = run_gae(0.9, 0.8, rollout.with_extras(value=jnp.asarray(value)))
        np.testing.assert_allclose(metrics["value/explained_variance"], explained, atol=1e-5)
        np.testing.assert_allclose(metrics["value/mean"], value.mean(), rtol=1e-5)


# --------------------------------------------------------------------------------------------------- normalisation


@jax.jit
def merged(moments, batch):
    return moments.merge(batch)


@few
@given(seed=st.integers(0, 2**31 - 1), batches=st.integers(1, 5), scale=st.sampled_from([1e-2, 1.0, 100.0]))
def test_moments_are_those_of_all_data(seed, batches, scale):
    """Merging batch by batch gives the mean and population variance of everything seen."""
    rng = np.random.default_rng(seed)
    data = scale * (rng.normal(size=(batches, 8, 2)) * [1.0, 3.0] + rng.normal(size=(batches, 1, 2)))
    moments = RunningMoments.zero((2,))
    for batch in data:
        moments = merged(moments, jnp.asarray(batch))
    everything = data.reshape(-1, 2)
    assert float(moments.count) == len(everything)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(moments.var, everything.var(0), rtol=1e-3, atol=1e-5 * scale**2)


def test_moments_before_any_data_change_nothing():
    """The first rollout is shown as it is: mean 0, variance 1."""
    moments = RunningMoments.zero((2,))
    np.testing.assert_array_equal(moments.mean, [0, 0])
    np.testing.assert_array_equal(moments.var, [1, 1])


@pytest.mark.parametrize("size, merges", [(1, 2**18), (64, 2**14), (2048, 2**10)])
def test_moments_of_long_runs_are_those_of_float64(size, merges):
    """The mean moves by half a deviation: in ``float32`` alone it stays where it was in eight of these nine, and so does the count
    of single items."""
    before = np.asarray([1000, 2**24, 2**25, 2**27])
    data = (100.5 + np.random.default_rng(size).standard_normal(1024 if size == 1 else size)).astype(np.float32)
    items = jnp.asarray(data)

    def more(i, moments):
        return moments.merge(items) if size > 1 else push(moments, items[i % 1024])

    start = jax.vmap(lambda count: RunningMoments.of(100.0, 1.0, count))(before)
    with jax.debug_key_reuse(False):
        found = jax.jit(jax.vmap(lambda one: jax.lax.fori_loop(0, merges, more, one)))(start)
    block = data.astype(np.float64)
    total = before + size * merges
    share, shift = size * merges / total, block.mean() - 100.0
    mean, var = 100.0 + shift * share, 1.0 - share + block.var() * share + shift**2 * share * (1.0 - share)
    assert (np.abs(mean - 100.0) > 5e-4).all()
    np.testing.assert_allclose(found.mean[1:], mean[1:], rtol=0, atol=1.5e-5)  # twice the spacing of float32 at 100
    np.testing.assert_allclose(found.var[1:], var[1:], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.mean[0], mean[0], rtol=0, atol=0.02)
    assert (np.asarray(found.count, np.int64) + np.asarray(found.rest[2], np.int64)).tolist() == total.tolist()


def obs_rollout(seed, shift=3.0):
    rng = np.random.default_rng(seed)
    obs, next_obs, last = (shift + 2.0 * rng.normal(size=s).astype(np.float32) for s in ((T, N, 2), (T, N, 2), (N, 2)))
    return rollout_of(
        np.zeros((T, N)), obs=jnp.asarray(obs), next_obs=jnp.asarray(next_obs),
        last=border(last),
    )  # fmt: skip


def test_normalize_obs_learns_raw_statistics_and_shows_old_ones():
    """Every observation of a rollout is scaled by the statistics from before it; they learn from raw observations only."""
    transform = normalize_obs()
    state = transform.init(jax.random.key(0), SPEC)
    seen = []
    for i in range(3):
        raw = obs_rollout(i)
        new, out, _ = transform.update(state, raw, context())
        if not seen:
            np.testing.assert_allclose(out.obs, raw.obs, rtol=1e-6)
        else:
            data = np.concatenate(seen).reshape(-1, 2)
            for got, original in ((out.obs, raw.obs), (out.next_obs, raw.next_obs), (out.last.obs, raw.last.obs)):
                expected = np.clip((np.asarray(original) - data.mean(0)) / np.sqrt(data.var(0) + 1e-8), -10, 10)
                np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(out.obs, transform.observe(state, raw.obs))
        seen.append(np.asarray(raw.obs).reshape(-1, 2))
        data = np.concatenate(seen)
        np.testing.assert_allclose(new.mean, data.mean(0), rtol=1e-4)
        np.testing.assert_allclose(new.var, data.var(0), rtol=1e-3)
        state = new


def test_normalize_obs_clips():
    """A rare huge observation must not reach the network unbounded."""
    transform = normalize_obs(clip=2.0)
    state = transform.init(jax.random.key(0), SPEC)
    np.testing.assert_allclose(transform.observe(state, jnp.asarray([[50.0, -1.5], [-50.0, 1.0]])), [[2.0, -1.5], [-2.0, 1.0]])


def test_normalize_obs_leaves_names_alone():
    """A discrete observation is a name; scaling it would change which one it is."""
    transform = normalize_obs()
    spec = Spec(Discrete(5), Discrete(2), N, T)
    state = transform.init(jax.random.key(0), spec)
    rollout = rollout_of(np.zeros((T, N)), obs=jnp.arange(T * N).reshape(T, N) % 5)
    new, out, _ = transform.update(state, rollout, context())
    assert new == state == ()
    np.testing.assert_array_equal(out.obs, rollout.obs)
    np.testing.assert_array_equal(transform.observe(state, rollout.obs), rollout.obs)


@few
@given(seed=st.integers(0, 2**31 - 1), gamma=st.sampled_from([0.0, 0.9, 1.0]), rate=st.sampled_from([0.0, 0.2, 1.0]))
def test_normalize_reward_is_the_loop(seed, gamma, rate):
    """Each environment runs its own discounted return, over rollouts, started afresh at ends; rewards keep their mean."""
    rng = np.random.default_rng(seed)
    transform = NormalizeReward(gamma, clip=1.5)
    state = transform.init(jax.random.key(0), SPEC)
    traces, seen = np.zeros(N), []
    for _ in range(2):
        reward = 1.0 + rng.normal(size=(T, N)).astype(np.float32)
        ends = (rng.uniform(size=(T, N)) < rate) * rng.integers(1, 3, size=(T, N))
        state, out, metrics = normalize_reward_update(transform, state, rollout_of(reward, ends == 1, ends == 2))
        for t in range(T):
            for n in range(N):
                traces[n] = gamma * traces[n] + reward[t, n]
                seen.append(traces[n])
                if ends[t, n]:
                    traces[n] = 0.0
        scale = 1.0 / np.sqrt(np.var(seen) + 1e-8)
        np.testing.assert_allclose(metrics["reward/scale"], scale, rtol=1e-3)
        np.testing.assert_allclose(out.reward, np.clip(reward * scale, -1.5, 1.5), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(state.trace, traces, rtol=1e-4, atol=1e-5)


@jax.jit
def normalize_reward_update(transform, state, rollout):
    return transform.update(state, rollout, context())


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 2.5), (-3.0, -1.0)])
def test_clip_reward(low, high):
    """Both bounds hold, and what lies between them is not touched."""
    reward = np.linspace(-6, 6, T * N, dtype=np.float32).reshape(T, N)
    for transform in (ClipReward(low, high), clip_reward(low, high)):
        _, out, _ = transform.update((), rollout_of(reward), context())
        np.testing.assert_array_equal(out.reward, np.clip(reward, np.float32(low), np.float32(high)))


def test_standardize_advantage():
    """Over all T * N items at once, not per environment or per step."""
    advantage = np.random.default_rng(0).normal(5.0, 3.0, size=(T, N)) + np.arange(N)
    _, out, _ = standardize_advantage().update((), rollout_of(np.zeros((T, N)), advantage=advantage), context())
    np.testing.assert_allclose(out.extras["advantage"], (advantage - advantage.mean()) / advantage.std(), rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------------------------------------------------- chain


@struct.dataclass
class Affine(Transform):
    """``reward * scale + shift``; remembers its key, doubles observations, logs under its name."""

    scale: float = 1.0
    shift: float = 0.0
    name: str = struct.field(pytree_node=False, default="x")

    def init(self, key, spec):
        return jax.random.key_data(key)

    def observe(self, state, obs):
        return obs * self.scale + self.shift

    def update(self, state, rollout, context):
        key = jax.random.key_data(context.key)
        return key, rollout.replace(reward=rollout.reward * self.scale + self.shift), {self.name: self.shift}


DOUBLE, PLUS = Affine(scale=2.0, name="double"), Affine(shift=1.0, name="plus")


def through(transform):
    state = transform.init(jax.random.key(0), SPEC)
    new, rollout, metrics = transform.update(state, rollout_of(np.ones((T, N))), context(seed=1))
    return state, new, float(rollout.reward[0, 0]), float(transform.observe(state, jnp.float32(1.0))), metrics


def test_chain_applies_in_order():
    """Reward and observation go through the transforms from left to right; metrics of all come back."""
    *_, reward, obs, metrics = through(chain(DOUBLE, PLUS))
    assert (reward, obs) == (3.0, 3.0)
    assert metrics == {"double": 0.0, "plus": 1.0}
    *_, reward, obs, _ = through(chain(PLUS, DOUBLE))
    assert (reward, obs) == (4.0, 4.0)


def test_chain_gives_every_transform_its_own_key():
    """Two noises in one chain that shared a key would be the same noise."""
    state, new, *_ = through(chain(DOUBLE, PLUS, DOUBLE.replace(name="again")))
    words = {tuple(w.tolist()) for w in (*state, *new)}
    assert len(words) == 6


def test_chains_of_chains():
    """A chain is a transform: nesting changes the keys, not the result."""
    more, last = PLUS.replace(name="more"), DOUBLE.replace(name="last")
    _, _, reward, obs, metrics = through(chain(chain(DOUBLE), chain(chain(), PLUS, chain(more, last))))
    assert (reward, obs) == (8.0, 8.0)
    assert metrics == {"double": 0.0, "plus": 1.0, "more": 1.0, "last": 0.0}


def test_two_transforms_do_not_report_under_one_name():
    """One of the two numbers would be lost."""
    with pytest.raises(RLJaxError, match="two parts report a metric 'plus'"):
        through(chain(PLUS, PLUS))


def test_empty_chain_changes_nothing():
    """An empty chain is the identity."""
    state, new, reward, obs, metrics = through(chain())
    assert (state, new, reward, obs, metrics) == ((), (), 1.0, 1.0, {})


def test_hyperparameters_are_leaves():
    """Numbers can be vmapped: a sweep over gamma is one program."""
    assert isinstance(chain(gae()), Chain)
    assert jax.tree.leaves(chain(gae(0.9, 0.8), NormalizeObs(5.0, 1e-3))) == [0.9, 0.8, 5.0, 1e-3]
    data = trajectory(0, CASES["truncated at the first step"], False)
    advantage = jax.vmap(lambda gamma: run_gae(gamma, 0.8, as_rollout(data))[0])(jnp.asarray([0.5, 0.9]))
    for i, gamma in enumerate((0.5, 0.9)):
        np.testing.assert_allclose(advantage[i], brute_force(data, gamma, 0.8)[0], rtol=1e-4, atol=1e-4)
