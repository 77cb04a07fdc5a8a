"""Positions of rows at the epoch of the match."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ubspark.crossmatch.epoch import Positions, compute_positions
from ubspark.crossmatch.options import PositionColumns
from ubspark.sky import (
    MISSING_EPOCH,
    MISSING_PARALLAX,
    MISSING_PROPER_MOTION,
    MISSING_RADIAL_VELOCITY,
    compute_separation_arcsec,
    propagate,
    to_unit_vectors,
)

STILL = PositionColumns("id", "ra", "dec")
MOVING = PositionColumns("id", "ra", "dec", "pmra", "pmdec", epoch=1991.25)
FULL = PositionColumns(
    "id", "ra", "dec", "pmra", "pmdec", parallax="parallax", rv="rv", epoch="epoch"
)
# Gaia DR3 4472832130942575872.
BARNARD = {
    "ra": 269.44850252543836,
    "dec": 4.739420051112412,
    "pmra": -801.551,
    "pmdec": 10362.394,
    "parallax": 546.976,
    "rv": -110.47,
    "epoch": 2016.0,
}


def make(**columns: Any) -> pa.Table:
    """Return rows of Barnard's star, with some columns replaced."""
    n = max((len(values) for values in columns.values()), default=1)
    rows = {name: [value] * n for name, value in BARNARD.items()}
    return pa.table(
        {name: pa.array(values, pa.float64()) for name, values in rows.items()} | columns
    )


def locate(
    columns: PositionColumns, epoch: float | None, given: Mapping[str, Any] | None = None
) -> Positions:
    return compute_positions(make(**(given or {})), columns, epoch=epoch)


def separate(a: Positions, b: Positions) -> float:
    return float(compute_separation_arcsec(a.vectors, b.vectors)[0])


@pytest.mark.parametrize(
    ("columns", "epoch"),
    [
        (MOVING, None),
        (STILL, 2000.0),
        (PositionColumns("id", "ra", "dec", epoch=1991.25), 2000.0),
        (PositionColumns("id", "ra", "dec", "pmra", "pmdec"), 2000.0),
        (PositionColumns("id", "ra", "dec", "pmra", epoch=1991.25), 2000.0),
        (MOVING, 1991.25),
    ],
)
def test_positions_stay_where_nothing_says_how_they_move(
    columns: PositionColumns, epoch: float | None
) -> None:
    """To the bit, so that a match of one epoch is that of the positions given."""
    here = locate(columns, epoch)
    expected = to_unit_vectors([BARNARD["ra"]], [BARNARD["dec"]])
    np.testing.assert_array_equal(here.vectors, expected)
    # A catalog that says its epoch and has no motions should have moved: it is told.
    has_motion = columns.pmra is not None and columns.pmdec is not None
    should_move = epoch is not None and columns.epoch is not None and not has_motion
    assert here.missing.tolist() == [MISSING_PROPER_MOTION if should_move else 0]
    assert (here.ra.tolist(), here.dec.tolist()) == ([BARNARD["ra"]], [BARNARD["dec"]])


def test_all_columns_reach_the_kernel() -> None:
    ra, dec, pmra, pmdec, parallax, rv, _ = ([value] for value in BARNARD.values())
    moved = propagate(ra, dec, pmra, pmdec, parallax, rv, -16.0)
    np.testing.assert_array_equal(locate(FULL, 2000.0).vectors, moved.vectors)
    without = propagate(ra, dec, pmra, pmdec, None, None, -16.0)
    assert np.any(without.vectors != moved.vectors)


def test_epoch_of_each_row_counts() -> None:
    here = locate(FULL, 2000.0, {"epoch": pa.array([2000.0, 1990.0, 2010.0])})
    still = to_unit_vectors([BARNARD["ra"]], [BARNARD["dec"]])
    arcs = compute_separation_arcsec(here.vectors, still)
    assert arcs == pytest.approx([0.0, 103.9, 103.9], abs=0.5)


