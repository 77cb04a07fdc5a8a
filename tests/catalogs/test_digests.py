import datetime as dt
import decimal
import functools
import hashlib
import itertools
import json
import operator
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.catalogs.digests import (
    ContentDigest,
    compute_digest,
    compute_row_hashes,
    compute_schema_hash,
)
from ubspark.errors import ParameterError, SchemaError

WORD = (1 << 64) - 1

# --- A second implementation, from the definition, one value at a time. ---

PLAIN_TAGS = {
    pa.null(): 0, pa.bool_(): 1, pa.int8(): 2, pa.int16(): 3, pa.int32(): 4, pa.int64(): 5,
    pa.uint8(): 6, pa.uint16(): 7, pa.uint32(): 8, pa.uint64(): 9,
    pa.float16(): 10, pa.float32(): 11, pa.float64(): 12,
    pa.string(): 14, pa.binary(): 15, pa.date32(): 16,
}  # fmt: skip
FLOAT_FORMS = {10: ("<e", 0x7E00), 11: ("<f", 0x7FC00000), 12: ("<d", 0x7FF8000000000000)}
MICROSECONDS = {"s": 10**6, "ms": 10**3, "us": 1}


def absorb_slowly(state: int, token: int) -> int:
    z = ((state ^ (token & WORD)) + 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def tag_slowly(dtype: pa.DataType) -> int:
    if dtype in PLAIN_TAGS:
        return PLAIN_TAGS[dtype]
    checks: list[tuple[Callable[[Any], bool], int]] = [
        (pa.types.is_decimal, 13),
        (lambda t: pa.types.is_timestamp(t) and t.tz is None, 17),
        (pa.types.is_timestamp, 18),
        (pa.types.is_time, 19),
        (pa.types.is_duration, 20),
        (pa.types.is_list, 21),
        (pa.types.is_struct, 22),
    ]
    return next(tag for is_kind, tag in checks if is_kind(dtype))


def tokens_slowly(scalar: pa.Scalar, tag: int) -> list[int]:
    dtype = scalar.type
    if tag in FLOAT_FORMS:
        form, nan = FLOAT_FORMS[tag]
        value = float(scalar.as_py())
        value = 0.0 if value == 0 else value
        bits = int.from_bytes(struct.pack(form, value), "little")
        return [nan if value != value else bits]
    if tag == 13:
        unscaled = int(scalar.as_py().scaleb(dtype.scale, decimal.Context(prec=60)))
        return [unscaled & WORD, (unscaled >> 64) & WORD]
    if tag in (14, 15):
        text = scalar.as_buffer().to_pybytes()
        parts = [text[i : i + 8] for i in range(0, len(text), 8)]
        return [len(text), *(int.from_bytes(part, "little") for part in parts)]
    if tag in (17, 18, 20):
        value = scalar.value
        return [value // 1000 if dtype.unit == "ns" else value * MICROSECONDS[dtype.unit]]
    if tag == 19:
        return [scalar.value * {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[dtype.unit]]
    if tag == 21:
        return [len(scalar.values), *(hash_slowly(item) for item in scalar.values)]
    if tag == 22:
        names = sorted(field.name for field in dtype)
        return [len(names), *(hash_slowly(scalar[name]) for name in names)]
    return [scalar.value if tag == 16 else int(scalar.as_py())]


def hash_slowly(scalar: pa.Scalar) -> int:
    tag = tag_slowly(scalar.type)
    tokens = [tag, 1, *tokens_slowly(scalar, tag)] if scalar.is_valid else [tag, 0]
    return functools.reduce(absorb_slowly, tokens, 0x243F6A8885A308D3)


def hash_rows_slowly(table: pa.Table) -> list[int]:
    names = sorted(table.column_names)
    hashes = []
    for i in range(table.num_rows):
        tokens = [22, 1, len(names), *(hash_slowly(table[name][i]) for name in names)]
        hashes.append(functools.reduce(absorb_slowly, tokens, 0x243F6A8885A308D3))
    return hashes


# --- Tables. ---

POINT = pa.struct([("x", pa.float64()), ("n", pa.list_(pa.int16()))])
SCHEMA = pa.schema(
    [
        ("z_void", pa.null()),
        ("flag", pa.bool_()),
        *((f"i{bits}", getattr(pa, f"int{bits}")()) for bits in (8, 16, 32, 64)),
        *((f"u{bits}", getattr(pa, f"uint{bits}")()) for bits in (8, 16, 32, 64)),
        ("f16", pa.float16()),
        ("f32", pa.float32()),
        ("f64", pa.float64()),
        ("price", pa.decimal128(38, 6)),
        ("name", pa.string()),
        ("blob", pa.binary()),
        ("day", pa.date32()),
        *((f"t_{unit}", pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        ("t_utc", pa.timestamp("us", tz="UTC")),
        ("at", pa.time64("us")),
        ("lasting", pa.duration("ms")),
        ("fluxes", pa.list_(pa.float64())),
        ("names", pa.list_(pa.string())),
        ("pairs", pa.list_(pa.list_(pa.int32()))),
        ("point", POINT),
        ("points", pa.list_(POINT)),
    ]
)
FLOATS = [0.0, -0.0, 1.5, -2.25, float("nan"), float("inf"), -float("inf"), 6e-8]


def make_value(dtype: pa.DataType, rng: np.random.Generator) -> Any:
    """Draw a Python value or None, with the awkward ones often."""
    if pa.types.is_null(dtype) or rng.random() < 0.2:
        return None
    if pa.types.is_boolean(dtype):
        return bool(rng.integers(2))
    if pa.types.is_integer(dtype):
        limits = np.iinfo(dtype.to_pandas_dtype())
        choices = [limits.min, limits.max, 0, 1, int(rng.integers(100))]
        return choices[rng.integers(len(choices))]
    if pa.types.is_float16(dtype):
        return np.float16(FLOATS[rng.integers(len(FLOATS))])
    if pa.types.is_floating(dtype):
        return [*FLOATS, rng.normal()][rng.integers(len(FLOATS) + 1)]
    if pa.types.is_decimal(dtype):
        return decimal.Decimal(int(rng.integers(-(10**18), 10**18))).scaleb(
            int(rng.integers(-6, 9))
        )
    if pa.types.is_string(dtype):
        return "".join(rng.choice(list("aé☉\0 z"), rng.integers(0, 20)))
    if pa.types.is_binary(dtype):
        return rng.bytes(int(rng.integers(0, 20)))
    if pa.types.is_date(dtype):
        return dt.date(1970, 1, 1) + dt.timedelta(days=int(rng.integers(-40000, 40000)))
    if pa.types.is_time(dtype):
        return dt.time(23, 5, microsecond=int(rng.integers(10**6)))
    if pa.types.is_timestamp(dtype) or pa.types.is_duration(dtype):
        return int(rng.integers(-(10**12), 10**12))
    if pa.types.is_list(dtype):
        return [make_value(dtype.value_type, rng) for _ in range(rng.integers(0, 4))]
    return {field.name: make_value(field.type, rng) for field in dtype}


def make_table(n_rows: int, seed: int, schema: pa.Schema = SCHEMA) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = [
        pa.array([make_value(field.type, rng) for _ in range(n_rows)], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def make_column(values: list[Any], dtype: pa.DataType) -> pa.Table:
    return pa.table({"a": pa.array(values, dtype)})


def sum_digests(parts: list[pa.Table], schema: pa.Schema) -> ContentDigest:
    return functools.reduce(
        operator.add, [compute_digest(part) for part in parts], ContentDigest.empty(schema)
    )


# --- The definition does not change. ---

GOLDEN = pa.table(
    {
        "objectId": pa.array([1, 2, None], pa.int64()),
        "dec": pa.array([-0.0, float("nan"), 89.5], pa.float64()),
        "ra": pa.array([0.0, 359.25, None], pa.float64()),
        "mag": pa.array([20.5, None, float("inf")], pa.float32()),
        "band": pa.array(["u", "", None], pa.string()),
        "name": pa.array(["ten  bytes", "RR Lyræ", "exactly8"], pa.string()),
        "seen": pa.array([0, 1, None], pa.timestamp("us", tz="UTC")),
        "price": pa.array(["1.25", "-0.01", None], pa.string()).cast(pa.decimal128(10, 2)),
        "flags": pa.array([[True, None], [], None], pa.list_(pa.bool_())),
        "points": pa.array([[{"x": 1.0, "n": [1, None]}, None], None, []], pa.list_(POINT)),
    }
)
GOLDEN_TEXT = "v1:51e031670f33a682-3-383eab3ed69d4ea3-5407554b0a62b145"


def test_golden_digest_never_changes() -> None:
    """A new value here means a new version of the digest: old records would not compare."""
    assert str(compute_digest(GOLDEN)) == GOLDEN_TEXT
    assert compute_row_hashes(GOLDEN).tolist() == hash_rows_slowly(GOLDEN)


def test_golden_row_hashes_never_change() -> None:
    table = pa.table({"a": pa.array([0, 1, None], pa.int64())})
    assert [f"{h:016x}" for h in compute_row_hashes(table).tolist()] == [
        "c49e9c68075082b2",
        "02f536d5fe60449b",
        "622a0019e8b16d86",
    ]


def test_golden_schema_hash_follows_its_definition() -> None:
    spelled = [
        ["a", ["list", ["struct", [["n", ["list", "int16"]], ["x", "float64"]]]]],
        ["b", ["decimal", 10, 2]],
        ["é", "timestamp_tz"],
    ]
    text = "ubspark content digest v1\n" + json.dumps(spelled, separators=(",", ":"))
    schema = pa.schema(
        [
            ("b", pa.decimal128(10, 2)),
            ("é", pa.timestamp("ns", tz="Europe/Rome")),
            ("a", pa.list_(POINT)),
        ]
    )
    assert compute_schema_hash(schema) == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("seed", range(4))
def test_rows_agree_with_slow_reference(seed: int) -> None:
    table = make_table(40, seed)
    assert compute_row_hashes(table).tolist() == hash_rows_slowly(table)


def test_totals_agree_with_slow_reference() -> None:
    table = make_table(30, seed=9)
    hashes = hash_rows_slowly(table)
    digest = compute_digest(table)
    assert digest.n_rows == 30
    assert digest.xor == functools.reduce(operator.xor, hashes)
    assert digest.total == sum(hashes) & WORD


def test_texts_of_every_length_agree_with_slow_reference() -> None:
    """Short texts at both ends of a buffer take the branches of the last word."""
    texts = ["abcdefghijklmnopqrstuvwxyz"[: n % 27] for n in range(60)]
    for first in range(30):
        table = make_column(texts[first : first + 30], pa.string())
        assert compute_row_hashes(table).tolist() == hash_rows_slowly(table)
        alone = make_column(texts[first : first + 1], pa.binary())
        assert compute_row_hashes(alone).tolist() == hash_rows_slowly(alone)


def test_tables_larger_than_a_block_agree_with_their_parts() -> None:
    table = pa.table({"a": np.arange(40_000), "b": [[i] * (i % 3) for i in range(40_000)]})
    hashes = compute_row_hashes(table)
    parts = [compute_row_hashes(table.slice(i, 1234)) for i in range(0, 40_000, 1234)]
    assert np.array_equal(hashes, np.concatenate(parts))
    assert len(np.unique(hashes)) == 40_000


# --- What does not count. ---


@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=20, deadline=None)
def test_order_and_partitioning_do_not_count(seed: int, cuts: list[int]) -> None:
    table = make_table(30, seed)
    shuffled = table.take(np.random.default_rng(seed).permutation(30))
    edges = [0, *sorted(cuts), 30]
    parts = [shuffled.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    assert sum_digests(parts, table.schema) == compute_digest(table)
    chunked = pa.concat_tables(parts)
    assert compute_digest(chunked) == compute_digest(table)
    batches = chunked.to_batches(max_chunksize=7)
    assert compute_digest(pa.Table.from_batches(batches)) == compute_digest(table)


@given(start=st.integers(0, 20), length=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_slices_hash_as_the_rows_they_hold(start: int, length: int) -> None:
    table = make_table(20, seed=3)
    hashes = compute_row_hashes(table)
    sliced = table.combine_chunks().to_batches()[0].slice(start, length)
    assert np.array_equal(compute_row_hashes(sliced), hashes[start : start + length])


def test_slice_of_struct_column_hashes_as_its_rows() -> None:
    array = pa.array(
        [{"x": 1.0, "n": [1]}, {"x": 2.0, "n": None}, None, {"x": 3.0, "n": []}], POINT
    )
    hashes = compute_row_hashes(pa.table({"a": array}))
    sliced = compute_row_hashes(pa.RecordBatch.from_arrays([array.slice(1, 3)], ["a"]))
    assert np.array_equal(sliced, hashes[1:])


def test_column_and_field_order_do_not_count() -> None:
    table = make_table(20, seed=5)
    assert compute_digest(table.select(sorted(table.column_names))) == compute_digest(table)
    ab, ba = (
        pa.array([{"a": 1, "b": "x"}], pa.struct(fields))
        for fields in (
            [("a", pa.int32()), ("b", pa.string())],
            [("b", pa.string()), ("a", pa.int32())],
        )
    )
    assert compute_digest(pa.table({"s": ab})) == compute_digest(pa.table({"s": ba}))


def test_metadata_and_nullability_do_not_count() -> None:
    inner = pa.field("element", pa.int32(), nullable=False)
    field = pa.field("a", pa.list_(inner), nullable=False, metadata={"comment": "counts"})
    schema = pa.schema([field], metadata={"made": "today"})
    table = pa.table([pa.array([[1], [2, 3]], field.type)], schema=schema)
    assert compute_digest(table) == compute_digest(make_column([[1], [2, 3]], pa.list_(pa.int32())))


VARIANTS: list[tuple[pa.DataType, pa.DataType, list[Any]]] = [
    (pa.string(), pa.large_string(), ["a", None, "", "a longer text"]),
    (pa.string(), pa.string_view(), ["a", None, "", "a longer text than twelve"]),
    (pa.string(), pa.dictionary(pa.int8(), pa.string()), ["a", None, "a", "b"]),
    (pa.binary(), pa.large_binary(), [b"a", None, b""]),
    (pa.binary(), pa.binary_view(), [b"a", None, b""]),
    (pa.binary(), pa.binary(3), [b"abc", None, b"xyz"]),
    (pa.list_(pa.int32()), pa.large_list(pa.int32()), [[1], None, [], [None, 2]]),
    (pa.list_(pa.int32()), pa.list_(pa.int32(), 2), [[1, 2], None, [None, 3]]),
    (pa.list_(pa.string()), pa.list_(pa.large_string(), 1), [["x"], None, [None]]),
    (pa.list_(pa.int32()), pa.list_view(pa.int32()), [[1], None, [], [None, 2]]),
    (pa.list_(pa.int32()), pa.large_list_view(pa.int32()), [[1], None, [], [None, 2]]),
    (pa.list_(pa.string()), pa.list_(pa.dictionary(pa.int8(), pa.string())), [["a", None], None]),
    (pa.date32(), pa.date64(), [dt.date(1969, 12, 31), None, dt.date(2026, 1, 2)]),
    (pa.timestamp("us"), pa.timestamp("s"), [dt.datetime(1969, 1, 1), None]),
    (
        pa.timestamp("us", "UTC"),
        pa.timestamp("ms", "Asia/Tokyo"),
        [dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC), None],
    ),
    (pa.time64("ns"), pa.time32("s"), [dt.time(1, 2, 3), None]),
    (pa.duration("us"), pa.duration("ns"), [dt.timedelta(days=-1, seconds=1), None]),
    *(
        (pa.decimal128(9, 2), wide(9, 2), [decimal.Decimal("-12.34"), None, decimal.Decimal(7)])
        for wide in (pa.decimal32, pa.decimal64, pa.decimal256)
    ),
]


@pytest.mark.parametrize(("plain", "variant", "values"), VARIANTS, ids=lambda v: str(v)[:24])
def test_arrow_variants_of_one_type_do_not_count(
    plain: pa.DataType, variant: pa.DataType, values: list[Any]
) -> None:
    expected, array = pa.array(values, plain), pa.array(values, variant)
    digest = compute_digest(pa.table({"a": expected}))
    assert compute_digest(pa.table({"a": array})) == digest
    prefixed = pa.concat_arrays([array, array]).slice(len(values) - 1)
    tail = pa.concat_arrays([expected.slice(len(values) - 1), expected])
    assert compute_digest(pa.table({"a": prefixed})) == compute_digest(pa.table({"a": tail}))


def test_run_end_encoding_does_not_count() -> None:
    array = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 5], pa.int32()), ["u", None, "g"])
    plain = pa.array(["u", "u", None, "g", "g"])
    assert compute_digest(pa.table({"a": array})) == compute_digest(pa.table({"a": plain}))
    part = pa.RecordBatch.from_arrays([array.slice(1, 3)], ["a"])
    assert compute_digest(part) == compute_digest(pa.table({"a": plain.slice(1, 3)}))


def test_extension_types_count_as_their_storage() -> None:
    storage = pa.array([bytes(16), None], pa.binary(16))
    array = pa.ExtensionArray.from_storage(pa.uuid(), storage)
    assert compute_digest(pa.table({"a": array})) == compute_digest(pa.table({"a": storage}))


def test_dictionary_with_null_value_counts_as_null() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), ["a", None])
    plain = pa.array(["a", None, None])
    assert compute_digest(pa.table({"a": array})) == compute_digest(pa.table({"a": plain}))


def test_bytes_beneath_nulls_do_not_count() -> None:
    validity = pa.py_buffer(bytes([0b101]))

    def build(dtype: pa.DataType, *buffers: bytes) -> pa.Table:
        arrow = [validity, *(pa.py_buffer(buffer) for buffer in buffers)]
        return pa.table({"a": pa.Array.from_buffers(dtype, 3, arrow)})

    one, other = (np.array([1, hidden, 3], np.int64).tobytes() for hidden in (0, 99))
    assert compute_digest(build(pa.int64(), one)) == compute_digest(build(pa.int64(), other))
    offsets = [np.array(ends, np.int32).tobytes() for ends in ([0, 1, 1, 2], [0, 1, 3, 4])]
    short, long = (
        build(pa.string(), ends, text) for ends, text in zip(offsets, (b"xy", b"x??y"), strict=True)
    )
    assert compute_digest(short) == compute_digest(long)


def test_children_beneath_null_parents_do_not_count() -> None:
    mask = pa.array([False, True, False])
    structs = [
        pa.StructArray.from_arrays([pa.array([1, hidden, 3])], names=["x"], mask=mask)
        for hidden in (2, None)
    ]
    lists = [
        pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(items), mask=mask)
        for ends, items in (([0, 1, 1, 2], [1, 3]), ([0, 1, 3, 4], [1, 8, None, 3]))
    ]
    for one, other in (structs, lists):
        assert compute_digest(pa.table({"a": one})) == compute_digest(pa.table({"a": other}))


@pytest.mark.parametrize(
    ("width", "nans"),
    [
        (2, [0x7E00, 0xFE00, 0x7C01]),
        (4, [0x7FC00000, 0xFFC00000, 0x7F800001]),
        (8, [0x7FF8 << 48, 0xFFF8 << 48, (0x7FF0 << 48) + 1]),
    ],
)
def test_nan_payloads_and_sign_of_zero_do_not_count(width: int, nans: list[int]) -> None:
    bits = np.array([*nans, 0, 1 << (8 * width - 1)], dtype=f"u{width}")
    hashes = compute_row_hashes(pa.table({"a": bits.view(f"f{width}")}))
    assert len(set(hashes[:3].tolist())) == 1
    assert hashes[3] == hashes[4]
    infinite = compute_row_hashes(pa.table({"a": np.array([np.inf, -np.inf], f"f{width}")}))
    assert len({*infinite.tolist(), *hashes.tolist()}) == 4


def test_buffers_need_not_be_aligned() -> None:
    values = np.arange(9, dtype=np.float64)
    shifted = pa.py_buffer(b"?" + values.tobytes()).slice(1)
    array = pa.Array.from_buffers(pa.float64(), 9, [None, shifted])
    assert compute_digest(pa.table({"a": array})) == compute_digest(pa.table({"a": values}))


# --- What counts. ---

INTS, NESTED = pa.list_(pa.int32()), pa.list_(pa.list_(pa.int32()))
DIFFERENCES: dict[str, tuple[pa.DataType, list[Any], list[Any]]] = {
    "null or zero": (pa.int64(), [None], [0]),
    "null or empty text": (pa.string(), [None], [""]),
    "null or NaN": (pa.float64(), [None], [float("nan")]),
    "null or false": (pa.bool_(), [None], [False]),
    "null or empty list": (INTS, [None], [[]]),
    "empty list or list of null": (INTS, [[]], [[None]]),
    "null last or first": (INTS, [[1, None]], [[None, 1]]),
    "null last or absent": (INTS, [[1, None]], [[1]]),
    "order in a list": (INTS, [[1, 2]], [[2, 1]]),
    "boundary of lists in a list": (NESTED, [[[1], [2, 3]]], [[[1, 2], [3]]]),
    "boundary of lists in rows": (INTS, [[1], [2, 3]], [[1, 2], [3]]),
    "empty list first or last": (NESTED, [[[], [1]]], [[[1], []]]),
    "depth of an empty list": (NESTED, [[]], [[[]]]),
    "boundary of texts": (pa.list_(pa.string()), [["ab", "c"]], [["a", "bc"]]),
    "trailing zero byte": (pa.binary(), [b"a"], [b"a\0"]),
    "zero bytes only": (pa.binary(), [b"\0"], [b"\0\0"]),
    "null struct or struct of nulls": (POINT, [None], [{"x": None, "n": None}]),
    "number of equal rows": (pa.int64(), [1], [1, 1]),
    "which pair of equal rows": (pa.int64(), [1, 1], [2, 2]),
    "which rows are two pairs": (pa.int64(), [1, 1, 2, 2], [3, 3, 4, 4]),
    "which rows are twice": (pa.int64(), [1, 1, 2], [1, 2, 2]),
    "rows of nulls": (pa.int64(), [None, None], [None] * 4),
    "sign": (pa.int64(), [-1], [1]),
    "last bit": (pa.float64(), [1.0], [float(np.nextafter(1.0, 2.0))]),
    "microsecond": (pa.timestamp("us"), [1], [2]),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_a_different_value_counts(case: str) -> None:
    dtype, one, other = DIFFERENCES[case]
    assert compute_digest(make_column(one, dtype)) != compute_digest(make_column(other, dtype))


@given(seed=st.integers(0, 10**6), row=st.integers(0, 7), column=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_any_changed_value_counts(seed: int, row: int, column: int) -> None:
    table = make_table(8, seed)
    name = table.column_names[column % table.num_columns]
    other = make_value(table.schema.field(name).type, np.random.default_rng(seed + 1))
    old, new = table[name].combine_chunks(), pa.array([other], table.schema.field(name).type)
    is_same = hash_slowly(old[row]) == hash_slowly(new[0])
    index = table.column_names.index(name)
    column_now = pa.concat_arrays([old.slice(0, row), new, old.slice(row + 1)])
    changed = table.set_column(index, name, column_now)
    assert (compute_digest(changed) == compute_digest(table)) == is_same


@given(
    values=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_digests_agree_exactly_when_the_rows_do(
    values: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Values so few that swaps within a column, between columns and duplicates are common."""
    others = data.draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 3)),
            min_size=len(values),
            max_size=len(values),
        )
        | st.permutations(values)
        | st.permutations([b for _, b in values]).map(
            lambda bs: [(a, b) for (a, _), b in zip(values, bs, strict=True)]
        )
        | st.just([(b, a) for a, b in values])
    )
    one, other = (
        compute_digest(pa.table({"a": [a for a, _ in rows], "b": [b for _, b in rows]}))
        for rows in (values, others)
    )
    assert (one == other) == (sorted(values) == sorted(others))


def test_contents_of_swapped_columns_count() -> None:
    a, b = pa.array([1, 2, 3]), pa.array([4, 5, 6])
    one, other = (
        compute_digest(pa.table({"a": a, "b": b})),
        compute_digest(pa.table({"a": b, "b": a})),
    )
    assert one.schema == other.schema
    assert (one.xor, one.total) != (other.xor, other.total)


def test_column_names_and_types_count() -> None:
    types = [
        *(field.type for field in SCHEMA),
        pa.decimal128(10, 2), pa.decimal128(10, 3), pa.decimal128(11, 2),
        pa.struct([]), pa.struct([("y", pa.float64()), ("n", pa.list_(pa.int16()))]),
    ]  # fmt: skip
    hashes = {compute_schema_hash(pa.schema([("a", dtype)])) for dtype in types}
    assert len(hashes) == len(types) - 3  # four timestamps without zone are one type
    assert compute_schema_hash(pa.schema([("b", pa.int64())])) not in hashes


def test_type_of_a_value_enters_its_row_hash() -> None:
    hashes = [
        int(compute_row_hashes(make_column([1], dtype))[0])
        for dtype in (pa.int8(), pa.int32(), pa.int64(), pa.uint64(), pa.timestamp("us"))
    ]
    assert len(set(hashes)) == len(hashes)


# --- Edges. ---


def test_empty_table_has_the_empty_digest() -> None:
    table = make_table(0, seed=0)
    assert compute_digest(table) == ContentDigest.empty(SCHEMA)
    assert compute_row_hashes(table).shape == (0,)
    assert compute_row_hashes(table).dtype == np.uint64


def test_rows_without_columns_are_counted() -> None:
    batch = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
    assert compute_digest(batch).n_rows == 2
    assert compute_digest(pa.table({})).n_rows == 0


def test_columns_of_nulls_only_agree_with_slow_reference() -> None:
    table = pa.Table.from_arrays([pa.nulls(5, field.type) for field in SCHEMA], schema=SCHEMA)
    assert compute_row_hashes(table).tolist() == hash_rows_slowly(table)


@pytest.mark.parametrize(
    "dtype",
    [
        pa.map_(pa.string(), pa.int64()),
        pa.list_(pa.map_(pa.string(), pa.int64())),
        pa.month_day_nano_interval(),
        pa.decimal256(39, 0),
    ],
    ids=str,
)
def test_types_without_canonical_value_are_refused(dtype: pa.DataType) -> None:
    schema = pa.schema([("id", pa.int64()), ("extra", dtype)])
    table = schema.empty_table()
    for call in (compute_digest, compute_row_hashes):
        with pytest.raises(SchemaError, match=r"^Column `extra` has type .*no content digest\.$"):
            call(table)


def test_repeated_column_names_are_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaError, match="must be unique, got more than once: a"):
        compute_digest(table)
    twice = pa.struct([pa.field("x", pa.int32()), pa.field("x", pa.int32())])
    with pytest.raises(SchemaError, match="must be unique, got more than once: x"):
        compute_row_hashes(pa.schema([("s", twice)]).empty_table())


def test_parts_with_different_schemas_are_refused() -> None:
    one, other = make_column([1], pa.int64()), make_column([1], pa.int32())
    with pytest.raises(SchemaError, match="must have one schema"):
        compute_digest(one) + compute_digest(other)


@given(
    st.builds(
        ContentDigest,
        n_rows=st.integers(0, 10**12),
        xor=st.integers(0, WORD),
        total=st.integers(0, WORD),
        schema=st.from_regex("[0-9a-f]{16}", fullmatch=True),
    )
)
def test_text_form_reads_back(digest: ContentDigest) -> None:
    assert ContentDigest.parse(str(digest)) == digest


@pytest.mark.parametrize("text", ["", "v2:0-0-0-0", GOLDEN_TEXT + "\n", GOLDEN_TEXT.upper()])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="`text` must be a content digest"):
        ContentDigest.parse(text)
