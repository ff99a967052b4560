"""Errors in a user's own code while it is traced, in one line: which function, where it stands, and what to do."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rl_jax.errors import ProtocolError, RLJaxError

#: What to do about an error, by words in its type or text; the first that fits.
_FIXES = {
    "TracerBoolConversion": "'if', 'and' and 'while' cannot ask an array: use jnp.where, jnp.logical_and or jax.lax.cond",
    "TracerIntegerConversion": "an array cannot be a Python index or size: index with jnp, or make the number a static field",
    "TracerArrayConversion": "use jax.numpy in place of numpy",
    "Concretization": "a number of the program is no Python number: keep it an array, or make it a static field",
    "Gradient only defined for scalar-output": "let the loss be one number, such as its mean",
    "grad requires real": "let the loss and what it is differentiated by be floats",
    "ScopeParamShape": "let the network's input have the shape that it had at its init",
    "unhashable": "make static fields tuples or frozen dataclasses",
}
#: Packages whose frames are nobody's mistake; ``rl_jax`` is told by its folder, wherever it lies.
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "numpy")
_HOME = str(Path(__file__).parent)
_STDLIB = sysconfig.get_path("stdlib")


@contextmanager
def naming_function() -> Iterator[None]:
    """Where tracing fails in a user's function, or in what it calls, the function is named.

    Raises:
        ProtocolError: with the function, its file and line, the first line of the error, and a fix. What fails outside of such a
            function stays what it is.
    """
    try:
        yield
    except RLJaxError:
        raise
    except Exception as error:  # whatever a user's code raises
        own = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_own(frame)]
        if not own:
            raise
        frame, line = own[-1]
        what = frame.f_code.co_qualname.replace(".<locals>", "")
        text = (str(error).strip() or "no message").splitlines()[0][:200]
        kind = type(error).__name__
        fix = next((fix for words, fix in _FIXES.items() if words in f"{kind}: {text}"), "correct that")
        place = f"{Path(frame.f_code.co_filename).name}, line {line}"
        raise ProtocolError(f"{what} ({place}) raised {kind}: {text.rstrip('.')}; {fix}") from error


def _is_own(frame: FrameType) -> bool:
    """Whether a frame is of a user's code."""
    path = frame.f_code.co_filename
    if path.startswith((_HOME, "<frozen", "<string>")):
        return False
    parts = Path(path).parts
    if "site-packages" in parts:
        return parts[len(parts) - parts[::-1].index("site-packages")] not in _PACKAGES
    return not path.startswith(_STDLIB)
