"""Content digest v1: tells whether two tables hold the same rows, in whatever order.

Definition
----------
All integers are unsigned 64-bit, modulo 2^64. A token is absorbed into a state by one step
of SplitMix64 (Steele, Lea & Flood 2014)::

    absorb(h, t):  z = (h ^ t) + 0x9E3779B97F4A7C15
                   z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
                   z = (z ^ (z >> 27)) * 0x94D049BB133111EB
                   return z ^ (z >> 31)

The hash of a value is the state left by its tokens, from ``0x243F6A8885A308D3`` on: its type
tag; 0 if it is null and then nothing more, else 1; then

====  ================  ====================================================================
tag   type              tokens of a value that is not null
====  ================  ====================================================================
0     null              (always null)
1     bool              0 or 1
2-5   int8 ... int64    the value, sign-extended to 64 bits
6-9   uint8 ... uint64  the value
10    float16           IEEE bits; -0.0 as 0.0; every NaN as 0x7E00
11    float32           the same, NaN as 0x7FC00000
12    float64           the same, NaN as 0x7FF8000000000000
13    decimal           unscaled value in 128-bit two's complement: low word, high word
14    string            number of UTF-8 bytes; the bytes as little-endian words of 8, the last
                        padded with zero bytes
15    binary            as string
16    date              days since 1970-01-01, as int64
17    timestamp         no time zone: microseconds since 1970-01-01, as int64
18    timestamp_tz      an instant: microseconds since 1970-01-01 UTC, as int64
19    time              nanoseconds since midnight, as int64
20    duration          microseconds, as int64
21    list              number of items; the hash of each item, in order
22    struct            number of fields; the hash of each field's value, by field name
====  ================  ====================================================================

Other units of time are scaled, flooring what is finer. "By name" is the order of Unicode code
points. The hash of a row is that of a struct whose fields are the columns.

The schema hash is the first 16 hexadecimal digits of the SHA-256 of the line
``ubspark content digest v1``, a line feed and the columns as JSON (ASCII, no spaces): an
array of [name, type] by name, where a type is its name in the table above, or
``["decimal",precision,scale]``, ``["list",type]``, ``["struct",[[name,type],...]]``.

The digest of a table is its schema hash, the number of rows, and the XOR and the sum modulo
2^64 of the row hashes: the sum sees pairs of equal rows, to which the XOR is blind. It is no
protection against someone who builds collisions on purpose.

What does not count: order of rows, columns and struct fields, partitions, chunks, nullability
flags, comments and metadata, time zone names, bytes beneath nulls, and Arrow's variants of one
Spark type (large, view, fixed-size, dictionary and run-end encodings; date64; the width of a
decimal; extension types, which count as their storage). Maps, unions and calendar intervals
have no digest.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ubspark.catalogs._rowhash import UInt64Array, get_type_name, hash_fields
from ubspark.errors import ParameterError, SchemaError

__all__ = ["ContentDigest", "compute_digest", "compute_row_hashes", "compute_schema_hash"]

_VERSION_LINE = "ubspark content digest v1\n"
_TEXT_FORM = re.compile(r"v1:([0-9a-f]{16})-([0-9]+)-([0-9a-f]{16})-([0-9a-f]{16})")
_WORD = 1 << 64
#: Rows hashed at once, so that their states stay in the processor's cache.
_BLOCK_ROWS = 1 << 14


@dataclass(frozen=True)
class ContentDigest:
    """What a table or a part of one holds, independent of the order of its rows."""

    #: Number of rows.
    n_rows: int
    #: XOR of the row hashes.
    xor: int
    #: Sum of the row hashes modulo 2^64.
    total: int
    #: Schema hash, 16 hexadecimal digits.
    schema: str

    @classmethod
    def empty(cls, schema: pa.Schema) -> "ContentDigest":
        """Digest of a table without rows: what parts are added to."""
        return cls(n_rows=0, xor=0, total=0, schema=compute_schema_hash(schema))

    @classmethod
    def parse(cls, text: str) -> "ContentDigest":
        """Read a digest from its text form.

        Raises
        ------
        ParameterError
            If ``text`` is no content digest of version 1.
        """
        match = _TEXT_FORM.fullmatch(text)
        if match is None:
            msg = f"`text` must be a content digest `v1:<schema>-<rows>-<xor>-<sum>`, got {text!r}."
            raise ParameterError(msg)
        schema, n_rows, xor, total = match.groups()
        return cls(n_rows=int(n_rows), xor=int(xor, 16), total=int(total, 16), schema=schema)

    def __add__(self, other: "ContentDigest") -> "ContentDigest":
        """Combine the digests of two parts of one table."""
        if not isinstance(other, ContentDigest):
            return NotImplemented
        if self.schema != other.schema:
            msg = (
                "Parts of one table must have one schema, "
                f"got content digests with schemas {self.schema} and {other.schema}."
            )
            raise SchemaError(msg)
        return ContentDigest(
            n_rows=self.n_rows + other.n_rows,
            xor=self.xor ^ other.xor,
            total=(self.total + other.total) % _WORD,
            schema=self.schema,
        )

    def __sub__(self, other: "ContentDigest") -> "ContentDigest":
        """Take away the digest of a part."""
        if not isinstance(other, ContentDigest):
            return NotImplemented
        n_rows, total = -other.n_rows, -other.total % _WORD
        return self + ContentDigest(n_rows, other.xor, total, other.schema)

    def __str__(self) -> str:
        """Text form ``v1:<schema>-<rows>-<xor>-<sum>``, which ``parse`` reads."""
        return f"v1:{self.schema}-{self.n_rows}-{self.xor:016x}-{self.total:016x}"


def compute_digest(batch: pa.RecordBatch | pa.Table) -> ContentDigest:
    """Compute the content digest of a table or of a part of one.

    Parameters
    ----------
    batch
        Arrow data, of any number of rows and columns, sliced or chunked in any way.

    Returns
    -------
    ContentDigest
        Digest, to be added to those of the other parts.

    Raises
    ------
    SchemaError
        If a column has a type without digest, or two columns have one name.
    """
    digest = ContentDigest.empty(batch.schema)
    for hashes in _iterate_hashes(batch):
        part = ContentDigest(
            n_rows=len(hashes),
            xor=int(np.bitwise_xor.reduce(hashes)),
            total=int(np.add.reduce(hashes)),
            schema=digest.schema,
        )
        digest = digest + part
    return digest


def compute_row_hashes(batch: pa.RecordBatch | pa.Table) -> UInt64Array:
    """Hash each row over its columns in the order of their names.

    Names, precision and scale of decimals enter the schema hash, not the row hashes.

    Parameters
    ----------
    batch
        Arrow data, n rows, sliced or chunked in any way.

    Returns
    -------
    UInt64Array
        Row hashes, shape (n,), in the order of the rows.

    Raises
    ------
    SchemaError
        If a column has a type without digest, or two columns have one name.
    """
    compute_schema_hash(batch.schema)  # refuses before the first row, and without rows
    return np.concatenate([np.empty(0, dtype=np.uint64), *_iterate_hashes(batch)])


def compute_schema_hash(schema: pa.Schema) -> str:
    """Hash the names and types of the columns, whatever their order.

    Parameters
    ----------
    schema
        Arrow schema; metadata and nullability flags do not count.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    SchemaError
        If a column has a type without digest, or two columns have one name.
    """
    text = json.dumps(_spell_fields(list(schema)), separators=(",", ":"))
    return hashlib.sha256((_VERSION_LINE + text).encode()).hexdigest()[:16]


def _iterate_hashes(batch: pa.RecordBatch | pa.Table) -> Iterator[UInt64Array]:
    """Hash the rows block by block, in their order."""
    parts = batch.to_batches() if isinstance(batch, pa.Table) else [batch]
    for part in parts:
        for start in range(0, part.num_rows, _BLOCK_ROWS):
            block = part.slice(start, _BLOCK_ROWS)
            fields = dict(zip(block.schema.names, block.columns, strict=True))
            yield hash_fields(fields, block.num_rows)


def _spell_fields(fields: list[pa.Field]) -> list[Any]:
    """Write fields as the JSON of the schema hash."""
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        msg = f"Column names must be unique, got more than once: {', '.join(repeated)}."
        raise SchemaError(msg)
    by_name = {field.name: field for field in fields}
    return [[name, _spell_type(by_name[name].type, name)] for name in sorted(names)]


def _spell_type(dtype: pa.DataType, column: str) -> Any:
    """Write a type as the JSON of the schema hash."""
    if isinstance(dtype, pa.BaseExtensionType):
        return _spell_type(dtype.storage_type, column)
    if pa.types.is_dictionary(dtype) or pa.types.is_run_end_encoded(dtype):
        return _spell_type(dtype.value_type, column)
    name = get_type_name(dtype, column)
    match name:
        case "decimal":
            return [name, dtype.precision, dtype.scale]
        case "list":
            return [name, _spell_type(dtype.value_type, column)]
        case "struct":
            return [name, _spell_fields(list(dtype))]
        case _:
            return name
