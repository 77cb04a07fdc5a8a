"""Epochs become lists and come apart again, against a plain loop and at the edges."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.errors import SchemaError
from ubspark.timeseries.kernels.sequence import find_ties, order_by_time
from ubspark.timeseries.merging import merge_curves
from ubspark.timeseries.nesting import EpochRules, nest_epochs, unnest_rows
from ubspark.timeseries.objects import CurveLayout, nest_alone, nest_with_objects

BANDS = ("g", "r")
RULES = EpochRules("t", "y", "dy", "band", ("visit",), BANDS, {"flags": 6})
NAN, INF = float("nan"), float("inf")


def make_epochs(seed: int, n: int = 400, n_objects: int = 23) -> pa.Table:
    """Return epochs with everything that goes wrong, times that tie, and repeated rows."""
    rng = np.random.default_rng(seed)
    y = rng.choice([1.0, 2.0, -3.0, NAN, INF], n, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    return pa.table(
        {
            "id": rng.integers(0, n_objects, n),
            "t": rng.choice([1.0, 2.0, 2.5, 7.0, NAN], n, p=[0.3, 0.3, 0.2, 0.15, 0.05]),
            "y": pa.array(y, mask=rng.random(n) < 0.03),
            "dy": rng.choice([0.1, 0.2, 0.0, -1.0, NAN], n, p=[0.5, 0.4, 0.04, 0.03, 0.03]),
            "band": pa.array(rng.choice(["g", "r", "z"], n, p=[0.5, 0.45, 0.05])),
            "visit": rng.integers(0, 3, n),
            "flags": pa.array(rng.choice([0, 1, 2, 5], n, p=[0.6, 0.2, 0.1, 0.1])),
            "ra": rng.uniform(10, 10.001, n),
            "dec": rng.uniform(-5, -4.999, n),
        }
    )


def nest_plainly(rows: pa.Table, n_objects: int) -> list[dict[str, Any]]:
    """Return the light curves by a loop over the rows, as the documentation words the rules."""
    found: dict[int, set[Any]] = defaultdict(set)
    n_bad = [0] * n_objects
    for row in rows.to_pylist():
        is_finite = all(row[k] is not None and np.isfinite(row[k]) for k in ("t", "y", "dy"))
        if is_finite and row["dy"] > 0 and not row["flags"] & 6 and row["band"] in BANDS:
            found[row["id"]].add(tuple(row[name] for name in RULES.listed))
        else:
            n_bad[row["id"]] += 1
    made = []
    for number in range(n_objects):
        epochs = sorted(found[number])
        lists = zip(*epochs, strict=True) if epochs else [()] * len(RULES.listed)
        row = dict(zip(RULES.listed, map(list, lists), strict=True))
        bands = [epoch[3] for epoch in epochs]
        row |= {"n_epochs": len(epochs), "n_bad_epochs": n_bad[number]}
        made.append(row | {f"n_epochs_{band}": bands.count(band) for band in BANDS})
    return made


@pytest.mark.parametrize("seed", range(5))
def test_lists_are_those_of_a_plain_loop(seed: int) -> None:
    rows = make_epochs(seed)
    nested = nest_epochs(rows, rows["id"].to_numpy(), 23, RULES)
    assert pa.table(dict(nested.columns)).to_pylist() == [
        {name: row[name] for name in nested.columns} for row in nest_plainly(rows, 23)
    ]
    counted = nested.counts
    assert counted["good"] == sum(row["n_epochs"] for row in nest_plainly(rows, 23))
    assert sum(counted.values()) == rows.num_rows


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60))
def test_order_of_rows_does_not_count(seed: int, n: int) -> None:
    rows = make_epochs(seed, n)
    other = rows.take(pa.array(np.random.default_rng(seed).permutation(n)))
    layout = CurveLayout("id", "ra", "dec", RULES, "id", "ra", "dec", position="mean")
    first, second = (nest_alone(part, layout) for part in (rows, other))
    assert first[0].sort_by("id").equals(second[0].sort_by("id"))
    assert first[1] == second[1]


def test_coded_bands_are_as_good_as_text() -> None:
    rows = make_epochs(3)
    coded = rows.set_column(4, "band", rows["band"].dictionary_encode())
    number = rows["id"].to_numpy()
    first, second = (nest_epochs(part, number, 23, RULES) for part in (rows, coded))
    assert second.columns["band"].to_pylist() == first.columns["band"].to_pylist()


def test_bad_epochs_can_be_kept() -> None:
    rows = make_epochs(8)
    number = rows["id"].to_numpy()
    every = EpochRules("t", "y", "dy", "band", (), BANDS, {"flags": 6}, keep_bad=True)
    kept = nest_epochs(rows, number, 23, every)
    filtered = nest_epochs(rows, number, 23, replace(every, keep_bad=False))
    n_kept, n_good = (part.columns["n_epochs"].to_numpy() for part in (kept, filtered))
    # Of equal ones one is kept, and counted.
    assert np.array_equal(kept.columns["n_bad_epochs"].to_numpy(), n_kept - n_good)
    assert np.sum(kept.columns["n_epochs"].to_numpy()) > filtered.counts["good"]
    assert all(count >= 0 for count in kept.columns["n_epochs_g"].to_pylist())


def test_no_epochs_make_empty_lists() -> None:
    nothing = make_epochs(0, 0)
    nested = nest_epochs(nothing, np.zeros(0, np.int64), 2, RULES)
    assert nested.columns["t"].to_pylist() == [[], []]
    assert nested.columns["n_epochs_r"].to_pylist() == [0, 0]
    assert nest_epochs(nothing, np.zeros(0, np.int64), 0, RULES).columns["y"].to_pylist() == []


def test_one_object_may_have_all_the_epochs() -> None:
    n = 100_001
    t = np.random.default_rng(1).permutation(n).astype(np.float64)
    rows = pa.table({"t": t, "y": t})
    number = np.zeros(n, np.int64)
    number[5] = 1
    nested = nest_epochs(rows, number, 2, EpochRules("t", "y", None, None))
    assert nested.columns["n_epochs"].to_pylist() == [n - 1, 1]
    assert np.all(np.diff(nested.columns["t"][0].values.to_numpy()) > 0)


def test_unnested_rows_nest_to_the_same() -> None:
    rows = make_epochs(11)
    number = rows["id"].to_numpy()
    nested = nest_epochs(rows, number, 23, RULES)
    table = pa.table({"id": np.arange(23)} | dict(nested.columns))
    flat, owner = unnest_rows(table, RULES.listed, ["id"])
    np.testing.assert_array_equal(flat["id"].to_numpy(), owner)
    plain = EpochRules("t", "y", "dy", "band", ("visit",), BANDS)
    again = nest_epochs(flat, owner, 23, plain)
    for name in RULES.listed:
        assert again.columns[name].equals(nested.columns[name])


@pytest.mark.parametrize("seed", range(4))
def test_merged_nights_are_one_nest(seed: int) -> None:
    """Nights may share rows: what was there already is not added."""
    every = make_epochs(seed)
    objects = pa.table(
        {
            "_healpix_29": np.arange(23)[::-1].copy(),
            "id": np.arange(23),
            "ra": np.zeros(23),
            "dec": np.zeros(23),
        }
    )
    layout = CurveLayout("id", "ra", "dec", RULES, "id")
    first, second = every.slice(0, 250), every.slice(250)
    before, night, whole = (
        nest_with_objects(part, objects, layout)[0] for part in (first, second, every)
    )
    merged = merge_curves(before, night, RULES, id_column="id")
    assert merged.rows.select(whole.column_names).equals(whole)
    again = merge_curves(merged.rows, night, RULES, id_column="id")
    assert again.n_added == 0


def test_two_objects_of_one_id_are_refused() -> None:
    objects = pa.table({"_healpix_29": [1, 2], "id": [7, 7], "ra": [0.0, 1.0], "dec": [0.0, 1.0]})
    layout = CurveLayout("id", "ra", "dec", RULES, "id")
    with pytest.raises(SchemaError, match="Two objects have the `id` 7"):
        nest_with_objects(make_epochs(0, 10), objects, layout)


def test_mean_position_holds_across_ra_zero() -> None:
    rows = pa.table(
        {"id": [1, 1], "t": [1.0, 2.0], "y": [1.0, 1.0], "ra": [359.9, 0.3], "dec": [0.0] * 2}
    )
    rules = EpochRules("t", "y", None, None)
    layout = CurveLayout("id", "ra", "dec", rules, "id", "ra", "dec", position="mean")
    curves, _ = nest_alone(rows, layout)
    assert curves["ra"][0].as_py() == pytest.approx(0.1, abs=1e-9)
    first, _ = nest_alone(
        rows, CurveLayout("id", "ra", "dec", rules, "id", "ra", "dec", position="first")
    )
    assert first["ra"][0].as_py() == 359.9


def test_positions_that_are_one_stay_to_the_last_bit() -> None:
    ra, dec = 123.456789012345, -54.321098765432
    rows = pa.table(
        {"id": [1] * 3, "t": [1.0, 2.0, 3.0], "y": [1.0] * 3, "ra": [ra] * 3, "dec": [dec] * 3}
    )
    layout = CurveLayout(
        "id", "ra", "dec", EpochRules("t", "y", None, None), "id", "ra", "dec", position="mean"
    )
    curves, _ = nest_alone(rows, layout)
    assert (curves["ra"][0].as_py(), curves["dec"][0].as_py()) == (ra, dec)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, -2.0, INF])), max_size=30))
def test_order_is_by_object_and_time(pairs: list[tuple[int, float]]) -> None:
    number = np.array([pair[0] for pair in pairs], dtype=np.int64)
    t = np.array([pair[1] for pair in pairs], dtype=np.float64)
    order = order_by_time(number, t, 4)
    keys = [(int(number[i]), float(t[i])) for i in order]
    assert keys == sorted(keys)
    assert order.tolist() == sorted(range(len(t)), key=lambda i: (number[i], t[i], i))
    tied = find_ties(number[order], t[order])
    assert tied.tolist() == [keys.count(key) > 1 for key in keys]
