"""CSV and TSV: types found over the whole file, then read in pieces by Spark's tasks."""

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ubspark.catalogs.sources.base import Source, SourceColumn
from ubspark.catalogs.sources.files import unpack, validate_content
from ubspark.catalogs.sources.names import make_table_names
from ubspark.catalogs.sources.parquet_notes import read_yaml_notes
from ubspark.catalogs.sources.pieces import PieceReader
from ubspark.catalogs.sources.text_chunks import (
    Chunk,
    TextForm,
    iter_chunks,
    parse_chunk,
    read_chunk,
)
from ubspark.catalogs.sources.text_types import Evidence, convert_text
from ubspark.errors import ParameterError, SchemaError, SourceError

__all__ = ["DelimitedSource", "open_delimited"]

BATCH_ROWS = 65_536
MAX_HEADER_BYTES = 16 << 20

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_TYPES = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "decimal": pa.decimal128(38, 0),
}
#: Types of ECSV, whose header Gaia's CSV files carry as a comment.
_ECSV_TYPES = {
    "bool": pa.bool_(),
    "float32": pa.float64(),
    "float64": pa.float64(),
    **{f"{sign}int{bits}": pa.int64() for sign in ("", "u") for bits in (8, 16, 32)},
    "int64": pa.int64(),
}


@dataclass(frozen=True)
class DelimitedSource(Source):
    """Rows of CSV or TSV files whose types are known."""

    form: TextForm | None = None
    chunks: tuple[Chunk, ...] = ()

    def open_pieces(self) -> PieceReader | None:
        """Return the chunks of whole rows."""
        if self.form is None:
            return None
        places = {column.name: i for i, column in enumerate(self.columns)}
        return _ChunkReader(self.arrow_schema, self.form, self.chunks, places)


