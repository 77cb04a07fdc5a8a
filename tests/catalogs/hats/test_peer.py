"""Rows, values and cone searches are those of hats and LSDB."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.hats import open_hats
from ubspark.catalogs.hats.spark import read_hats

pytestmark = [pytest.mark.peer, pytest.mark.spark]

Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]

CONFORMANCE = [
    "small_sky_order1_collection",
    "small_sky_order1_collection/small_sky_order1_id_index",
    "small_sky_order1_collection/small_sky_order1_margin_1deg",
    "small_sky_order1_collection/small_sky_order1_margin_2deg",
    "small_sky_order1_source_collection",
    "small_sky_order1_source_collection/small_sky_order1_source_margin",
    "small_sky_order1_source_collection/small_sky_order1_source_band_index",
    "small_sky_order1_source_collection/small_sky_order1_source_object_id_index",
    "small_sky_order1_nested_sources",
    "small_sky_order1_nested_sources/small_sky_order1_nested_sources_margin",
    "small_sky_order1_nested_sources/small_sky_order1_object_id_index",
    "small_sky_order1_nested_sources/small_sky_order1_source_id_index",
    "small_sky_xmatch",
    "small_sky_xmatch_margin",
    "small_sky_left_xmatch",
    "small_sky_to_o1source",
    "small_sky_object_source_association",
]
DP1 = [
    "object_collection",
    "object_collection/object_lc_5arcs",
    "dia_object_collection",
    "dia_object_collection/dia_object_lc_5arcs",
]
#: What hats 0.10 cannot read, and we can.
OURS_ALONE = {"hipscat": "Failed to read HATS", "no schema": "could not be loaded from metadata"}
CONES = [
    (0.0, 0.0, 72_000.0),
    (359.9, 0.2, 3_600.0),
    (12.0, 89.7, 7_200.0),
    (77.0, -90.0, 36_000.0),
]


def assert_same_rows(ours: pa.Table, theirs: pa.Table) -> None:
    """Every column of the peer, whatever the order of rows; NaN equals NaN."""
    names = [name for name in theirs.column_names if name != "index"]
    assert set(names) <= set(ours.column_names)
    assert sort(ours.select(names)) == sort(theirs.select(names))


def sort(rows: pa.Table) -> list[str]:
    columns = [column_to_text(rows[name]) for name in rows.column_names]
    return sorted("|".join(row) for row in zip(*columns, strict=True))


def column_to_text(column: pa.ChunkedArray) -> list[str]:
    """A list of nulls is a list of NaN to pandas; types are compared by the schema tests."""
    return [to_text(value) for value in column.to_pylist()]


def to_text(value: Any) -> str:
    if isinstance(value, dict):
        return str({key: to_text(part) for key, part in value.items()})
    if isinstance(value, list):
        return str([to_text(part) for part in value])
    if value is None or value != value:
        return "-"
    if isinstance(value, datetime):
        # Ours say that they are UTC.
        return value.replace(tzinfo=None).isoformat(timespec="microseconds")
    return repr(float(value)) if isinstance(value, float) else str(value)


def compare(ask_peer: Ask, spark: SparkSession, folders: list[Path], out: Path) -> None:
    requests = [
        {"path": str(folder), "out": str(out / f"{i}.parquet")} for i, folder in enumerate(folders)
    ]
    for folder, request, answer in zip(folders, requests, ask_peer(requests), strict=True):
        assert "error" not in answer, (folder, answer)
        catalog = open_hats(str(folder))
        assert catalog.properties.kind == answer["kind"]
        assert catalog.n_rows == answer["n_rows"] == answer["n_stated"]
        if catalog.partitions is not None:
            ours = np.stack([catalog.partitions.order, catalog.partitions.pixel], axis=1).tolist()
            assert ours == answer["pixels"]
        theirs = pq.ParquetFile(request["out"]).read()
        assert_same_rows(read_hats(spark, str(folder)).toArrow(), theirs)


def test_every_catalog_of_the_maintainers(
    conformance: Path, ask_peer: Ask, spark: SparkSession, tmp_path: Path
) -> None:
    compare(ask_peer, spark, [conformance / name for name in CONFORMANCE], tmp_path)


def test_rubin_dp1(dp1: Path, ask_peer: Ask, spark: SparkSession, tmp_path: Path) -> None:
    compare(ask_peer, spark, [dp1 / name for name in DP1], tmp_path)


def test_every_form(
    forms: dict[str, Path], ask_peer: Ask, spark: SparkSession, tmp_path: Path
) -> None:
    known = [folder for name, folder in forms.items() if name not in OURS_ALONE]
    compare(ask_peer, spark, known, tmp_path)


def test_what_the_peer_cannot_read(forms: dict[str, Path], ask_peer: Ask, tmp_path: Path) -> None:
    out = str(tmp_path / "rows.parquet")
    answers = ask_peer([{"path": str(forms[name]), "out": out} for name in OURS_ALONE])
    for answer, reason in zip(answers, OURS_ALONE.values(), strict=True):
        assert reason in answer["error"]


def test_cone_searches(
    forms: dict[str, Path], ask_peer: Ask, spark: SparkSession, tmp_path: Path
) -> None:
    cases = [(forms[name], cone) for name in ("plain", "order 13", "no index") for cone in CONES]
    requests = [
        {"path": str(folder), "out": str(tmp_path / f"{i}.parquet"), "cone": cone}
        for i, (folder, cone) in enumerate(cases)
    ]
    answers = ask_peer(requests)
    assert all(answer["n_rows"] > 0 for answer in answers)
    for (folder, (ra, dec, radius)), request in zip(cases, requests, strict=True):
        ours = read_hats(spark, str(folder), region=f"cone {ra} {dec} {radius} arcsec").toArrow()
        assert_same_rows(ours, pq.ParquetFile(request["out"]).read())


def test_cone_searches_of_sources(
    conformance: Path, ask_peer: Ask, spark: SparkSession, tmp_path: Path
) -> None:
    folder = conformance / "small_sky_order1_source_collection"
    cone = [300.0, -55.0, 5 * 3600.0]
    request = {"path": str(folder), "out": str(tmp_path / "rows.parquet"), "cone": cone}
    (answer,) = ask_peer([request])
    assert answer["n_rows"] > 100
    ours = read_hats(spark, str(folder), region="cone 300 -55 5 deg").toArrow()
    assert_same_rows(ours, pq.ParquetFile(request["out"]).read())