@pytest.mark.parametrize(
    ("role", "column"), [("pm", "pmra"), ("pm", "pmdec"), ("parallax", "parallax"), ("rv", "rv")]
)
def test_factor_turns_the_unit_of_the_column(role: str, column: str) -> None:
    names = ("pmra", "pmdec") if role == "pm" else (column,)
    scaled = {name: pa.array([BARNARD[name] / 1000.0]) for name in names}
    columns = PositionColumns(
        "id", "ra", "dec", "pmra", "pmdec", parallax="parallax", rv="rv", epoch="epoch",
        **{f"{role}_factor": 1000.0},  # type: ignore[arg-type]
    )  # fmt: skip
    assert separate(locate(columns, 1950.0, scaled), locate(FULL, 1950.0)) < 1e-9


def test_motion_in_right_ascension_itself_is_turned_into_one_along_the_circle() -> None:
    columns = PositionColumns(
        "id", "ra", "dec", "pmra", "pmdec", pm_includes_cos_dec=False, epoch=1991.25
    )
    dec = pa.array([60.0])
    along = locate(MOVING, 2000.0, {"dec": dec, "pmra": pa.array([500.0])})
    itself = locate(columns, 2000.0, {"dec": dec, "pmra": pa.array([1000.0])})
    assert separate(along, itself) < 1e-9


@pytest.mark.parametrize(
    ("column", "bit"),
    [
        ("pmra", MISSING_PROPER_MOTION),
        ("pmdec", MISSING_PROPER_MOTION),
        ("parallax", MISSING_PARALLAX),
        ("rv", MISSING_RADIAL_VELOCITY),
        ("epoch", MISSING_EPOCH),
    ],
)
@pytest.mark.parametrize("value", [None, np.nan])
def test_missing_value_leaves_its_bit(column: str, bit: int, value: float | None) -> None:
    here = locate(FULL, 2000.0, {column: pa.array([value, BARNARD[column]], pa.float64())})
    assert here.missing.tolist() == [bit, 0]
    assert np.all(np.isfinite(here.vectors))


def test_role_that_no_row_has_is_missing_in_none() -> None:
    nothing = pa.array([None], pa.float64())
    assert locate(MOVING, 2000.0, {"pmra": nothing}).missing.tolist() == [MISSING_PROPER_MOTION]
    assert locate(MOVING, 2000.0).missing.tolist() == [0]


@pytest.mark.parametrize("value", [None, np.nan, np.inf])
@pytest.mark.parametrize("column", ["ra", "dec"])
@pytest.mark.parametrize("epoch", [None, 2000.0])
def test_unusable_position_is_nan_and_keeps_its_row(
    value: float | None, column: str, epoch: float | None
) -> None:
    given = {column: pa.array([BARNARD[column], value], pa.float64())}
    here = locate(MOVING, epoch, given)
    assert np.isnan(here.vectors).all(axis=1).tolist() == [False, True]
    assert here.ra.shape == here.dec.shape == here.missing.shape == (2,)


@pytest.mark.parametrize("kind", [pa.float32(), pa.int16(), pa.decimal128(22, 3)])
def test_columns_of_any_number_are_read(kind: pa.DataType) -> None:
    given = {name: pa.array([value]).cast(kind) for name, value in (("ra", 12), ("dec", -34))}
    here = locate(STILL, None, given)
    np.testing.assert_array_equal(here.vectors, to_unit_vectors([12.0], [-34.0]))


def test_chunks_and_no_rows_are_read() -> None:
    rows = pa.concat_tables([make(), make(ra=pa.array([1.0]))])
    here = compute_positions(rows, MOVING, epoch=2000.0)
    assert here.ra.tolist() == [BARNARD["ra"], 1.0]
    nothing = compute_positions(rows.slice(0, 0), FULL, epoch=2000.0)
    assert nothing.vectors.shape == (0, 3)


def test_columns_to_read_are_those_of_the_roles() -> None:
    assert STILL.names == ("id", "ra", "dec")
    assert MOVING.names == ("id", "ra", "dec", "pmra", "pmdec")
    assert FULL.names == ("id", "ra", "dec", "pmra", "pmdec", "parallax", "rv", "epoch")
    assert PositionColumns("ra", "ra", "dec").names == ("ra", "dec")
