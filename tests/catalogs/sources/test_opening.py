"""The format of a path: told by its name, by the user, or asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ubspark.catalogs.sources import Source
from ubspark.errors import InputMissingError, ParameterError

Open = Callable[..., Source]


def test_format_by_name_and_by_word(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "x.CSV"
    path.write_text("a,b\n1,2\n")
    assert opened(path).format == "csv"
    other = path.rename(tmp_path / "x.dat")
    assert opened(other, format="csv").n_rows == 1
    with pytest.raises(ParameterError, match=r"`format` to one of parquet, csv, tsv, ecsv, fits"):
        opened(other)
    with pytest.raises(ParameterError, match=r"`format` must be one of .*, got 'xls'\."):
        opened(other, format="xls")


def test_nothing_there(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(InputMissingError, match=r"none\.csv` does not exist\."):
        opened(tmp_path / "none.csv")
    with pytest.raises(InputMissingError, match=r"holds no file that ends in"):
        opened(tmp_path)


def test_folder_of_several_formats(tmp_path: Path, opened: Open) -> None:
    for name in ("a.csv", "b.tsv"):
        (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(ParameterError, match=r"several formats \(csv, tsv\)\. Set `format`\."):
        opened(tmp_path)
    assert opened(tmp_path, format="csv").files == (str((tmp_path / "a.csv").resolve()),)
