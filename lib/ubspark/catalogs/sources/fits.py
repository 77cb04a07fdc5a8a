"""FITS tables, read in row ranges straight from the file."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from astropy.io import fits

from ubspark.catalogs.kept_types import keep_type
from ubspark.catalogs.sources.base import Source, SourceColumn
from ubspark.catalogs.sources.files import unpack, validate_content
from ubspark.catalogs.sources.fits_ascii import plan_ascii_table
from ubspark.catalogs.sources.fits_binary import plan_binary_table
from ubspark.catalogs.sources.fits_layout import ColumnLayout, TableLayout
from ubspark.catalogs.sources.frames import make_frame
from ubspark.catalogs.sources.names import make_table_names
from ubspark.catalogs.sources.pieces import PieceReader
from ubspark.catalogs.sources.schema import UNSIGNED_64, tell_unsigned
from ubspark.errors import ParameterError, SchemaError, SourceError, UbsparkError

__all__ = ["FitsSource", "open_fits"]

MAX_SPLIT_ROWS = 100_000
MAX_SPLIT_BYTES = 64 << 20
MAX_BATCH_BYTES = 8 << 20

# What CFITSIO, STILTS and others write behind every TTYPE.
_GENERIC_COMMENT = re.compile(r"(label for (field|column)|column|field)\s*\d*", re.IGNORECASE)


@dataclass(frozen=True)
class FitsSource(Source):
    """Rows of one table HDU in each of one or more FITS files."""

    layouts: tuple[TableLayout, ...] = ()

    def open_pieces(self) -> PieceReader:
        """Return ranges of rows."""
        splits = [
            (file, start, min(start + step, layout.n_rows))
            for file, layout in enumerate(self.layouts)
            for step in [layout.rows_within(MAX_SPLIT_BYTES, MAX_SPLIT_ROWS)]
            for start in range(0, layout.n_rows, step)
        ]
        return _RowRangeReader(self.arrow_schema, self.layouts, tuple(splits), self.arrow_schema)


@dataclass(frozen=True)
class _RowRangeReader(PieceReader):
    """Reads ranges of rows."""

    layouts: tuple[TableLayout, ...]
    #: Number of the file, first row, row after the last.
    splits: tuple[tuple[int, int, int], ...]
    #: All columns.
    stored: pa.Schema

    @property
    def n_pieces(self) -> int:
        return len(self.splits)

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        file, start, stop = self.splits[piece]
        layout = self.layouts[file]
        step = layout.rows_within(MAX_BATCH_BYTES, MAX_SPLIT_ROWS)
        for first in range(start, stop, step):
            arrays = layout.read(first, min(first + step, stop))
            rows = pa.RecordBatch.from_arrays(arrays, schema=self.stored)
            yield rows.select(self.schema.names)


def open_fits(
    path: str, files: Sequence[Path], *, options: Mapping[str, str], scratch: Path
) -> FitsSource:
    """Open one FITS table per file; all must have the same columns.

    Parameters
    ----------
    path
        As the user gave it.
    files
        The files; gzipped ones are unpacked into ``scratch``.
    options
        ``hdu``: name or number of the HDU; else the first table of the file.
    scratch
        Folder for unpacked files.

    Raises
    ------
    SourceError
        If a file is not FITS, is cut short, or holds no such table.
    SchemaError
        If a column has a type that a table cannot hold, or the files differ in columns.
    """
    tables = [_open_one(file, options.get("hdu"), scratch) for file in files]
    _validate_same(files, tables)
    layout, header = tables[0].layout, tables[0].header
    names = make_table_names([column.name for column in layout.columns], path)
    frames = {table.frame for table in tables}
    return FitsSource(
        path=path,
        format="fits",
        columns=tuple(_describe(column, names[column.name], header) for column in layout.columns),
        files=tuple(str(file) for file in files),
        n_rows=sum(table.layout.n_rows for table in tables),
        frame=frames.pop() if len(frames) == 1 else None,
        renamed={old: new for old, new in names.items() if old != new},
        remarks=tell_unsigned(
            names[column.name] for column in layout.columns if column.arrow_type == UNSIGNED_64
        ),
        layouts=tuple(table.layout for table in tables),
    )


@dataclass(frozen=True)
class _Table:
    """One table as its file describes it."""

    layout: TableLayout
    header: fits.Header
    frame: str | None


def _open_one(file: Path, wanted: str | None, scratch: Path) -> _Table:
    """Return where the rows of one file lie, and the header that says so."""
    validate_content(file, "FITS")
    data = unpack(file, scratch)
    with data.open("rb") as stream:
        if stream.read(9) != b"SIMPLE  =":
            msg = f"`{file}` is not a FITS file: it does not begin with the keyword SIMPLE."
            raise SourceError(msg)
    try:
        # astropy warns of truncation, odd units and cards; what matters is checked here.
        with warnings.catch_warnings(action="ignore"), fits.open(data) as hdus:
            hdu = _find_table(file, hdus, wanted)
            header, start = hdu.header.copy(), hdu.fileinfo()["datLoc"]
            frame = _read_frame(header) or _read_frame(hdus[0].header)
            plan = plan_ascii_table if isinstance(hdu, fits.TableHDU) else plan_binary_table
            layout = plan(header, data=data, start=start, name=str(file))
    except UbsparkError:
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
        msg = f"`{file}` is not a readable FITS file; its header is damaged or cut short."
        raise SourceError(msg) from error
    return _Table(layout, header, frame)


def _find_table(file: Path, hdus: fits.HDUList, wanted: str | None) -> fits.BinTableHDU:
    """Return the table that is wanted, by name or number, or the first one."""
    tables = [
        (number, hdu)
        for number, hdu in enumerate(hdus)
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)
    ]
    for number, hdu in tables:
        if wanted is None or wanted == str(number) or wanted.upper() == hdu.name.upper():
            return hdu
    if not tables:
        msg = f"`{file}` holds no table, only images."
        raise SourceError(msg)
    known = ", ".join(f"{number} ({hdu.name or 'no name'})" for number, hdu in tables)
    msg = f"`hdu` must be a table of `{file}`, got {wanted!r}. Tables: {known}."
    raise ParameterError(msg)


def _describe(column: ColumnLayout, name: str, header: fits.Header) -> SourceColumn:
    """Return a column with what its header says of it, units as written."""
    n = column.position
    comment = header.comments[f"TTYPE{n}"] if f"TTYPE{n}" in header else ""
    texts = [header.get(f"TCOMM{n}"), header.get(f"TDOC{n}"), comment]
    descriptions = [
        text.strip()
        for text in texts
        if isinstance(text, str) and text.strip() and not _GENERIC_COMMENT.fullmatch(text.strip())
    ]
    return SourceColumn(
        name,
        column.arrow_type,
        unit=_read_text(header, f"TUNIT{n}"),
        ucd=_read_text(header, f"TUCD{n}"),
        description=descriptions[0] if descriptions else None,
        extra=keep_type(pa.uint64(), UNSIGNED_64) if column.arrow_type == UNSIGNED_64 else {},
    )


def _read_text(header: fits.Header, keyword: str) -> str | None:
    """Return a text of the header, None if there is none."""
    value = header.get(keyword)
    return value.strip() or None if isinstance(value, str) else None


def _read_frame(header: fits.Header) -> str | None:
    """Return the frame that RADESYS and EQUINOX declare (FITS 4.0, section 8.3)."""
    system = _read_text(header, "RADESYS") or _read_text(header, "RADECSYS")
    equinox = header.get("EQUINOX")
    equinox = float(equinox) if isinstance(equinox, int | float) else None
    if system is None and equinox is None:
        return None
    # Without RADESYS the standard says FK4 before 1984 and FK5 from then on.
    system = (system or ("FK4" if equinox is not None and equinox < 1984 else "FK5")).upper()
    return make_frame(system, equinox)


def _validate_same(files: Sequence[Path], tables: Sequence[_Table]) -> None:
    """Raise a `SchemaError` if the columns of a file differ from those of the first."""
    first = [(column.name, column.arrow_type) for column in tables[0].layout.columns]
    for file, table in zip(files, tables, strict=True):
        if [(column.name, column.arrow_type) for column in table.layout.columns] != first:
            msg = f"`{file}` does not have the columns of `{files[0]}`. Ingest them one by one."
            raise SchemaError(msg)
