"""What a file says of its columns and of its positions."""

from dataclasses import dataclass, field

__all__ = ["Notes"]


@dataclass(frozen=True)
class Notes:
    """Units, UCDs and descriptions by column; frame and epoch of the positions."""

    #: Column name to ``unit``, ``ucd``, ``description``, where given.
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    frame: str | None = None
    epoch: float | None = None
