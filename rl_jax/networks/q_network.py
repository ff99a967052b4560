"""Networks for action values: torso, memory, hidden layers, one output (or one distribution) per action."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import chosen
from rl_jax.networks.memory.recurrent import GRU, NoMemory
from rl_jax.networks.noisy import NoisyDense
from rl_jax.networks.torsos import ACTIVATIONS, MLP, Dense, LayerNorm, is_image, torso
from rl_jax.spaces import seen_by_actor
from rl_jax.types import Spec


@struct.dataclass
class QOutputs:
    """The outputs of a Q-network on observations ``[T, N, ...]``.

    Attributes:
        raw: outputs per action ``[T, N, A, K]``: values (``K = 1``), logits or quantiles.
        hidden: the features after torso and memory ``[T, N, features]``.
    """

    raw: jax.Array
    hidden: jax.Array


class QNetwork(nn.Module):
    """``(carry, obs [T, N, ...], first [T, N]) -> (carry, QOutputs)``.

    With ``dueling`` the outputs are ``V + A - mean(A)`` (Wang et al. 2016, "Dueling Network Architectures", eq. 9), for
    distributions atom by atom (Hessel et al. 2018, Rainbow). ``V`` and ``A`` have hidden layers of their own.

    Attributes:
        torso: observations to features.
        memory: :class:`~rl_jax.networks.NoMemory` or :class:`~rl_jax.networks.GRU`.
        widths: hidden layers of each head.
        activation: a name from :data:`~rl_jax.networks.ACTIVATIONS`.
        actions, atoms: ``A`` and ``K``.
        dueling: see above.
        noisy: :class:`~rl_jax.networks.NoisyDense` layers after the memory.
        normalize: layer normalisation before each activation of the heads (Ba et al. 2016), as PQN needs.
        dtype: of the hidden layers' arithmetic.
    """

    torso: nn.Module
    memory: Any
    widths: tuple[int, ...]
    activation: str
    actions: int
    atoms: int = 1
    dueling: bool = False
    noisy: bool = False
    normalize: bool = False
    dtype: str = "float32"

    def _head(self, x: jax.Array, outputs: int) -> jax.Array:
        for width in self.widths:
            x = NoisyDense(width)(x) if self.noisy else Dense(width, dtype=self.dtype)(x)
            if self.normalize:
                x = LayerNorm()(x)
            x = chosen("activation", self.activation, ACTIVATIONS)(x)
        # Small first values, so that no action is preferred by chance.
        return NoisyDense(outputs)(x) if self.noisy else Dense(outputs, 0.01)(x)

    @nn.compact
    def __call__(self, carry: Any, obs: Any, first: jax.Array) -> tuple[Any, QOutputs]:
        carry, hidden = self.memory(carry, self.torso(obs), first)
        raw = self._head(hidden, self.actions * self.atoms)
        raw = raw.reshape(*raw.shape[:-1], self.actions, self.atoms)
        if self.dueling:
            value = self._head(hidden, self.atoms)[..., None, :]
            raw = value + raw - jnp.mean(raw, axis=-2, keepdims=True)
        return carry, QOutputs(raw, hidden)

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> Any:
        """The memory before an episode, leading axis ``[N]``."""
        return self.memory.initial_carry(num_envs)


def q_network(
    spec: Spec,
    atoms: int = 1,
    hidden: tuple[int, ...] = (64, 64),
    activation: str = "relu",
    dueling: bool = False,
    noisy: bool = False,
    normalize: bool = False,
    memory: str = "none",
    memory_width: int = 64,
    dtype: str = "float32",
) -> QNetwork:
    """The usual Q-network for a pair of spaces.

    Image-like observations (three axes) go through the MinAtar network (Young & Tian 2019); its layer of 128 is then the
    heads' only hidden layer, with ``dueling`` 64 for each of the two, so that networks with and without it are of one size.
    With ``memory="gru"``, vectors get one layer of ``hidden[0]`` before the memory. ``dtype`` is that of the hidden layers'
    arithmetic (not of noisy ones, the memory's, the outputs' or the parameters').
    """
    space = seen_by_actor(spec.obs_space)  # it acts
    image = is_image(space)
    features = torso(space, width=None, normalize=normalize, dtype=dtype)
    widths = ((64,) if dueling else (128,)) if image else hidden
    if memory == "gru" and not image:
        features = nn.Sequential([features, MLP(hidden[:1], chosen("activation", activation, ACTIVATIONS), normalize, dtype)])
        widths = hidden[1:]
    return QNetwork(
        torso=features,
        memory=chosen("memory", memory, {"none": NoMemory(), "gru": GRU(memory_width)}),
        widths=widths,
        activation="relu" if image else activation,
        actions=spec.action_space.n,  # type: ignore[union-attr]
        atoms=atoms,
        dueling=dueling,
        noisy=noisy,
        normalize=normalize,
        dtype=dtype,
    )
