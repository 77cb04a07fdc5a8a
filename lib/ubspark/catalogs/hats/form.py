"""How a catalog that is written is cut, what it is called and what goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["HatsForm"]


@dataclass(frozen=True)
class HatsForm:
    """How a catalog is cut and what goes with it.

    Attributes
    ----------
    name
        ``obs_collection``; also the name of the catalog's folder in a collection.
    kind
        ``object`` or ``source``.
    ra, dec
        Columns of the position.
    max_rows, max_bytes
        Largest partition; bytes are estimated, and not looked at if None.
    margins_arcsec, indexes
        Thresholds of margin caches, columns of index catalogs; with any, a collection is made.
    properties
        Further properties of the catalog; they win over those that are computed.
    """

    name: str
    kind: str
    ra: str
    dec: str
    max_rows: int = 1_000_000
    max_bytes: int | None = None
    lowest_order: int = 0
    highest_order: int = 10
    margins_arcsec: tuple[float, ...] = ()
    indexes: tuple[str, ...] = ()
    has_statistics: bool = False
    refuse_unplaced: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_collection(self) -> bool:
        """Whether the catalog is one of several."""
        return bool(self.margins_arcsec or self.indexes)

    @property
    def folder(self) -> str:
        """Folder of the catalog below that of the export."""
        return self.name if self.is_collection else ""
