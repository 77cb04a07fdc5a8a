"""The row of a joined table that belongs to an object: that of its id and its place on the sky."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.errors import SchemaError
from ubspark.features.arrow import look_up
from ubspark.features.segments import IntArray

__all__ = ["KeyedRows", "key_rows"]


@dataclass(frozen=True, eq=False)
class KeyedRows:
    """Rows of a joined table, in order of a number that stands for id and place.

    The place counts so that what an object is given does not depend on how the sky is cut: rows
    elsewhere are never read with it.

    Attributes
    ----------
    rows
        As they came.
    name
        Of the input, for errors.
    ids
        Of the rows.
    places
        The different ``_healpix_29``, rising.
    keys
        First row of the id times the number of places, plus the place of the row; rising.
    order
        The row of each key.
    """

    rows: pa.Table
    name: str
    ids: pa.ChunkedArray
    places: IntArray
    keys: IntArray
    order: IntArray

    def find(self, ids: pa.ChunkedArray, index: IntArray) -> NDArray[np.int64]:
        """Return the row of each object, -1 where it has none.

        Parameters
        ----------
        ids, index
            Id and ``_healpix_29`` of the objects.

        Raises
        ------
        SchemaError
            If an object has rows at other places only, or more than one.
        """
        if len(self.keys) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        first = look_up(ids, self.ids)
        place = np.minimum(np.searchsorted(self.places, index), len(self.places) - 1)
        keys = first * len(self.places) + place
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        is_found = (first >= 0) & (self.places[place] == index) & (self.keys[at] == keys)
        self._validate_places(ids, (first >= 0) & ~is_found)
        following = np.minimum(at + 1, len(self.keys) - 1)
        self._validate_single(ids, is_found & (following > at) & (self.keys[following] == keys))
        return np.where(is_found, self.order[at], -1)

    def _validate_places(self, ids: pa.ChunkedArray, is_elsewhere: NDArray[np.bool_]) -> None:
        if is_elsewhere.any():
            msg = (
                f"`inputs.{self.name}` has rows with the id of an object but another "
                f"`{HEALPIX_29.name}` than its light curve, {_count(ids, is_elsewhere)}. Make one "
                f"of the tables from the other, so that both have the same positions."
            )
            raise SchemaError(msg)

    def _validate_single(self, ids: pa.ChunkedArray, has_several: NDArray[np.bool_]) -> None:
        if has_several.any():
            msg = (
                f"`inputs.{self.name}` has more than one row for an object, "
                f"{_count(ids, has_several)}. Choose one of each by `inputs.{self.name}.where`, "
                f"such as `rank = 1` in a table of pairs."
            )
            raise SchemaError(msg)


def key_rows(rows: pa.Table, id_column: str, *, name: str) -> KeyedRows:
    """Put the rows of a joined table in order of id and place."""
    ids = rows[id_column]
    places, place = np.unique(rows[HEALPIX_29.name].to_numpy(), return_inverse=True)
    keys = look_up(ids, ids) * max(len(places), 1) + place
    order = np.argsort(keys, kind="stable")
    return KeyedRows(rows, name, ids, places, keys[order], order)


def _count(ids: pa.ChunkedArray, chosen: NDArray[np.bool_]) -> str:
    first = ids[int(np.argmax(chosen))].as_py()
    return f"for {np.count_nonzero(chosen):,} objects of one batch, such as {first!r}"
