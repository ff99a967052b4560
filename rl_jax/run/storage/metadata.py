"""What else a result depends on: versions, device, precision."""

import os
import platform
import sys
from datetime import datetime
from importlib.metadata import version
from typing import Any

import jax

from rl_jax.envs.suites import extras


def device_text() -> str:
    """The device that jax computes on, in words."""
    device = jax.local_devices()[0]
    cores = f", {os.cpu_count()} cores" if device.platform == "cpu" else ""
    return f"{device.device_kind}{cores} x{jax.device_count()}"


def metadata() -> dict[str, Any]:
    """Versions, device and precision: what else a result depends on."""
    settings: Any = jax.config
    packages = ("rl_jax", "jax", "jaxlib", "flax", "optax", "gymnax", "brax", "orbax-checkpoint", "numpy", *extras.imported())
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command_line": sys.argv,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "device": device_text(),
        "matmul_precision": settings.jax_default_matmul_precision or "default",
        "x64": bool(settings.jax_enable_x64),
    }
