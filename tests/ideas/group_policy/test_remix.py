"""ReMix: its constraint, its two stages, and its surrogate, against the formulas by hand."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from toy import context
from whole_columns import N, T, columns, spec_of

from rl_jax.ideas.group_policy.remix import Anchors, ConvexKL, UpdatesUntil
from rl_jax.losses.proximal import ProximalMix
from rl_jax.networks.distributions import Categorical


class Tilted:
    """An agent of two actions whose logits are ``(0, params)`` at every step."""

    def params(self, state):
        return state

    def outputs(self, params, rollout):
        logits = jnp.broadcast_to(jnp.stack([jnp.zeros(()), params]), (*rollout.reward.shape, 2))
        return SimpleNamespace(policy=Categorical(logits))


def test_the_base_is_the_first_policy_until_it_is_reborn_once():
    part = Anchors(jnp.float32(0.0), until=0.5)
    rollout = columns(np.zeros(N))
    state, seen = part.init(jax.random.key(0), spec_of(rollout)), []
    for number, params in enumerate((1.0, 2.0, 3.0, 4.0, 5.0)):
        known = {"agent": Tilted(), "agent_state": jnp.float32(params), "progress": number / 5}
        state, out, _ = part.update(state, rollout, context(**known))
        extras = out.extras
        seen.append((float(extras["base_logits"][0, 0, 1]), float(extras["previous_logits"][0, 0, 1])))
        np.testing.assert_allclose(extras["proximal_log_prob"], -np.log1p(np.exp(params)), rtol=1e-5)
    assert seen == [(1, 1), (1, 1), (1, 2), (4, 3), (4, 4)]


def test_the_constraint_is_a_convex_pair_of_divergences():
    rng = np.random.default_rng(0)
    now, base, previous = rng.normal(size=(3, T, N, 5))
    rollout = columns(np.zeros(N)).with_extras(base_logits=jnp.asarray(base), previous_logits=jnp.asarray(previous))
    outputs = SimpleNamespace(policy=Categorical(jnp.asarray(now)))

    def log_softmax(x):
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    def kl(other):
        return (np.exp(log_softmax(now)) * (log_softmax(now) - log_softmax(other))).sum(-1)

    for update, share in ((0, 1.0), (50, 1.0), (51, 0.9), (60, 0.9), (61, 0.8), (95, 0.5), (400, 0.5)):
        loss, _ = ConvexKL()({}, rollout, context(outputs=outputs).replace(update=jnp.int32(update)))
        np.testing.assert_allclose(loss, share * kl(base) + (1 - share) * kl(previous), rtol=2e-4, atol=1e-6)


def test_several_updates_until_the_switch_and_then_one():
    part = UpdatesUntil(3, 0.5)
    assert [int(part.count((), None, context(progress=p))[1]) for p in (0.0, 0.49, 0.5, 1.0)] == [3, 3, 1, 1]


def test_the_clip_stands_around_the_present_policy():
    """Worked by hand: behaviour 0.25, present 0.5 (centre 2), bounds 1.8 and 2.2."""
    for new, advantage, expected in ((0.5, 1, -2.0), (0.6, 1, -2.2), (0.6, -1, 2.4), (0.4, 1, -1.6), (0.4, -1, 1.8)):
        rollout = columns(np.full(N, float(advantage))).with_extras(
            log_prob=jnp.full((T, N), np.log(0.25)), proximal_log_prob=jnp.full((T, N), np.log(0.5))
        )
        policy = SimpleNamespace(log_prob=lambda action, new=new: jnp.full((T, N), np.log(new)))
        loss, metrics = ProximalMix(0.2)({}, rollout, context(outputs=SimpleNamespace(policy=policy)))
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        assert float(metrics["policy/clip_fraction"].mean()) == float(abs(new - 0.5) > 0.06)
