"""Counts of feature tables add up, and drift is zero for what has not changed."""

import math

import numpy as np
import pytest

from ubspark.features.quality import ColumnQuality, FeatureQuality, compute_drift


def count(values: dict[str, list[float]]) -> FeatureQuality:
    quality = FeatureQuality()
    columns = {name: np.array(column) for name, column in values.items()}
    n = len(next(iter(columns.values())))
    quality.add(columns, np.zeros(n, dtype=np.int16))
    return quality


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=1000) * 10 ** rng.uniform(-3, 3, 1000)
    values[::17] = np.nan
    status = rng.integers(0, 4, 1000).astype(np.int16)
    whole = FeatureQuality()
    whole.add({"a": values}, status)
    total = FeatureQuality()
    for part in np.array_split(np.arange(1000), 7):
        one = FeatureQuality(joined={"periods": len(part)})
        one.add({"a": values[part]}, status[part])
        total += one
    column, expected = total.columns["a"], whole.columns["a"]
    assert (column.n, column.n_undefined) == (1000, math.ceil(1000 / 17))
    assert (column.low, column.high) == (np.nanmin(values), np.nanmax(values))
    np.testing.assert_array_equal(column.counts, expected.counts)
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
    drift = compute_drift(count({"a": values[0]}), count({"a": values[1], "b": values[1]}))
    assert list(drift) == ["a"]
    assert drift["a"] < 0.02
    assert compute_drift(count({"a": values[0]}), count({"a": values[0]}))["a"] == 0.0


@pytest.mark.parametrize("change", ["scale", "sign", "undefined"])
def test_what_has_changed_drifts(change: str) -> None:
    rng = np.random.default_rng(2)
    values = np.abs(rng.normal(size=5000)) + 0.1
    changed = {"scale": 8.0 * values, "sign": -values, "undefined": values.copy()}[change]
    if change == "undefined":
        changed[::3] = np.nan
    drift = compute_drift(count({"a": values.tolist()}), count({"a": changed.tolist()}))
    assert drift["a"] > 0.25
