"""Numbers of agents whose policies draw actions from noise, by diffusion or by a flow."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.offline import OfflineConfig, OfflineValueConfig
from rl_jax.errors import RLJaxError
from rl_jax.values import Count, Positive, Range, Share, Widths, short


def denoiser_layers(config: OfflineConfig) -> dict[str, Any]:
    """What :func:`rl_jax.networks.denoiser.denoiser` is told about the hidden layers."""
    width, *others = config.hidden
    return {"width": width, "blocks": len(others), "activation": config.activation, "dtype": config.torso_dtype}


def check_one_width(config: OfflineConfig) -> None:
    """Refuse hidden layers that a residual network cannot have.

    Raises:
        RLJaxError: they are not all of one width.
    """
    if len(set(config.hidden)) > 1:
        raise RLJaxError(f"--hidden {short(config.hidden)} of a residual network: give layers of one width, such as 64 64 64")


@dataclass(frozen=True)
class DiffusionBCConfig(OfflineConfig):
    """Diffusion policy (Chi et al. 2023) as one flat list of numbers: cloning by a denoiser of actions."""

    RUN = OfflineConfig.RUN

    hidden: Widths = (64, 64, 64)
    """Widths of the denoiser's layers, all the same (Chi et al.: a convolutional U-net of 256 512 1024)."""
    process: Literal["edm", "ddpm", "flow"] = "edm"
    """How actions become noise, and noise actions (Chi et al.: DDPM)."""
    sampler_steps: Count = 3
    """Calls of the network per decision (BESO: 3; Chi et al.: 100, or 10 of DDIM)."""
    chunk: Count = 1
    """Actions that are decided on at once (Chi et al.: 16)."""
    executed: Count = 1
    """How many of them are played before the next decision (Chi et al.: 8)."""
    tau: Share = 0.005
    """Share of the way that the copy of the network which acts moves per learning step (Chi et al.: falls to 1e-4)."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        super().check()
        check_one_width(self)
        if self.executed > self.chunk:
            raise RLJaxError(f"--executed {self.executed} of chunks of {self.chunk}: play at most as many, or decide on more")

    def transforms(self) -> tuple[Any, ...]:
        """Chunks of actions, if there are any."""
        return (rl.replay.ActionChunks(),) if self.chunk > 1 else ()

    def length(self) -> int:
        """Steps of the trajectories that are drawn."""
        return self.chunk

    def agent(self) -> "rl.agents.offline.DiffusionClone | rl.agents.chunked.Chunked":
        """The agent alone."""
        return rl.agents.offline.diffusion_bc(config=self)


@dataclass(frozen=True)
class FQLConfig(OfflineValueConfig):
    """Flow Q-learning (Park et al. 2025) as one flat list of numbers."""

    hidden: Widths = (64, 64)
    """Widths of the layers of all networks, all the same (the paper: four of 512)."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "gelu"
    """Activation of the hidden layers."""
    alpha: Positive = 1.0
    """How strongly the policy is held to the data's actions (the paper: 3 to 1000 by task, with values as they are)."""
    normalize: bool = True
    """Divide the policy's value by its mean size, as the authors advise for new tasks; the paper does not."""
    flow_steps: Annotated[int, Range(1, 1000)] = 10
    """Steps of Euler's method from noise to an action of the data."""
    target: Literal["mean", "min"] = "mean"
    """Which of the two critics' values is the target (min: antmaze-large and -giant in the paper)."""
    layer_norm: bool = True
    """Layer normalisation in the critics."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        super().check()
        check_one_width(self)

    def agent(self) -> "rl.agents.offline.FlowQ":
        """The agent alone."""
        return rl.agents.offline.fql(config=self)