@dataclass(frozen=True)
class _ChunkReader(PieceReader):
    """Parses chunks of text."""

    form: TextForm
    chunks: tuple[Chunk, ...]
    #: Where each column stands in the files.
    places: Mapping[str, int]

    @property
    def n_pieces(self) -> int:
        return len(self.chunks)

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        chunk = self.chunks[piece]
        texts = parse_chunk(
            read_chunk(chunk), self.form, first_line=chunk.first_line, name=chunk.data
        )
        wanted = texts.select([self.places[name] for name in self.schema.names])
        for rows in wanted.combine_chunks().to_batches(max_chunksize=BATCH_ROWS):
            yield self._convert(rows, chunk)

    def _convert(self, rows: pa.RecordBatch, chunk: Chunk) -> pa.RecordBatch:
        """Return rows of text in the types of the columns."""
        arrays = [
            convert_text(texts, field.type, column=field.name, name=chunk.data)
            for texts, field in zip(rows.columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


@dataclass(frozen=True)
class _Header:
    """The top of a file."""

    names: tuple[str, ...]
    #: Comment lines without their ``#``.
    comments: tuple[str, ...]
    #: Where the rows begin, and the number of that line.
    offset: int
    first_line: int


def open_delimited(
    path: str,
    files: Sequence[Path],
    *,
    format: str,  # noqa: A002 - the word of the interface
    options: Mapping[str, str],
    scratch: Path,
) -> DelimitedSource:
    """Open delimited files: one pass over all rows finds the type of each column.

    The first line that is no ``#`` comment holds the names. Empty fields and ``null``, ``NULL``,
    ``NaN``, ``nan`` are null in columns of numbers and booleans; in text only an empty, unquoted
    field is. Integers too large for 64 bits become ``decimal(38, 0)``; text stays what has
    leading zeros, or would lose digits as a double.

    Parameters
    ----------
    path
        As the user gave it.
    files
        The files; gzipped ones are unpacked into ``scratch``.
    format
        ``csv`` or ``tsv``.
    options
        ``delimiter``, one character; ``encoding``, utf-8 by default; ``types``, as
        ``id=string,flux=double``, instead of what the values suggest.
    scratch
        Folder for unpacked files.

    Raises
    ------
    SourceError
        If a file is damaged, a row has too few or too many fields, bytes are not in the
        encoding, or a value does not fit a type that ``types`` names.
    SchemaError
        If names are double, or the files differ in columns.
    ParameterError
        If an option is wrong.
    """
    delimiter = _read_delimiter(options, format)
    encoding = _read_encoding(options)
    declared = _read_types(options)
    data_files, headers = [], []
    for file in files:
        validate_content(file, format.upper())
        data_files.append(unpack(file, scratch))
        headers.append(_read_header(data_files[-1], delimiter, encoding, str(file)))
    _validate_headers(files, headers)
    names = make_table_names(headers[0].names, path)
    for name in declared:
        if name not in names:
            msg = f"`options.types` names column `{name}`, which `{path}` does not have."
            raise SchemaError(msg)
    form = TextForm(headers[0].names, delimiter, encoding)
    survey = _Survey(form, declared)
    for file, data, header in zip(files, data_files, headers, strict=True):
        survey.read(data, header, str(file))
    notes = read_yaml_notes(list(headers[0].comments)) if _is_ecsv(headers[0].comments) else {}
    return DelimitedSource(
        path=path,
        format=format,
        columns=tuple(
            SourceColumn(
                names[name],
                survey.find_type(name, notes.get(name, {}).get("datatype")),
                unit=notes.get(name, {}).get("unit"),
                ucd=notes.get(name, {}).get("ucd"),
                description=notes.get(name, {}).get("description"),
            )
            for name in headers[0].names
        ),
        files=tuple(str(file) for file in files),
        n_rows=survey.n_rows,
        renamed={old: new for old, new in names.items() if old != new},
        form=form,
        chunks=tuple(survey.chunks),
    )


class _Survey:
    """The pass over all rows: pieces, number of rows, evidence for each column."""

    def __init__(self, form: TextForm, declared: Mapping[str, pa.DataType]) -> None:
        self.form = form
        self.declared = declared
        self.chunks: list[Chunk] = []
        self.n_rows = 0
        self._evidence = {name: Evidence() for name in form.names}

    def read(self, data: Path, header: _Header, name: str) -> None:
        """Take in all rows of one file."""
        pieces = iter_chunks(data, offset=header.offset, first_line=header.first_line, name=name)
        for chunk, content in pieces:
            rows = parse_chunk(content, self.form, first_line=chunk.first_line, name=name)
            self.chunks.append(chunk)
            self.n_rows += rows.num_rows
            for column, texts in zip(self.form.names, rows.columns, strict=True):
                values = texts.combine_chunks()
                if column in self.declared:
                    convert_text(values, self.declared[column], column=column, name=name)
                else:
                    self._evidence[column].add(values)

    def find_type(self, column: str, ecsv_type: str | None) -> pa.DataType:
        """Return the type of a column: declared by the user, else found."""
        if column in self.declared:
            return self.declared[column]
        evidence = self._evidence[column]
        hint = _ECSV_TYPES.get(ecsv_type or "")
        if hint is not None and evidence.is_empty:
            return hint
        if hint == pa.float64() and evidence.type == pa.int64() and not evidence.is_inexact:
            return hint
        return evidence.type


def _read_header(data: Path, delimiter: str, encoding: str, name: str) -> _Header:
    """Return the names, and where the rows begin."""
    comments: list[str] = []
    with data.open("rb") as stream:
        for number in range(1, MAX_HEADER_BYTES):
            raw = stream.readline(MAX_HEADER_BYTES)
            if not raw:
                msg = f"`{name}` has no line of column names."
                raise SourceError(msg)
            line = _decode_line(raw, encoding, number, name)
            if number == 1:
                line = line.removeprefix("\ufeff")
            if line.startswith("#"):
                comments.append(line[1:].rstrip("\r\n").removeprefix(" "))
            elif line.strip():
                break
        offset = stream.tell()
    names = tuple(field.strip() for field in next(csv.reader([line], delimiter=delimiter)))
    _validate_names(names, delimiter, name)
    return _Header(names, tuple(comments), offset, number + 1)


def _decode_line(raw: bytes, encoding: str, number: int, name: str) -> str:
    """Return a line of the header as text."""
    try:
        line = raw.decode(encoding)
    except UnicodeDecodeError as error:
        msg = (
            f"Line {number} of `{name}` holds the byte 0x{raw[error.start]:02x}, which is not "
            f"{encoding}. Set the option `encoding`, for example to latin-1."
        )
        raise SourceError(msg) from error
    if "\0" in line or "\r" in line.rstrip("\r\n"):
        what = "binary data" if "\0" in line else "line ends of carriage returns only"
        msg = f"`{name}` holds {what}, not lines of delimited text."
        raise SourceError(msg)
    return line


def _validate_names(names: tuple[str, ...], delimiter: str, name: str) -> None:
    """Raise a `SourceError` if a header cannot be one."""
    if all(_is_number(field) for field in names):
        msg = (
            f"`{name}` has no column names: its first line holds numbers. Write them, without `#`."
        )
        raise SourceError(msg)
    others = [other for other in ",\t;|" if other != delimiter and other in names[0]]
    if len(names) == 1 and others:
        msg = (
            f"`{name}` has one column between {delimiter!r}, but {others[0]!r} in its header. "
            "Set the option `delimiter`."
        )
        raise SourceError(msg)


def _validate_headers(files: Sequence[Path], headers: Sequence[_Header]) -> None:
    """Raise a `SchemaError` if a file has other columns than the first."""
    for file, header in zip(files, headers, strict=True):
        if header.names != headers[0].names:
            msg = f"`{file}` does not have the columns of `{files[0]}`. Ingest them one by one."
            raise SchemaError(msg)


def _read_delimiter(options: Mapping[str, str], format: str) -> str:  # noqa: A002 - as above
    """Return the delimiter of the options, else that of the format."""
    delimiter = options.get("delimiter", _DELIMITERS[format]).replace("\\t", "\t")
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        msg = f"`options.delimiter` must be one ASCII character, got {delimiter!r}."
        raise ParameterError(msg)
    return delimiter


def _read_encoding(options: Mapping[str, str]) -> str:
    """Return the normal name of an encoding in which a line end is one byte."""
    name = options.get("encoding", "utf-8")
    try:
        encoding = codecs.lookup(name).name
    except LookupError as error:
        msg = f"`options.encoding` must be an encoding Python knows, got {name!r}."
        raise ParameterError(msg) from error
    if encoding.startswith(("utf-16", "utf-32")):
        msg = f"`options.encoding` must have one byte per line end, got {name!r}. Use utf-8."
        raise ParameterError(msg)
    return encoding


def _read_types(options: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Return the types that the option ``types`` gives to columns."""
    declared = {}
    for item in filter(None, options.get("types", "").split(",")):
        column, _, kind = (part.strip() for part in item.rpartition("="))
        if kind not in _TYPES or not column:
            choices = ", ".join(_TYPES)
            msg = f"`options.types` must be `column=type`, got {item!r}. Types: {choices}."
            raise ParameterError(msg)
        declared[column] = _TYPES[kind]
    return declared


def _is_number(text: str) -> bool:
    """Tell whether a field is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() != "nan"


def _is_ecsv(comments: Sequence[str]) -> bool:
    """Tell whether the comments of a CSV file are a header of ECSV, as in Gaia's."""
    return bool(comments) and comments[0].startswith("%ECSV")
