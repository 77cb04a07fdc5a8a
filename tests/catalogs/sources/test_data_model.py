"""Schemas in Felis: what is read of them, and how files compare."""

from pathlib import Path

import pyarrow as pa
import pytest

from ubspark.catalogs.sources.base import SourceColumn
from ubspark.catalogs.sources.data_model import compare_columns, describe_columns, read_model
from ubspark.errors import InputMissingError, ParameterError, SourceError

MODEL = """
name: survey
version: 2.1
tables:
- name: Star
  columns:
  - {name: id, datatype: long, nullable: false, "ivoa:ucd": meta.id}
  - {name: flux, datatype: float, "ivoa:unit": nJy, description: "Flux,\\n at last"}
  - {name: angle, datatype: double, "fits:tunit": deg}
  - {name: name, datatype: char, length: 8}
  - {name: seen, datatype: timestamp, nullable: false}
- name: Empty
"""


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "survey.yaml"
    path.write_text(MODEL)
    return path


def test_columns_are_read_with_what_they_say(model_file: Path) -> None:
    model = read_model(f"{model_file}#Star")
    assert model.title == "Star of survey 2.1"
    assert model.required == ("id", "seen")
    flux, angle = model.columns[1], model.columns[2]
    assert (flux.type, flux.unit, flux.description) == (pa.float32(), "nJy", "Flux, at last")
    assert angle.unit == "deg"
    assert read_model(f"{model_file}#Empty").columns == ()


def test_differences_are_told_by_kind(model_file: Path) -> None:
    model = read_model(f"{model_file}#Star")
    columns = [
        SourceColumn("id", pa.int64()),
        SourceColumn("flux", pa.float64(), unit="uJy"),
        SourceColumn("angle", pa.float64(), unit="degree"),
        SourceColumn("name", pa.int32()),
        SourceColumn("more", pa.int8()),
        SourceColumn("_healpix_29", pa.int64()),
    ]
    found = compare_columns(columns, model)
    assert found.known == ("id", "flux", "angle", "name")
    assert (found.absent, found.foreign, found.absent_required) == (("seen",), ("more",), ("seen",))
    assert found.types == {"flux": ("double", "float"), "name": ("int32", "string")}
    assert found.units == {"flux": ("uJy", "nJy")}
    assert found.find_faults() == [
        "Star of survey 2.1 needs the columns `seen`.",
        "Another type than in Star of survey 2.1: `name` is int32, not string.",
        "Another unit than in Star of survey 2.1: `flux` is uJy, not nJy.",
    ]
    assert found.tell()[0].startswith("2 of 4 columns")
    assert "`flux` is double, not float" in found.tell()[3]


def test_units_and_texts_fill_what_a_file_leaves_out(model_file: Path) -> None:
    model = read_model(f"{model_file}#Star")
    columns = [SourceColumn("id", pa.int64()), SourceColumn("flux", pa.float32(), unit="mJy")]
    described = describe_columns(columns, model)
    assert described[0].ucd == "meta.id"
    assert (described[1].unit, described[1].description) == ("mJy", "Flux, at last")


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("survey.yaml", ParameterError, "must be written FILE#TABLE"),
        ("survey.yaml#Sta", ParameterError, "Did you mean `Star`"),
        ("absent.yaml#Star", InputMissingError, "cannot be read"),
        ("other.yaml#Star", SourceError, "no list of `tables`"),
    ],
)
def test_wrong_models_are_told(
    model_file: Path, place: str, error: type[Exception], message: str
) -> None:
    (model_file.parent / "other.yaml").write_text("a: [1, 2]")
    with pytest.raises(error, match=message):
        read_model(str(model_file.parent / place))
