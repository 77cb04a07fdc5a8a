"""Spark jobs for full-sky astronomical catalogs, with versioned and replayable results."""

from typing import Any

__version__ = "0.1.0.dev0"

__all__ = ["__version__", "plan", "read_table", "run"]


def __getattr__(name: str) -> Any:
    """Load the functions for notebooks when they are asked for: importing a kernel stays light."""
    if name in {"plan", "read_table", "run"}:
        from ubspark.runtime import api

        return getattr(api, name)
    msg = f"module 'ubspark' has no attribute {name!r}"
    raise AttributeError(msg)
