"""Fresh columns mixed with those of the last policies."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from toy import context
from whole_columns import N, columns, names_of, spec_of

from rl_jax.experience import Transform
from rl_jax.replay.rollouts.recent_rollouts import RecentRollouts


@struct.dataclass
class Count(Transform):
    """How many mixtures it has seen."""

    def init(self, key, spec):
        return jnp.int32(0)

    def update(self, state, rollout, context):
        return state + 1, rollout.with_extras(seen=jnp.full(rollout.reward.shape, state)), {}


def test_the_mixture_has_its_share_of_the_window_with_the_log_probabilities_of_then():
    part = RecentRollouts(Count(), share=0.5, until=0.9, window=2)
    state, ages = part.init(jax.random.key(0), spec_of(columns(np.zeros(N)))), set()
    add = jax.jit(part.add)
    for number in range(12):
        own = np.ones((3, N), bool)
        own[number % 3] = False
        fresh = columns(np.ones(N), own=own, mark=100.0 * number)
        held = add(state, fresh, context(progress=number / 12, seed=number))
        batch = part.sample(held, context()).batch
        state = part.release(held)
        names = names_of(batch)
        age = number - names // 100
        assert (age > 0).sum() == (N // 2 if 0 < number < 0.9 * 12 else 0)
        assert age.max(initial=0) <= 2 and (np.sort(names[age == 0]) == np.unique(names[age == 0])).all()
        np.testing.assert_array_equal(batch.extras["log_prob"][0], -names)
        np.testing.assert_array_equal(np.asarray(batch.extras["own"])[(names // 100 % 3).astype(int), np.arange(N)], False)
        np.testing.assert_allclose(batch.extras["weight"].mean(), 1.0, rtol=1e-6)
        assert int(batch.extras["seen"][0, 0]) == number
        ages |= set(age)
    assert ages == {0, 1, 2}
