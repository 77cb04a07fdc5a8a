"""MOCs: text and files, written by astropy and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.errors import InputMissingError, ParameterError, SourceError
from ubspark.sky.healpix import N_PIXELS_29, merge_ranges
from ubspark.sky.moc import format_moc, is_moc_text, parse_moc, read_moc


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, N_PIXELS_29), st.integers(0, 2**40)), max_size=6))
def test_text_reads_back_the_same(pairs: list[tuple[int, int]]) -> None:
    ranges = merge_ranges([(low, min(low + n, N_PIXELS_29)) for low, n in pairs])
    np.testing.assert_array_equal(parse_moc(format_moc(ranges)), ranges)


def test_text_has_the_fewest_cells() -> None:
    assert format_moc(parse_moc("3/0 1 2 3 4, 4/20-23")) == "2/0 3/4-5"
    assert format_moc(parse_moc("0/0-11")) == "0/0-11"


def test_spaces_and_a_closing_order_are_read() -> None:
    np.testing.assert_array_equal(parse_moc(" 3 / 1,2  3/ 7-8 9/ "), parse_moc("3/1-2 7-8"))
    assert is_moc_text("3/1-2, 4/5 6/")
    assert not is_moc_text("3/coverage.fits")


def write_fits(path: Path, values: np.ndarray, **header: str) -> Path:
    table = fits.BinTableHDU.from_columns([fits.Column("UNIQ", "K", array=values)])
    table.header.update(header)
    table.writeto(path)
    return path


def write(path: Path, kind: str) -> Path:
    ranges = parse_moc(TEXT)
    if kind == "range.fits":
        return write_fits(path, ranges.reshape(-1), ORDERING="RANGE", MOCDIM="SPACE")
    cells = {1: [2], 3: [0, 7, 8, 9, 10], 29: [11529215046068469760 % (12 * 4**29)]}
    if kind.startswith("nuniq.fits"):
        uniq = [4 * 4**order + pixel for order, pixels in cells.items() for pixel in pixels]
        return write_fits(path, np.array(uniq), ORDERING="NUNIQ", COORDSYS="C")
    path.write_text(json.dumps(cells) if kind == "json" else "1/2 3/0 7-10 29/" + str(cells[29][0]))
    return path


TEXT = f"1/2 3/0 7-10 29/{11529215046068469760 % (12 * 4**29)}"


@pytest.mark.parametrize("kind", ["nuniq.fits", "nuniq.fits.gz", "range.fits", "json", "txt"])
def test_every_kind_of_file_holds_the_same(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"moc.{kind}", kind)
    np.testing.assert_array_equal(read_moc(path), parse_moc(TEXT))


def test_files_that_are_no_moc_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="cannot be read: No such file"):
        read_moc(tmp_path / "none.fits")
    galactic = write_fits(tmp_path / "g.fits", np.array([4]), ORDERING="NUNIQ", COORDSYS="G")
    with pytest.raises(SourceError, match="its frame is 'G', not ICRS"):
        read_moc(galactic)
    time = write_fits(tmp_path / "t.fits", np.array([4, 5]), ORDERING="RANGE", MOCDIM="TIME")
    with pytest.raises(SourceError, match="dimension TIME"):
        read_moc(time)
    noise = tmp_path / "noise.fits"
    noise.write_bytes(b"\xff\xfe\x00 nothing")
    with pytest.raises(SourceError, match="holds no MOC of the sky"):
        read_moc(noise)


def test_cells_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"order 3 are in \[0, 768\)"):
        parse_moc("3/768")
    with pytest.raises(ParameterError, match=r"in \[0, 29\], got 30"):
        parse_moc("30/1")
    with pytest.raises(ParameterError, match="written as"):
        parse_moc("3 4/1")
