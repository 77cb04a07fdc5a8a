"""The Parquet footers of a catalog's files: rows, bounds and types, checked against its schema."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.hats.spatial_index import SpatialIndex, find_places
from ubspark.catalogs.layout import open_filesystem
from ubspark.catalogs.sources.schema import merge_types, to_table_type
from ubspark.errors import InputMissingError, SchemaError, SourceError

__all__ = ["Footers", "read_footers"]

_N_THREADS = 8


@dataclass(frozen=True, eq=False)
class Footers:
    """The footers of some files.

    Attributes
    ----------
    paths
        The files.
    files
        Footer of each.
    """

    paths: tuple[str, ...]
    files: tuple[pq.FileMetaData, ...]

    @property
    def n_rows(self) -> int:
        """Rows of all files."""
        return sum(file.num_rows for file in self.files)

    def read_bounds(self, column: str) -> tuple[float, float] | None:
        """Return the smallest and largest value of a flat column, where every group states both.

        NaN does not count.
        """
        bounds = []
        for group in self._read_column(column):
            if group is None:
                return None
            if group.num_values == 0:
                continue
            if not group.has_min_max:
                return None
            bounds.append((group.min, group.max))
        found = np.array(bounds, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(found).all():
            return None
        return (float(found[:, 0].min()), float(found[:, 1].max())) if bounds else (0.0, 0.0)

    def count_nulls(self, column: str) -> int | None:
        """Return the nulls of a flat column, None where a group does not say."""
        total = 0
        for group in self._read_column(column):
            if group is None or not group.has_null_count:
                return None
            total += group.null_count
        return total

    def validate(self, schema: pa.Schema, *, needed: Sequence[str]) -> None:
        """Refuse files whose columns do not fit the schema of the catalog.

        Parameters
        ----------
        needed
            Columns that every file must have; others may be missing and are null there.

        Raises
        ------
        SchemaError
            With the first file and column.
        """
        wanted = {field.name: field.type for field in schema}
        for path, file in zip(self.paths, self.files, strict=True):
            own_schema = file.schema.to_arrow_schema()
            for name in needed:
                if name not in own_schema.names:
                    msg = f"`{path}` lacks the column `{name}`, which the catalog says it has."
                    raise SchemaError(msg)
            for field in own_schema:
                kind = wanted.get(field.name)
                if kind is None or kind == field.type:
                    continue
                own = to_table_type(field.type, column=field.name, path=path)
                if not _fits(own, to_table_type(kind, column=field.name, path=path)):
                    msg = (
                        f"Column `{field.name}` has type {field.type} in `{path}`, but {kind} in "
                        f"the catalog's `_common_metadata`."
                    )
                    raise SchemaError(msg)

    def validate_places(self, index: SpatialIndex, limits: Sequence[tuple[int, int]]) -> None:
        """Refuse files with rows outside of their pixel: what reads a region would miss them.

        Parameters
        ----------
        limits
            Half-open range of ``_healpix_29`` of each file.

        Raises
        ------
        SchemaError
            With the first file.
        """
        for path, file, (low, high) in zip(self.paths, self.files, limits, strict=True):
            places = find_places(file)
            groups = (file.row_group(i) for i in range(file.num_row_groups))
            found = (index.read_bounds(group, places) for group in groups if group.num_rows)
            if any(pair is not None and not low <= pair[0] <= pair[1] < high for pair in found):
                msg = (
                    f"`{path}` holds rows whose `{index.column}` lies outside of its pixel; a "
                    f"region would miss them. Import the catalog anew."
                )
                raise SchemaError(msg)

    def _read_column(self, column: str) -> Iterator[Any]:
        """Yield the statistics of a column in each row group; None where there are none."""
        for file in self.files:
            names = [file.schema.column(i).path for i in range(file.num_columns)]
            place = names.index(column) if column in names else None
            for i in range(file.num_row_groups):
                if file.row_group(i).num_rows:
                    yield None if place is None else file.row_group(i).column(place).statistics


def read_footers(paths: Sequence[str]) -> Footers:
    """Read the footers of some files.

    Raises
    ------
    InputMissingError
        If a file is not there.
    SourceError
        If it is no Parquet, or was cut short.
    """
    with ThreadPoolExecutor(_N_THREADS) as pool:
        return Footers(tuple(paths), tuple(pool.map(_read_footer, paths)))


def _read_footer(path: str) -> pq.FileMetaData:
    filesystem, name = open_filesystem(path)
    try:
        return pq.read_metadata(name, filesystem=filesystem)
    except FileNotFoundError as error:
        msg = f"The data file `{path}` is not there."
        raise InputMissingError(msg) from error
    except (pa.ArrowException, OSError) as error:
        msg = (
            f"`{path}` cannot be read as Parquet: its footer is missing or damaged. "
            f"It may have been cut short; fetch it again."
        )
        raise SourceError(msg) from error


def _fits(own: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of a file's type are values of the catalog's."""
    if own == wanted:
        return True
    if pa.types.is_list(own) and pa.types.is_list(wanted):
        return _fits(own.value_type, wanted.value_type)
    if pa.types.is_struct(own) and pa.types.is_struct(wanted):
        parts = {field.name: field.type for field in wanted}
        return all(part.name in parts and _fits(part.type, parts[part.name]) for part in own)
    return bool(merge_types(own, wanted) == wanted)
