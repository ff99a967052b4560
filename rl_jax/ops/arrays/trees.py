"""Small functions of pytrees and records."""

import dataclasses
from typing import Any

import jax


def with_time(tree: Any) -> Any:
    """Leaves ``[...]`` as one step ``[1, ...]``."""
    return jax.tree.map(lambda x: x[None], tree)


def replaced(record: Any, **fields: Any) -> Any:
    """A dataclass or named tuple with other ``fields``."""
    return dataclasses.replace(record, **fields) if hasattr(record, "__dataclass_fields__") else record._replace(**fields)
