"""The log of a run: everything ubspark says, in a file beside the record."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["log_to"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Write what the package logs and warns about into a file while the body runs."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger = logging.getLogger("ubspark")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    shown = warnings.showwarning

    def keep(message, category, filename, lineno, file=None, line=None) -> None:  # type: ignore[no-untyped-def]
        logger.warning("%s", message)
        shown(message, category, filename, lineno, file, line)

    warnings.showwarning = keep
    try:
        yield
    finally:
        warnings.showwarning = shown
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
