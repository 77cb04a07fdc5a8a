"""Kernels of users: they cannot harm what others compute, and their errors carry their name."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ubspark.errors import ParameterError
from ubspark.features import (
    DEFAULT_FEATURES,
    Feature,
    FeatureInputs,
    FeatureSet,
    Registry,
    compute_features,
    load_registry,
)
from ubspark.timeseries import LightCurves

BANDS = ("g",)


def make_curves(n: int = 5) -> LightCurves:
    rng = np.random.default_rng(4)
    sizes = np.full(n, 30)
    t = np.concatenate([np.sort(rng.uniform(0, 90, size)) for size in sizes])
    y = rng.normal(17, 0.3, t.size)
    band = np.zeros(t.size, dtype=np.int8)
    return LightCurves(
        np.concatenate([[0], np.cumsum(sizes)]), t, y, np.full(t.size, 0.1), band, BANDS
    )


@pytest.fixture
def extend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the registry with a set whose kernel is the user's."""

    def make(kernel: Any, scope: Any = "band", min_epochs: int = 1, **facts: Any) -> Registry:
        given = {"unit": None, "ucd": "stat.value", "definition": "d", "reference": "r", **facts}
        feature = Feature(**{"name": "mine", "min_epochs": min_epochs, **given})
        module: Any = ModuleType("users_module")
        module.SET = FeatureSet("mine_set", scope, (feature,), kernel, uses=("mean",))
        monkeypatch.setitem(sys.modules, "users_module", module)
        known = load_registry(["users_module:SET"])
        return known.select(["moments", "mine_set"])

    return make


def compute(registry: Registry) -> dict[str, Any]:
    return compute_features(make_curves(), registry, bands=BANDS, is_magnitude=True).values


def test_what_a_kernel_returns_of_others_is_not_masked_in_them(extend: Any) -> None:
    """The smallest count of one set does not empty the column of another."""
    expected = compute(DEFAULT_FEATURES.select(["moments"]))["g_mean"]
    found = compute(extend(lambda inputs: inputs.computed["mean"], min_epochs=1000))
    assert np.isnan(found["g_mine"]).all()
    np.testing.assert_array_equal(found["g_mean"], expected)


def write_curves(inputs: FeatureInputs) -> Any:
    inputs.curves.y[:] = 0.0
    return np.zeros((5, 1))


def write_computed(inputs: FeatureInputs) -> Any:
    inputs.computed["mean"][:] = 0.0
    return np.zeros((5, 1))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (write_curves, "`mine_set` failed with ValueError: assignment destination is read-only"),
        (write_computed, "`mine_set` failed with ValueError: assignment destination is read-only"),
        (lambda _: {}["trees"], "`mine_set` failed with KeyError: 'trees'"),
        (lambda _: np.array([["x"]] * 5), "`mine_set` must return real numbers, got <U1"),
        (lambda _: np.ones((5, 1)) * 1j, "must return real numbers, got complex128"),
        (lambda _: np.ones(5), r"must return the shape \(5, 1\), got \(5,\)"),
    ],
)
def test_errors_of_a_kernel_name_its_set(extend: Any, kernel: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        compute(extend(kernel))


def test_masked_values_are_undefined(extend: Any) -> None:
    values = np.ma.masked_array(np.arange(5.0)[:, None], mask=[[0], [1], [0], [0], [1]])
    found = compute(extend(lambda _: values))["g_mine"]
    np.testing.assert_array_equal(found, [0.0, np.nan, 2.0, 3.0, np.nan])


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"scope": "galaxy"}, "The scope of `mine_set` must be one of band, pair, object"),
        ({"type": "float16"}, "The type of `mine` must be one of float32, float64, int32"),
        ({"name": "bad name; x"}, "must be named by letters"),
    ],
)
def test_declarations_that_no_table_takes_are_refused(
    extend: Any, facts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        extend(lambda _: np.zeros((5, 1)), **facts)


def test_pairs_need_the_epochs_of_both_bands() -> None:
    """Forty in one band are not enough where the other has five."""
    feature = Feature("pair", None, "stat.value", "d", "r", min_epochs=10)
    part = FeatureSet("pairs", "pair", (feature,), lambda _: np.ones((1, 1)))
    band = np.repeat([0, 1], [40, 5]).astype(np.int8)
    rng = np.random.default_rng(1)
    t = np.sort(rng.uniform(0, 9, 45))
    curves = LightCurves(np.array([0, 45]), t, t, np.ones(45), band, ("g", "r"))
    assert np.isnan(compute_features(curves, Registry((part,))).values["pair_g_r"]).all()
