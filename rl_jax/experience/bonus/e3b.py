"""E3B: an episodic bonus for continuous observations, the elliptical counterpart of a count."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.bonus.fit import Model
from rl_jax.experience.bonus.inverse_dynamics import InverseDynamics
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Positive


class Ellipse(NamedTuple):
    """The encoder, and a root ``S`` ``[N, D, D]`` of the inverse of each episode's ``C = ridge * I + sum phi phi^T`` so far:
    ``S S^T = C^{-1}``."""

    encoder: Model
    root: jax.Array


@struct.dataclass
class E3B:
    """``phi(o)^T C^{-1} phi(o)``, where ``C`` sums the features of the episode's observations before ``o``.

    Exploration via elliptical episodic bonuses (Henaff et al. 2022, arXiv:2210.05805, eq. 2).

    With one-hot features it is ``1 / (ridge + N)`` of an episodic count ``N`` of the visits before. What is updated is a root of the
    inverse, see :func:`elliptical`: features need not be small, nor have the mean 0.

    As in the authors' code (facebookresearch/e3b, ``minihack/torchbeast/src/utils.py``), a step is paid for ``o``, the observation
    that it was taken on, and not for the one that it led to, as other bonuses here are: a place is paid with the step
    that leaves it, and an episode's last observation never. The first step of an episode gets nothing, and its
    observation is gathered all the same, so that coming back to the start is not new.

    Attributes:
        encoder: the features; learns after each rollout.
        ridge: of an empty episode's ``C``.
    """

    encoder: InverseDynamics
    ridge: Any = 0.1

    def init(self, key: Key, spec: Spec) -> Ellipse:
        check_numbers("E3B's", self, ridge=Positive)
        return Ellipse(self.encoder.init(key), jnp.broadcast_to(self._empty(), (spec.num_envs, *self._empty().shape)))

    def _empty(self) -> jax.Array:
        return jnp.eye(self.encoder.features, dtype=jnp.float32) * self.ridge**-0.5

    def bonus(self, state: Ellipse, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        """The bonuses ``[T, N]`` of the encoder as it was; then the encoder learns from the rollout."""
        phi = self.encoder.phi(state.encoder, rollout.obs)
        root, bonus = elliptical(state.root, phi, rollout.first, self._empty())
        encoder, loss = self.encoder.learn(state.encoder, rollout, context.key)
        return Ellipse(encoder, root), bonus, {"bonus/e3b_loss": loss}


def elliptical(root: jax.Array, phi: jax.Array, first: jax.Array, empty: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Bonuses ``[T, N]`` of features ``[T, N, D]``, and the roots ``[N, D, D]`` after them.

    With ``f = S^T phi`` the bonus is ``b = f^T f``, and ``S <- S - S f f^T / (1 + b + sqrt(1 + b))`` is the root of the inverse that
    the Sherman-Morrison formula gives (Potter's form of it; Bierman 1977, *Factorization Methods for Discrete Sequential
    Estimation*, section II.8). The formula itself subtracts nearly equal ``float32`` numbers where features are large: with
    features near 100 that scatter by 1 its bonuses are off by 5% in the mean and by a factor of 25 at worst, those of the root by 1e-4.

    Args:
        root: ``[N, D, D]`` before the first step.
        phi: features of what each step was taken on.
        first: ``[T, N]``, whether the step is the first of its episode.
        empty: ``[D, D]`` of a fresh episode.
    """

    def step(root: jax.Array, x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        phi, first = x
        root = jnp.where(first[:, None, None], empty, root)
        f = jnp.einsum("nij,ni->nj", root, phi, precision="highest")
        b = jnp.sum(f * f, axis=-1)
        u = jnp.einsum("nij,nj->ni", root, f, precision="highest") / (1.0 + b + jnp.sqrt(1.0 + b))[:, None]
        return root - u[:, :, None] * f[:, None, :], jnp.where(first, 0.0, b)

    return jax.lax.scan(step, root, (phi, first))
