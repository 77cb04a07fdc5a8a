"""One declaration gives columns, comments, documentation and dictionary."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from numpy.typing import NDArray

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

ROOT = Path(__file__).parents[2]
BANDS = ("g", "r", "i")


def compute_share_above(inputs: FeatureInputs) -> NDArray[np.float64]:
    """Return the share of values above 18, by sums over segments."""
    curves = inputs.curves
    totals = np.concatenate([[0.0], np.cumsum(curves.y > 18.0)])
    above = totals[curves.offsets[1:]] - totals[curves.offsets[:-1]]
    with np.errstate(invalid="ignore"):
        return (above / np.diff(curves.offsets))[:, None]


SHARE_ABOVE = FeatureSet(
    "share_above",
    "band",
    (Feature("share_above_18", None, "stat.value", "Share of values above 18", "a user", 3),),
    compute_share_above,
)


@pytest.mark.parametrize("feature", DEFAULT_FEATURES.features, ids=lambda feature: feature.name)
def test_each_feature_is_declared_in_full(feature: Feature) -> None:
    assert check_ucd(feature.ucd, check_controlled_vocabulary=True)
    assert len(feature.definition) > 8
    assert not feature.definition.endswith(".")
    assert feature.reference
    unit = (feature.unit or "").replace("{y}", "nJy")
    u.Unit(unit.replace("log(d)", "dex(d)"), format=None)


def test_columns_have_unit_ucd_and_a_comment_that_names_the_band() -> None:
    columns = {column.name: column for column in DEFAULT_FEATURES.to_columns(BANDS)}
    slope = columns["r_psfFluxLinearSlope"]
    assert (slope.type, slope.unit, slope.ucd) == ("float64", "nJy/d", "arith.rate")
    assert slope.description.startswith("Line fitted with weights 1/error^2: slope")
    assert "in band r" in slope.description
    assert "Rubin meas_base ap_linearFit" in slope.description
    assert columns["color_median_g_r"].unit == "mag"
    assert "in bands g and r" in columns["color_median_g_r"].description
    assert columns["i_n_epochs"].type == "int32"


def test_the_measured_quantity_names_columns_and_units() -> None:
    columns = DEFAULT_FEATURES.to_columns(("V",), quantity="mag", unit="mag")
    units = {column.name: column.unit for column in columns}
    assert units["V_magMean"] == "mag"
    assert units["V_magMaxSlope"] == "mag/d"
    without = DEFAULT_FEATURES.to_columns(("V",), quantity="y", unit=None)
    units = {column.name: column.unit for column in without}
    assert units["V_yMean"] is None
    assert units["V_yMaxSlope"] == "1/d"
    assert units["V_duration"] == "d"


def test_names_of_columns_are_those_of_the_values(simulate: Any) -> None:
    registry = DEFAULT_FEATURES.select(columns=("period",))
    curves = simulate(3, 30, "gri")
    found = compute_features(curves, registry, columns={"period": np.ones(3)})
    assert list(found.values) == [column.name for column in registry.to_columns(BANDS)]
    assert {values.shape for values in found.values.values()} == {(3,)}


def test_rubin_names_are_those_of_the_published_schema(data: Path) -> None:
    if not (data / "rubin_dp1_flat").is_dir():
        pytest.skip("`rubin_dp1_flat` is not in UBSPARK_DATA.")
    import pyarrow.parquet as pq

    published = set(pq.read_schema(data / "rubin_dp1_flat" / "dia_object.parquet").names)
    names = {column.name for column in DEFAULT_FEATURES.to_columns(tuple("ugrizy"))}
    statistics = {name for name in published if name[1:].startswith("_psfFlux")}
    assert len(statistics) == 6 * 19
    assert statistics <= names


def test_the_dictionary_is_plain_json_and_names_its_version() -> None:
    read = json.loads(json.dumps(DEFAULT_FEATURES.to_dictionary()))
    assert read["version"] == DEFAULT_FEATURES.version
    names = [feature["name"] for part in read["sets"] for feature in part["features"]]
    assert names == [feature.name for feature in DEFAULT_FEATURES.features]


def test_the_version_follows_the_declarations() -> None:
    first, *others = DEFAULT_FEATURES.sets
    changed = replace(first.features[0], definition="Another meaning")
    other = replace(first, features=(changed, *first.features[1:]))
    assert Registry((other, *others)).version != DEFAULT_FEATURES.version
    assert Registry(DEFAULT_FEATURES.sets).version == DEFAULT_FEATURES.version


def test_sets_whose_columns_are_missing_are_left_out() -> None:
    names = {part.name for part in DEFAULT_FEATURES.select(columns=("parallax", "parallax_error"))}
    assert "parallax" in names
    assert names.isdisjoint({"period", "harmonics", "luminosity", "proper_motion"})


def test_a_set_brings_those_that_it_reads() -> None:
    names = [part.name for part in DEFAULT_FEATURES.select(["colours"])]
    assert names == ["quantiles", "weighted", "colours"]


def test_users_add_features(simulate: Any) -> None:
    registry = DEFAULT_FEATURES.select(["moments"]).extend(SHARE_ABOVE)
    curves = simulate(20, 12, "gri")
    found = compute_features(curves, registry)
    values, counts = found.values["r_share_above_18"], found.counts[:, 1]
    assert registry.to_columns(BANDS)[-1].name == "i_share_above_18"
    assert np.isnan(values[counts < 3]).all()
    assert np.all((values[counts >= 3] >= 0) & (values[counts >= 3] <= 1))
    assert registry.version != DEFAULT_FEATURES.version


def test_users_name_their_sets_by_module(tmp_path: Path, monkeypatch: Any) -> None:
    content = """
