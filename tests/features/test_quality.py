"""Counts of feature tables add up, and drift is zero for what has not changed."""

import math

import numpy as np
import pytest

from ubspark.features.quality import ColumnQuality, FeatureQuality, compute_drift, find_edges


def count(
    values: dict[str, list[float]], like: dict[str, list[float]] | None = None
) -> FeatureQuality:
    """Count columns, in the bins of others of the same names."""
    edges = {name: find_edges(np.array(column)) for name, column in (like or {}).items()}
    quality = FeatureQuality(edges=edges)
    columns = {name: np.array(column) for name, column in values.items()}
    n = len(next(iter(columns.values())))
    quality.add(columns, np.zeros(n, dtype=np.int16))
    return quality


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=1000) * 10 ** rng.uniform(-3, 3, 1000)
    values[::17] = np.nan
    status = rng.integers(0, 4, 1000).astype(np.int16)
    edges = {"a": find_edges(values)}
    whole = FeatureQuality(edges=edges)
    whole.add({"a": values}, status)
    total = FeatureQuality()
    for part in np.array_split(np.arange(1000), 7):
        one = FeatureQuality(joined={"periods": len(part)}, edges=edges)
        one.add({"a": values[part]}, status[part])
        total += one
    column, expected = total.columns["a"], whole.columns["a"]
    assert (column.n, column.n_undefined) == (1000, math.ceil(1000 / 17))
    assert (column.low, column.high) == (np.nanmin(values), np.nanmax(values))
    np.testing.assert_array_equal(column.counts, expected.counts)
    assert column.counts.sum() == column.n - column.n_undefined
    assert len(column.counts) == 12
    assert total.status == whole.status
    assert total.joined == {"periods": 1000}


def test_nothing_counts_as_nothing() -> None:
    column = ColumnQuality()
    column.add(np.array([np.nan, np.nan]))
    assert (column.n, column.n_undefined, column.low) == (2, 2, np.inf)
    assert math.isnan(
        compute_drift(count({"a": [1.0]}), FeatureQuality(columns={"a": ColumnQuality()}))["a"]
    )


def test_what_has_not_changed_has_no_drift() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 20_000)).tolist()
    like = {"a": values[0]}
    before = count({"a": values[0]}, like)
    drift = compute_drift(before, count({"a": values[1], "b": values[1]}, like))
    assert list(drift) == ["a"]
    assert drift["a"] < 0.02
    assert compute_drift(before, before)["a"] == 0.0


def test_few_rows_of_one_distribution_are_no_drift() -> None:
    """Of ninety objects, a decile holds nine give or take three."""
    rng = np.random.default_rng(7)
    drifts = []
    for _ in range(100):
        before, after = ({"a": part.tolist()} for part in rng.normal(size=(2, 90)))
        drifts.append(compute_drift(count(before, before), count(after, before))["a"])
    assert np.mean(np.array(drifts) > 0.25) <= 0.05


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((17.0, 0.2), (17.3, 0.2)),
        ((17.0, 0.2), (17.0, 0.5)),
        ((59_000.0, 5.0), (59_010.0, 5.0)),
        ((0.5, 0.05), (-0.5, 0.05)),
        ((0.0, 1.0), (0.0, 8.0)),
        ((3.0, 0.0), (3.001, 0.0)),
    ],
    ids=["magnitudes", "wider", "days", "sign", "scale", "constant"],
)
def test_what_has_changed_drifts(before: tuple[float, float], after: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    first, second = ({"a": rng.normal(*made, 5000).tolist()} for made in (before, after))
    drift = compute_drift(count(first, first), count(second, first))
    assert drift["a"] > 0.25


def test_values_that_are_gone_drift_and_infinite_ones_are_values() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=3000)
    lost, infinite = values.copy(), values.copy()
    lost[::3], infinite[::3] = np.nan, np.inf
    like = {"a": values.tolist()}
    for changed, n_undefined in ((lost, 1000), (infinite, 0)):
        found = count({"a": changed.tolist()}, like)
        assert found.columns["a"].n_undefined == n_undefined
        assert compute_drift(count(like, like), found)["a"] > 0.25
    assert count({"a": infinite.tolist()}).columns["a"].high == np.inf


def test_rounding_to_single_precision_is_no_drift() -> None:
    """The earlier table holds what a task counted before it was rounded."""
    values = np.random.default_rng(3).integers(0, 7, 4000) / 7.0
    rounded = values.astype(np.float32).astype(np.float64)
    like = {"a": rounded.tolist()}
    assert compute_drift(count(like, like), count({"a": values.tolist()}, like))["a"] == 0.0


def test_counts_of_other_bins_are_not_compared() -> None:
    first, second = {"a": [1.0, 2.0]}, {"a": [3.0, 4.0]}
    with pytest.raises(ValueError, match="other bins"):
        compute_drift(count(first, first), count(second, second))
