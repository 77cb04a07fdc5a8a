"""Property files of every version say the same."""

import json
from pathlib import Path

import pytest

from ubspark.catalogs.hats import is_hats_folder, open_hats
from ubspark.catalogs.hats.folder import Folder
from ubspark.catalogs.hats.java_properties import parse_properties, split_list
from ubspark.catalogs.hats.properties import read_collection, read_properties
from ubspark.errors import InputMissingError, ParameterError, SchemaError


def test_java_escapes_comments_and_continuations() -> None:
    text = (
        "#HATS catalog\n! old comment\nhats_creation_date=2025-06-25T15\\:14UTC\n"
        "a : b\nc d e\nempty=\n  long = one \\\n    two\nname=caf\\u00e9\nwindows=c\\\\d\r\n"
    )
    assert parse_properties(text) == {
        "hats_creation_date": "2025-06-25T15:14UTC",
        "a": "b",
        "c": "d e",
        "empty": "",
        "long": "one two",
        "name": "café",
        "windows": "c\\d",
    }


@pytest.mark.parametrize("text", ["a b c", "a, b;c", "a\nb\tc", " a  b c "])
def test_lists_are_split_at_every_separator(text: str) -> None:
    assert split_list(text) == ("a", "b", "c")


def test_the_new_file_wins_over_the_old(made: Path) -> None:
    (made / "properties").write_text("obs_collection=old\ndataproduct_type=source\n")
    assert read_properties(Folder.at(str(made))).kind == "object"


@pytest.mark.parametrize(
    ("old", "kind", "key", "value"),
    [
        (
            {"catalog_type": "margin", "primary_catalog": "p", "margin_threshold": 7200},
            "margin",
            "hats_margin_threshold",
            "7200",
        ),
        (
            {"catalog_type": "index", "primary_catalog": "p", "indexing_column": "id"},
            "index",
            "hats_index_column",
            "id",
        ),
        (
            {"catalog_type": "association", "primary_column": "a", "join_column": "b"},
            "association",
            "hats_col_assn_join",
            "b",
        ),
    ],
)
def test_hipscat_names_become_those_of_hats(
    tmp_path: Path, old: dict[str, object], kind: str, key: str, value: str
) -> None:
    (tmp_path / "catalog_info.json").write_text(
        json.dumps({"catalog_name": "x", "total_rows": 28, **old, "extra_columns": []})
    )
    found = read_properties(Folder.at(str(tmp_path)))
    assert (found.name, found.kind, found.n_rows) == ("x", kind, 28)
    assert found.entries[key] == value


def test_members_of_a_collection(conformance: Path) -> None:
    folder = conformance / "small_sky_order1_collection"
    found = read_collection(Folder.at(str(folder)))
    assert found is not None
    assert found.primary == "small_sky_order1"
    assert found.margins == ("small_sky_order1_margin_1deg", "small_sky_order1_margin_2deg")
    assert found.default_margin == "small_sky_order1_margin_1deg"
    assert found.indexes == {"id": "small_sky_order1_id_index"}
    catalog = open_hats(str(folder))
    assert catalog.uri == str(folder / "small_sky_order1")
    assert catalog.collection == found


def test_a_collection_may_name_its_catalog_by_path(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "collection"
    folder.mkdir()
    text = f"#HATS Collection\nobs_collection=c\nhats_primary_table_url={made}\n"
    (folder / "collection.properties").write_text(text)
    assert open_hats(str(folder)).n_rows == 200


def test_roles_come_from_the_properties(made: Path) -> None:
    file = made / "hats.properties"
    file.write_text(
        file.read_text()
        + "hats_cols_survey_id=id\nhats_coordinate_epoch=J2015.5\nhats_frame=icrs\n"
    )
    roles = open_hats(str(made)).roles
    assert dict(roles.columns) == {"ra": "ra", "dec": "dec", "id": "id"}
    assert roles.epoch == 2015.5


def test_an_epoch_that_is_no_year_is_left_out(made: Path) -> None:
    file = made / "hats.properties"
    file.write_text(file.read_text() + "hats_coordinate_epoch=recent\n")
    with pytest.warns(UserWarning, match="`hats_coordinate_epoch=recent`, which is no Julian year"):
        assert open_hats(str(made)).roles.epoch is None


def test_positions_in_another_frame_are_refused(made: Path) -> None:
    file = made / "hats.properties"
    file.write_text(file.read_text() + "hats_frame=galactic\n")
    with pytest.raises(SchemaError, match="are in the frame galactic"):
        open_hats(str(made))


def test_versions_are_refused_unless_they_are_this_one(made: Path) -> None:
    digest = open_hats(str(made)).digest
    assert open_hats(str(made), version=digest[:12]).n_rows == 200
    with pytest.raises(
        InputMissingError, match=rf"is not of version 'v2'; it is of: {digest[:12]}"
    ):
        open_hats(str(made), version="v2")
    file = made / "hats.properties"
    file.write_text(file.read_text() + "hats_data_semver=v2\n")
    assert open_hats(str(made), version="v2").n_rows == 200


def test_any_change_of_a_file_changes_the_digest(made: Path) -> None:
    before = open_hats(str(made)).digest
    assert open_hats(str(made)).digest == before
    path = next(made.rglob("Npix=*.parquet"))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert open_hats(str(made)).digest != before


def test_folders_without_properties_are_none(tmp_path: Path, made: Path) -> None:
    assert is_hats_folder(str(made))
    assert not is_hats_folder(str(tmp_path))
    assert not is_hats_folder(str(tmp_path / "not_there"))


def test_versions_of_delta_are_not_asked_of_hats(made: Path) -> None:
    from ubspark.catalogs.opening import open_catalog

    assert open_catalog(str(made)).n_rows == 200
    with pytest.raises(ParameterError, match=r"keeps no versions; leave `@v3` out"):
        open_catalog(str(made), version=3)
