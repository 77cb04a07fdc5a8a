"""Joining small tables of rows into larger ones."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

__all__ = ["gather"]


def gather(tables: Iterable[pa.Table], n_bytes: int) -> Iterator[pa.Table]:
    """Yield the rows in their order, in tables of at least so many bytes but for the last.

    Each column of each table costs a few calls, however few rows it has.
    """
    few: list[pa.Table] = []
    size = 0
    for rows in tables:
        few.append(rows)
        size += rows.nbytes
        if size >= n_bytes:
            yield _join(few)
            few, size = [], 0
    if few:
        yield _join(few)


def _join(few: list[pa.Table]) -> pa.Table:
    return few[0] if len(few) == 1 else pa.concat_tables(few).combine_chunks()
