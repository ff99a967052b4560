"""Errors meant for people: one line that says what is wrong and how to mend it."""


class RLJaxError(ValueError):
    """A mistake in how rl_jax was asked to do something; the message names the fix.

    The command line prints it as one line and exits with status 2.
    """


class UnsupportedSpace(RLJaxError):
    """An agent or a network cannot serve an observation or action space."""


class ProtocolError(RLJaxError):
    """An environment, transform or agent breaks the protocol that it claims to follow."""


class MissingExtra(RLJaxError):
    """An optional integration is not installed."""

    def __init__(self, feature: str, extra: str):
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'rl_jax[{extra}]'")


class NonFinite(RLJaxError):
    """NaN or infinity was met in training."""
