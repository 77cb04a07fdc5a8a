"""Spark jobs for full-sky astronomical catalogs, with versioned and replayable results."""

__version__ = "0.1.0.dev0"

__all__ = ["__version__"]
