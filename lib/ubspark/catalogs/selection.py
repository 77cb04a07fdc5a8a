"""A part of a catalog, as if there were no other rows: those in a region that meet a condition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import acero

from ubspark.catalogs.catalog import Catalog, CatalogLayout
from ubspark.catalogs.filters import Condition, columns_of
from ubspark.catalogs.hats import HatsLayout
from ubspark.catalogs.layout import FileLayout, naming
from ubspark.columns import HEALPIX_29
from ubspark.errors import InputMissingError, SchemaError
from ubspark.sky.cover import intersect_ranges, meets_ranges
from ubspark.sky.shapes import Region

__all__ = ["SelectedSource", "read_rows", "select_rows"]

IntArray = NDArray[np.int64]


def select_rows(
    source: CatalogLayout,
    *,
    region: Region | None,
    condition: Condition | None,
    ra: str | None = None,
    dec: str | None = None,
) -> CatalogLayout:
    """Return the part of a catalog in a region whose rows meet a condition.

    Files outside the region, and row groups whose statistics exclude the condition, are not
    opened where the source can tell.

    Parameters
    ----------
    source
        The catalog; it is returned as it stands where there is neither region nor condition.
    region
        Judged at the positions of the catalog, whatever their epoch.
    condition
        Checked against the columns of the catalog.
    ra, dec
        Columns of the position, degrees; needed with a region.
    """
    if region is None and condition is None:
        return source
    narrowed = _narrow(source, region, condition)
    return SelectedSource(narrowed, region, condition, ra, dec)


@dataclass(frozen=True, eq=False)
class SelectedSource:
    """A catalog source seen through a region and a condition.

    The entries are those of the source that meet the region, their ranges cut to it. Rows and
    bytes of an entry stay whole: so many are read at most.

    Attributes
    ----------
    source
        The catalog.
    region, condition
        What rows must meet; None for all.
    ra, dec
        Columns of the position, degrees.
    """

    source: CatalogLayout
    region: Region | None
    condition: Condition | None
    ra: str | None = None
    dec: str | None = None

    @property
    def low(self) -> IntArray:
        """Smallest index of each entry."""
        return self._entries[0]

    @property
    def high(self) -> IntArray:
        """Largest index of each entry."""
        return self._entries[1]

    @property
    def n_rows(self) -> IntArray:
        """Rows of each entry."""
        return self._entries[2]

    @property
    def n_bytes(self) -> IntArray:
        """Bytes of each entry."""
        return self._entries[3]

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        """Read the selected rows whose index lies in half-open ranges, sorted by it."""
        table = self.source.read(self.cut(ranges), [*columns, *self.needed])
        return self.keep(table, columns)

    def cut(self, ranges: IntArray) -> IntArray:
        """Return the parts of half-open ranges that lie in the region."""
        if self.region is None:
            return ranges
        return intersect_ranges(np.asarray(ranges, dtype=np.int64), self.region.ranges)

    def keep(self, table: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return the selected ones of rows of the source that have the columns `needed` too."""
        if self.region is not None and not self.region.is_exact:
            inside = self.region.contains(_to_degrees(table[self.ra]), _to_degrees(table[self.dec]))
            table = table if inside.all() else table.filter(pa.array(inside))
        if self.condition is not None:
            table = _filter(table, self.condition)
        return table.select(list(dict.fromkeys([HEALPIX_29.name, *columns])))

    def read_head(self, limit: int | None, columns: Sequence[str]) -> pa.Table:
        """Read the first rows by their index, all by default, and no more entries than needed."""
        order = np.argsort(self.low, kind="stable")
        low, high = self.low[order], np.maximum.accumulate(self.high[order])
        # Where an entry begins beyond all before it, reading may stop.
        is_start = np.append(True, low[1:] > high[:-1])[: len(low)]
        starts, ends = low[is_start], np.append(low[is_start][1:], high[-1:] + 1)
        parts = [self.read(np.zeros((0, 2), dtype=np.int64), columns)]
        n_rows = 0
        for piece in np.stack([starts, ends], axis=1):
            if limit is not None and n_rows >= limit:
                break
            parts.append(self.read(piece[None], columns))
            n_rows += parts[-1].num_rows
        return pa.concat_tables(parts).slice(0, limit)

    def remember(self) -> "SelectedSource":
        """Return the selection with a memory of what it read last."""
        return replace(self, source=self.source.remember())

    def refine(self) -> "SelectedSource":
        """Return the selection with row groups as entries, where it is cheap to know them."""
        return replace(self, source=self.source.refine())

    def estimate_share(self, columns: Sequence[str]) -> float:
        """Return the share of the files' bytes that some columns take, with those of the test."""
        return self.source.estimate_share([*columns, *self.needed])

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The columns that tell which rows belong to the selection."""
        names = [] if self.condition is None else list(columns_of(self.condition))
        if self.region is not None and not self.region.is_exact:
            names += [name for name in (self.ra, self.dec) if name is not None]
        return tuple(dict.fromkeys(names))

    @cached_property
    def _entries(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Lowest and highest index, rows and bytes of the entries that meet the region."""
        entries = (self.source.low, self.source.high, self.source.n_rows, self.source.n_bytes)
        if self.region is None:
            return entries
        ranges = self.region.ranges
        meets = meets_ranges(entries[0], entries[1], ranges)
        low, high, n_rows, n_bytes = (values[meets] for values in entries)
        first = np.searchsorted(ranges[:, 1], low, side="right")
        last = np.searchsorted(ranges[:, 0], high, side="right") - 1
        cut = np.maximum(low, ranges[first, 0]), np.minimum(high, ranges[last, 1] - 1)
        return (*cut, n_rows, n_bytes)


