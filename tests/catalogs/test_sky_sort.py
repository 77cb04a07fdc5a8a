"""Rows sorted on the sky in pieces of Arrow."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import DataFrame, SparkSession

from ubspark.catalogs.sky_sort import PieceTask, SkyKey, count_parts, sort_on_sky
from ubspark.catalogs.sources.pieces import PieceReader
from ubspark.sky.healpix import compute_healpix_29

KEY = SkyKey("id", ("ra", "dec"))


def make_rows(n: int, *, ids: str = "number", unplaced: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    placed = pa.array(ra, mask=rng.random(n) < unplaced)
    number = rng.permutation(n)
    named = pa.array([f"J{i:07d}" for i in number]) if ids == "text" else pa.array(number)
    values = pa.array(rng.normal(size=n), mask=rng.random(n) < 0.1)
    lists = pa.array([list(range(i % 4)) for i in number.tolist()], pa.list_(pa.int64()))
    return pa.table({"id": named, "ra": placed, "dec": dec, "value": values, "list": lists})


def expect(rows: pa.Table) -> pa.Table:
    """Return what a plain sort of all rows at once makes of them."""
    index = compute_healpix_29(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    whole = rows.append_column("_healpix_29", pa.array(index))
    return whole.sort_by([("_healpix_29", "ascending"), ("id", "ascending")])


@dataclass(frozen=True)
class _Slices(PieceReader):
    """Three pieces of a table."""

    rows: pa.Table

    @property
    def n_pieces(self) -> int:
        return 3

    def select(self, columns: Any) -> PieceReader:
        chosen = self.rows.select(columns)
        return replace(self, rows=chosen, schema=chosen.schema)

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        step = -(-len(self.rows) // 3)
        yield from self.rows.slice(piece * step, step).to_batches(max_chunksize=1000)


def run(pieces: DataFrame, rows: pa.Table) -> list[pa.Table]:
    """Return the rows of each part."""
    schema = rows.schema.append(pa.field("_healpix_29", pa.int64()))

    def sort(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = pa.Table.from_batches(list(batches), pa.schema([("piece", pa.binary())]))
        parts = [part.cast(schema) for part in PieceTask(KEY)(iter(found.to_batches()))]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(pa.concat_tables([schema.empty_table(), *parts]))
        yield pa.record_batch([pa.array([bytes(sink.getvalue())])], names=["rows"])

    made = pieces.mapInArrow(sort, "rows binary").collect()
    return [pa.ipc.open_stream(row.rows).read_all() for row in made]


@pytest.mark.spark
@pytest.mark.parametrize("n_parts", [1, 2, 7])
@pytest.mark.parametrize("ids", ["number", "text"])
@pytest.mark.parametrize("read_by", ["spark", "tasks"])
def test_rows_are_those_of_a_plain_sort(
    spark: SparkSession, n_parts: int, ids: str, read_by: str
) -> None:
    rows = make_rows(5000, ids=ids, unplaced=0.05)
    given: DataFrame | PieceReader = _Slices(rows.schema, rows)
    if read_by == "spark":
        given = spark.createDataFrame(rows).repartition(3)
    parts = run(sort_on_sky(given, KEY, n_parts, spark), rows)
    assert len(parts) == n_parts
    assert pa.concat_tables(parts).equals(expect(rows).cast(parts[0].schema))


@pytest.mark.spark
def test_parts_hold_about_equal_numbers_of_rows(spark: SparkSession) -> None:
    rows = make_rows(40_000)
    parts = run(sort_on_sky(_Slices(rows.schema, rows), KEY, 8, spark), rows)
    assert all(4000 <= len(part) <= 6000 for part in parts), [len(part) for part in parts]


@pytest.mark.spark
def test_rows_of_one_place_are_parted_by_their_id(spark: SparkSession) -> None:
    """As those without a position: one task could not hold them."""
    rows = make_rows(20_000, unplaced=1.0)
    parts = run(sort_on_sky(_Slices(rows.schema, rows), KEY, 5, spark), rows)
    assert all(3000 <= len(part) <= 5000 for part in parts), [len(part) for part in parts]
    ids = [part["id"].to_pylist() for part in parts]
    assert [i for part in ids for i in part] == list(range(20_000))


@pytest.mark.spark
def test_rows_without_an_id_are_not_lost(spark: SparkSession) -> None:
    rows = make_rows(500, unplaced=1.0)
    ids = pc.if_else(pc.less(rows["id"], 50), None, rows["id"])
    rows = rows.set_column(0, "id", ids)
    parts = run(sort_on_sky(_Slices(rows.schema, rows), KEY, 4, spark), rows)
    assert sorted(i for part in parts for i in part["id"].to_pylist() if i) == list(range(50, 500))
    assert sum(part["id"].null_count for part in parts) == 50


@pytest.mark.spark
def test_no_rows(spark: SparkSession) -> None:
    rows = make_rows(0)
    parts = run(sort_on_sky(spark.createDataFrame(rows), KEY, 3, spark), rows)
    assert sum(map(len, parts)) == 0


def test_parts_follow_the_width_of_rows_where_files_say_little() -> None:
    schema = pa.schema([("a", pa.float64()), ("b", pa.int32()), ("text", pa.string())])
    assert count_parts(0, 0, schema) == 1
    assert count_parts(1 << 30, 0, schema) == 11
    assert count_parts(1 << 20, 100_000_000, schema) == 12


@pytest.mark.parametrize("kind", ["float", "int32", "decimal128(22, 3)", "string"])
def test_index_of_other_types_is_that_of_their_values(kind: str) -> None:
    of = pa.decimal128(22, 3) if kind.startswith("decimal") else pa.type_for_alias(kind)
    lon, lat = ([10, 350, None, 1], [-20, 45, 1, None])
    rows = pa.table({"id": range(4), "ra": pa.array(lon).cast(of), "dec": pa.array(lat).cast(of)})
    expected = compute_healpix_29(np.array([10.0, 350.0]), np.array([-20.0, 45.0])).tolist()
    assert KEY.find_index(rows).tolist() == [*expected, -1, -1]


def test_index_that_is_there_is_taken() -> None:
    rows = pa.table({"id": [1, 2], "_healpix_29": [5, -1]})
    assert SkyKey("id").find_index(rows).tolist() == [5, -1]
