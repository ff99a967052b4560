"""How the compiled libraries are timed: tracing and compiling apart from running, everything waited for."""

import time
from collections.abc import Callable
from typing import Any

import jax


def timed(function: Callable[..., Any], *arguments: Any, steps: int, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Seconds to trace and compile ``function``, and to run it once."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile(options or {})
    compiled = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    return {"steps": steps, "compile": compiled - start, "run": time.perf_counter() - compiled, "host_loop": False}
