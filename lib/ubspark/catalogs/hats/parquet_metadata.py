"""What describes the data files of a catalog together: schema, footers, thumbnail, statistics."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.hats.footers import read_footers

__all__ = ["write_parquet_metadata", "write_statistics", "write_thumbnail"]

_THUMBNAIL_ROWS = 1000
_STATISTICS = ("min_value", "max_value", "null_count", "row_count", "disk_bytes", "memory_bytes")


def write_parquet_metadata(folder: Path, schema: pa.Schema, paths: Sequence[str]) -> None:
    """Write ``_common_metadata`` and ``_metadata`` of a catalog.

    Parameters
    ----------
    folder
        The catalog.
    paths
        Its data files below ``dataset/``, in the order of the sky.
    """
    dataset = folder / "dataset"
    dataset.mkdir(parents=True, exist_ok=True)
    pq.write_metadata(schema, dataset / "_common_metadata")
    if not paths:
        pq.write_metadata(schema, dataset / "_metadata")
        return
    footers = read_footers([str(dataset / path) for path in paths]).files
    for path, footer in zip(paths, footers, strict=True):
        footer.set_file_path(path)
    pq.write_metadata(schema, dataset / "_metadata", metadata_collector=list(footers))


def write_thumbnail(folder: Path, schema: pa.Schema, paths: Sequence[str]) -> None:
    """Write the first row of each data file, of at most a thousand evenly chosen ones."""
    chosen = np.unique(np.linspace(0, len(paths) - 1, _THUMBNAIL_ROWS).astype(int))
    rows = [_read_first(folder / "dataset" / paths[i]) for i in chosen if paths]
    table = pa.concat_tables([schema.empty_table(), *(row.cast(schema) for row in rows)])
    pq.write_table(table, folder / "data_thumbnail.parquet")


def write_statistics(folder: Path, paths: Sequence[str], pixels: Sequence[tuple[int, int]]) -> None:
    """Write ``per_partition_statistics.parquet``: what the footers say of each row group."""
    rows: list[list[Any]] = []
    names: list[str] = []
    footers = read_footers([str(folder / "dataset" / path) for path in paths]).files
    for footer, (order, pixel) in zip(footers, pixels, strict=True):
        names = [footer.schema.column(i).path for i in range(footer.num_columns)]
        for group in range(footer.num_row_groups):
            facts = chain.from_iterable(_describe_columns(footer.row_group(group)))
            rows.append([order, pixel, group, *facts])
    shown = (name.removesuffix(".list.element") for name in names)
    header = [f"{name}::{what}" for name in shown for what in _STATISTICS]
    columns = [_to_array(values) for values in zip(*rows, strict=True)]
    table = pa.Table.from_arrays(columns, names=["Norder", "Npix", "row_group_index", *header])
    pq.write_table(table, folder / "per_partition_statistics.parquet")


def _to_array(values: Sequence[Any]) -> pa.Array:
    """Return values as a column; Arrow would take whole numbers for signed, however large."""
    is_unsigned = any(isinstance(value, int) and value >= 1 << 63 for value in values)
    return pa.array(values, pa.uint64() if is_unsigned else None)


def _read_first(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return pa.Table.from_batches([next(file.iter_batches(batch_size=1, row_groups=[0]))])


def _describe_columns(group: Any) -> Iterator[list[Any]]:
    """Yield the statistics of each column of a row group."""
    for i in range(group.num_columns):
        column = group.column(i)
        known = column.statistics
        bounds = [None, None, 0] if known is None else [known.min, known.max, known.null_count]
        sizes = [column.total_compressed_size, column.total_uncompressed_size]
        yield [*bounds, column.num_values, *sizes]
