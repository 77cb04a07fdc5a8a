"""Who runs a job."""

import getpass
import os

__all__ = ["find_user"]


def find_user() -> str:
    """Return the name of the user; in a container whose user has none, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