def read_rows(
    table: Catalog,
    columns: Sequence[str],
    *,
    region: Region | None = None,
    condition: Condition | None = None,
    limit: int | None = None,
) -> pa.Table:
    """Read rows of a catalog into memory.

    Parameters
    ----------
    table
        The catalog; with a region it must have the spatial index and know its ra and dec.
    columns
        Columns of the result.
    region, condition
        What rows must meet; None for all. With a region they come in the order of the index.
    limit
        Largest number of rows.

    Raises
    ------
    SchemaError
        If a region is asked for of a table without positions.
    SourceError, InputMissingError
        If a file of it is damaged, or gone.
    """
    try:
        with naming(table.uri):
            return _read_rows(table, columns, region, condition, limit)
    except FileNotFoundError as error:
        msg = (
            f"Table `{table.uri}` has lost its file `{Path(str(error)).name}`. `ubspark restore` "
            f"brings it back from an archive."
        )
        raise InputMissingError(msg) from error


def _read_rows(
    table: Catalog,
    columns: Sequence[str],
    region: Region | None,
    condition: Condition | None,
    limit: int | None,
) -> pa.Table:
    rows = table.to_dataset()
    needed = {*columns, *(() if condition is None else columns_of(condition))}
    # Files of another format may lack the index, which the layout then computes.
    if region is None and needed <= set(rows.schema.names):
        keep = None if condition is None else condition.to_arrow()
        names = list(columns)
        if limit is None:
            return rows.to_table(columns=names, filter=keep)
        return rows.head(limit, columns=names, filter=keep)
    ra, dec = table.roles.get("ra"), table.roles.get("dec")
    if region is not None and (not table.is_catalog or ra is None or dec is None):
        msg = (
            f"Table `{table.uri}` does not know positions, which a region needs. "
            f"Make a catalog of it with `ubspark ingest`."
        )
        raise SchemaError(msg)
    layout = table.read_layout()
    source = _narrow(layout, region, condition).refine()
    selected = SelectedSource(source, region, condition, ra, dec)
    return selected.read_head(limit, columns).select(list(columns))


def _narrow(
    source: CatalogLayout, region: Region | None, condition: Condition | None
) -> CatalogLayout:
    """Return the source without what it can leave out unread."""
    if not isinstance(source, FileLayout | HatsLayout):
        return source
    if region is not None:
        source = source.select(source.find_files(region.ranges))
    return source if condition is None else source.narrow(condition.find_bounds())


def _filter(table: pa.Table, condition: Condition) -> pa.Table:
    """Return the rows that meet a condition, in their order."""
    # Not `Table.filter`, whose threads promise no order.
    rows = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
    keep = acero.Declaration("filter", acero.FilterNodeOptions(condition.to_arrow()))
    return acero.Declaration.from_sequence([rows, keep]).to_table(use_threads=False)


def _to_degrees(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column as float64, null as NaN."""
    values: NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy()
    return values