import numpy as np
from ubspark.features import Feature, FeatureSet

RANGE = FeatureSet(
    "range", "band",
    (Feature("range", "{y}", "stat.value", "Largest minus smallest value", "me"),),
    lambda inputs: 2 * inputs.computed["amplitude"].reshape(-1, 1),
    uses=("amplitude",),
)
SETS = [RANGE]
"""
    (tmp_path / "my_features.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("my_features:RANGE", "my_features:SETS"):
        assert load_registry([name]).sets[-1].name == "range"


@pytest.mark.parametrize("change", ["needs", "scope", "unit", "definition", "type"])
def test_every_declaration_is_part_of_the_version(change: str) -> None:
    feature = SHARE_ABOVE.features[0]
    other = {
        "needs": replace(SHARE_ABOVE, needs=("period",)),
        "scope": replace(SHARE_ABOVE, scope="object"),
        "unit": replace(SHARE_ABOVE, features=(replace(feature, unit="d"),)),
        "definition": replace(SHARE_ABOVE, features=(replace(feature, definition="Else"),)),
        "type": replace(SHARE_ABOVE, features=(replace(feature, type="float64"),)),
    }[change]
    assert Registry((other,)).version != Registry((SHARE_ABOVE,)).version


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_features", "must be written `module:name`"),
        ("no_such_module_here:X", "cannot be imported"),
        ("json:NOTHING", "has no `NOTHING`"),
        ("json:dumps", "is not a FeatureSet"),
    ],
)
def test_what_is_no_feature_set_is_refused(name: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        load_registry([name])


def test_names_that_do_not_exist_get_the_nearest() -> None:
    with pytest.raises(ParameterError, match="Did you mean `moments`"):
        DEFAULT_FEATURES.select(["moment"])


def test_a_set_that_was_asked_for_says_what_it_needs() -> None:
    with pytest.raises(ParameterError, match="not there: period"):
        DEFAULT_FEATURES.select(["harmonics"], columns=())


def test_a_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ParameterError, match="`share_above` is declared twice"):
        Registry((SHARE_ABOVE, SHARE_ABOVE))
    with pytest.raises(ParameterError, match="`share_above_18` is declared twice"):
        Registry((SHARE_ABOVE, replace(SHARE_ABOVE, name="other")))


def test_a_set_may_read_earlier_ones_only() -> None:
    with pytest.raises(ParameterError, match="which no set before it has"):
        Registry((replace(SHARE_ABOVE, uses=("amplitude",)),))


def test_a_kernel_of_the_wrong_shape_is_refused(simulate: Any) -> None:
    wrong = replace(SHARE_ABOVE, kernel=lambda inputs: np.zeros((5, 1)))
    with pytest.raises(ParameterError, match=r"must return the shape \(12, 1\), got \(5, 1\)"):
        compute_features(simulate(4, 5, "gri"), Registry((wrong,)))


def test_a_missing_column_is_refused(simulate: Any) -> None:
    registry = DEFAULT_FEATURES.select(["folded"])
    with pytest.raises(ParameterError, match="needs the column `period`"):
        compute_features(simulate(2, 5), registry)
    with pytest.raises(ParameterError, match=r"must have the shape \(2,\)"):
        compute_features(simulate(2, 5), registry, columns={"period": np.ones(3)})


def test_the_page_is_that_of_the_registry() -> None:
    call = [sys.executable, str(ROOT / "scripts" / "features_page.py")]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == done.stdout, "Run `python scripts/features_page.py > docs/features.md`."
