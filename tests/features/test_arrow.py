"""Nested lists become light curves, whatever nulls and slices they come with."""

import numpy as np
import pyarrow as pa
import pytest

from ubspark.features.arrow import (
    CurveColumns,
    CurveScale,
    find_uneven,
    look_up,
    split_by_epochs,
    to_arrays,
    to_floats,
    to_light_curves,
)
from ubspark.features.compute import FeatureTable

COLUMNS = CurveColumns("t", "y", "dy", "band")
BANDS = ("g", "r")


def make_rows() -> pa.Table:
    lists = {
        "t": [[1.0, 2.0], None, [], [3.0], [4.0, 5.0, 6.0]],
        "y": [[10.0, None], None, [], [30.0], [40.0, 50.0, 60.0]],
        "dy": [[0.1, 0.2], [], None, [0.3], [0.4, 0.5, 0.6]],
        "band": [["g", "r"], [], [], ["z"], ["r", None, "g"]],
    }
    return pa.table({"id": [11, 12, 13, 14, 15], **lists})


def test_whole_numbers_are_rounded_and_null_where_they_do_not_fit() -> None:
    values = np.array([1.7, -2.2, np.nan, np.inf, 1e12, -(2.0**31), 2.0**31])
    found = FeatureTable({"a": values, "b": values}, np.zeros((7, 1), int), np.zeros(7, np.int16))
    whole, single = to_arrays(found, ["int32", "float32"])
    assert whole.to_pylist() == [2, -2, None, None, None, -(2**31), None]
    assert single.null_count == 1


def test_lists_become_runs_of_epochs() -> None:
    curves = to_light_curves(make_rows(), COLUMNS, BANDS)
    assert curves.offsets.tolist() == [0, 2, 2, 2, 3, 6]
    assert curves.t.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    np.testing.assert_array_equal(curves.y, [10.0, np.nan, 30.0, 40.0, 50.0, 60.0])
    assert curves.band.tolist() == [0, 1, -1, 1, -1, 0]


def test_slices_and_chunks_do_not_matter() -> None:
    rows = make_rows()
    whole = to_light_curves(rows, COLUMNS, BANDS)
    part = to_light_curves(rows.slice(3, 2), COLUMNS, BANDS)
    assert part.offsets.tolist() == [0, 1, 4]
    np.testing.assert_array_equal(part.t, whole.t[2:])
    again = pa.concat_tables([rows.slice(0, 2), rows.slice(2)])
    np.testing.assert_array_equal(to_light_curves(again, COLUMNS, BANDS).band, whole.band)
    assert len(to_light_curves(rows.slice(0, 0), COLUMNS, BANDS)) == 0


def test_bands_may_come_in_dictionaries() -> None:
    rows = make_rows()
    band = rows["band"].combine_chunks()
    # Epochs: g, r, z, r, none, g.
    coded = pa.DictionaryArray.from_arrays([3, 1, 0, 1, None, 3], ["z", "r", None, "g"])
    lists = pa.ListArray.from_arrays(band.offsets, coded)
    found = to_light_curves(rows.set_column(4, "band", lists), COLUMNS, BANDS)
    assert found.band.tolist() == [0, 1, -1, 1, -1, 0]


def test_no_rows_make_no_batch() -> None:
    assert list(split_by_epochs(make_rows().slice(0, 0), "t", 10)) == []


def test_values_behind_a_null_list_do_not_count() -> None:
    offsets, values = pa.array([0, 2, 4], pa.int32()), pa.array([1.0, 2.0, 3.0, 4.0])
    hidden = pa.ListArray.from_arrays(offsets, values, mask=pa.array([False, True]))
    rows = pa.table(dict.fromkeys(("t", "y", "dy"), hidden))
    curves = to_light_curves(rows, CurveColumns("t", "y", "dy", None), ("V",))
    assert curves.offsets.tolist() == [0, 2, 2]
    assert curves.t.tolist() == [1.0, 2.0]


def test_a_row_of_uneven_lists_has_no_epochs() -> None:
    """A list that is short, and one that is null; the other rows keep theirs."""
    rows = make_rows().set_column(2, "y", [[[1.0, 2.0], [], [], [3.0, 3.5], [4.0, 5.0, 6.0]]])
    rows = rows.set_column(3, "dy", [[None, None, [], [0.3], [0.4, 0.5, 0.6]]])
    assert find_uneven(rows, COLUMNS).tolist() == [True, False, False, True, False]
    curves = to_light_curves(rows, COLUMNS, BANDS)
    assert curves.offsets.tolist() == [0, 0, 0, 0, 0, 3]
    assert curves.y.tolist() == [4.0, 5.0, 6.0]
    assert find_uneven(rows.slice(4), COLUMNS).tolist() == [False]


def test_bands_may_be_whole_numbers() -> None:
    rows = make_rows().set_column(4, "band", [[[1, 2], [], [], [3], [2, None, 1]]])
    assert to_light_curves(rows, COLUMNS, ("1", "2")).band.tolist() == [0, 1, -1, 1, -1, 0]


def test_numbers_are_scaled() -> None:
    scale = CurveScale(2.0, 3.0, 10.0)
    curves = to_light_curves(make_rows(), COLUMNS, BANDS, scale)
    assert curves.t.tolist() == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert curves.y[[0, 5]].tolist() == [30.0, 180.0]
    np.testing.assert_allclose(curves.dy, np.arange(1.0, 7.0))


def test_one_band_needs_no_column() -> None:
    curves = to_light_curves(make_rows(), CurveColumns("t", "y", "dy", None), ("V",))
    assert curves.band.tolist() == [0] * 6


@pytest.mark.parametrize(("n", "sizes"), [(1, [1, 3, 1]), (2, [1, 4]), (3, [4, 1]), (9, [5])])
def test_batches_hold_about_so_many_epochs(n: int, sizes: list[int]) -> None:
    parts = list(split_by_epochs(make_rows(), "t", n))
    assert [part.num_rows for part in parts] == sizes
    assert pa.concat_tables(parts).equals(make_rows())
    for part in parts[:-1]:
        epochs = sum(len(values or []) for values in part["t"].to_pylist())
        assert epochs < n + 3


def test_ids_find_their_first_row() -> None:
    ids = pa.chunked_array([[5, 7], [9]])
    keys = pa.chunked_array([pa.array([9, 5], pa.int32()), pa.array([9], pa.int32())])
    assert look_up(ids, keys).tolist() == [1, -1, 0]


def test_keys_may_be_wider_than_ids_and_null_has_none() -> None:
    ids = pa.chunked_array([pa.array([5, None], pa.int32())])
    keys = pa.chunked_array([pa.array([2**40, None, 5], pa.int64())])
    assert look_up(ids, keys).tolist() == [2, -1]


def test_numbers_may_be_written_to() -> None:
    found = to_floats(pa.array([1.0, 2.0]))
    found[0] = 3.0
    np.testing.assert_array_equal(to_floats(pa.array([1, None])), [1.0, np.nan])
