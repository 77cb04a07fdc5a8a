"""Delimited text in pieces of whole rows, and what is wrong with a piece."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from ubspark.errors import SourceError

__all__ = ["Chunk", "TextForm", "iter_chunks", "parse_chunk", "read_chunk"]

CHUNK_BYTES = 16 << 20
MAX_ROW_BYTES = 128 << 20


@dataclass(frozen=True)
class TextForm:
    """How a delimited file is written."""

    names: tuple[str, ...]
    delimiter: str
    encoding: str


@dataclass(frozen=True)
class Chunk:
    """A piece of a file that holds whole rows."""

    #: The file, unpacked.
    data: str
    offset: int
    n_bytes: int
    #: Number of its first line in the file, from 1.
    first_line: int


def iter_chunks(
    data: Path, *, offset: int, first_line: int, name: str
) -> Iterator[tuple[Chunk, bytes]]:
    """Cut a file into pieces of about 16 MiB that end where a row ends.

    A line end counts as the end of a row where an even number of quotes stands before it.

    Raises
    ------
    SourceError
        If a row is longer than 128 MiB, as when a quote is never closed.
    """
    with data.open("rb") as stream:
        stream.seek(offset)
        rest, line = b"", first_line
        while True:
            block = stream.read(CHUNK_BYTES)
            content = rest + block
            if not content:
                return
            end = _find_row_end(content) if block else len(content)
            if end == 0 and len(content) > MAX_ROW_BYTES:
                msg = f"`{name}` has a row of more than 128 MiB at line {line}: an open quote?"
                raise SourceError(msg)
            if end:
                yield Chunk(str(data), offset, end, line), content[:end]
                line += content.count(b"\n", 0, end)
                offset += end
            rest = content[end:]


def read_chunk(chunk: Chunk) -> bytes:
    """Return the bytes of a piece."""
    with Path(chunk.data).open("rb") as stream:
        stream.seek(chunk.offset)
        content = stream.read(chunk.n_bytes)
    if len(content) < chunk.n_bytes:
        msg = f"`{chunk.data}` became shorter while it was read."
        raise SourceError(msg)
    return content


def parse_chunk(content: bytes, form: TextForm, *, first_line: int, name: str) -> pa.Table:
    """Return the rows of a piece with every column as text; an empty, unquoted field is null.

    Raises
    ------
    SourceError
        If a row has too few or too many fields, or bytes are not in the encoding.
    """
    if content.count(b'"') % 2 == 1:
        _validate_quotes(content, form, first_line, name)
    if form.encoding != "utf-8":
        content = _decode(content, form, first_line, name).encode()
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(content),
            read_options=arrow_csv.ReadOptions(
                column_names=list(form.names), block_size=len(content) + 1
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=form.delimiter, newlines_in_values=b'"' in content
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(form.names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        utf8 = TextForm(form.names, form.delimiter, "utf-8")
        raise SourceError(_describe_damage(content, utf8, first_line, name)) from error


def _find_row_end(content: bytes) -> int:
    """Return the position after the last line end outside quotes, 0 if there is none."""
    end = content.rfind(b"\n") + 1
    if b'"' not in content:
        return end
    is_open = content.count(b'"', 0, end) % 2 == 1
    while end and is_open:
        start = content.rfind(b"\n", 0, end - 1) + 1
        is_open = content.count(b'"', 0, start) % 2 == 1 if start else False
        end = start
    return end


def _validate_quotes(content: bytes, form: TextForm, first_line: int, name: str) -> None:
    """Raise a `SourceError` if the last field is never closed: Arrow would close it silently.

    A single quote inside an unquoted field, as in ``5"``, is text.
    """
    # Latin-1 takes any byte, and no byte of a longer character of UTF-8 is a quote in it.
    text = io.StringIO(content.decode("latin-1"), newline="")
    reader = csv.reader(text, delimiter=form.delimiter, strict=True)
    start = first_line
    try:
        for _ in reader:
            start = first_line + reader.line_num
    except csv.Error as error:
        msg = f"Line {start} of `{name}` has a quote that is never closed, or misplaced."
        raise SourceError(msg) from error


def _decode(content: bytes, form: TextForm, first_line: int, name: str) -> str:
    """Return a piece as text, or say where its encoding fails."""
    try:
        return content.decode(form.encoding)
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        msg = (
            f"Line {line} of `{name}` holds the byte 0x{content[error.start]:02x}, which is not "
            f"{form.encoding}. Set the option `encoding`, for example to latin-1."
        )
        raise SourceError(msg) from error


def _describe_damage(content: bytes, form: TextForm, first_line: int, name: str) -> str:
    """Return what is wrong with a piece that cannot be parsed, and in which line."""
    try:
        text = _decode(content, form, first_line, name)
    except SourceError as error:
        return str(error)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter)
    start = first_line
    try:
        for row in reader:
            if row and len(row) != len(form.names):
                return (
                    f"Line {start} of `{name}` has {len(row)} fields, "
                    f"the header has {len(form.names)}."
                )
            start = first_line + reader.line_num
    except csv.Error:
        return f"Line {start} of `{name}` cannot be read as delimited text."
    return f"`{name}` cannot be read as delimited text after line {first_line}."
