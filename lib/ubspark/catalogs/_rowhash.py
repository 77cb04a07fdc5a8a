"""Row hashes of Arrow data: the arithmetic of the content digest, defined in ``digests``."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import types as nt
from numpy.typing import NDArray

from ubspark.errors import SchemaError

__all__ = ["TAGS", "UInt64Array", "get_type_name", "hash_fields"]

UInt64Array = NDArray[np.uint64]
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

#: Type tags of digest v1: names and numbers are part of the definition.
TAGS = {
    "null": 0,
    "bool": 1,
    "int8": 2,
    "int16": 3,
    "int32": 4,
    "int64": 5,
    "uint8": 6,
    "uint16": 7,
    "uint32": 8,
    "uint64": 9,
    "float16": 10,
    "float32": 11,
    "float64": 12,
    "decimal": 13,
    "string": 14,
    "binary": 15,
    "date": 16,
    "timestamp": 17,
    "timestamp_tz": 18,
    "time": 19,
    "duration": 20,
    "list": 21,
    "struct": 22,
}

# Weyl step, multipliers and shifts of SplitMix64 (Steele, Lea & Flood 2014, OOPSLA).
GAMMA = np.uint64(0x9E3779B97F4A7C15)
FACTOR_1 = np.uint64(0xBF58476D1CE4E5B9)
FACTOR_2 = np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
#: First 64 bits of the fraction of pi.
SEED = 0x243F6A8885A308D3

_ZERO, _EIGHT = np.uint64(0), np.uint64(8)
_NAN_64, _INF_64, _SIGNLESS_64 = (
    np.uint64(bits) for bits in (0x7FF8 << 48, 0x7FF0 << 48, (1 << 63) - 1)
)
_NAN_32, _INF_32, _SIGNLESS_32 = (
    np.uint64(bits) for bits in (0x7FC00000, 0x7F800000, (1 << 31) - 1)
)
_NS_PER_UNIT = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_MAX_DECIMAL_PRECISION = 38

#: What the types of Arrow are to the digest; encodings are undone before.
_NAMES = {
    pa.lib.Type_NA: "null",
    pa.lib.Type_BOOL: "bool",
    pa.lib.Type_INT8: "int8",
    pa.lib.Type_INT16: "int16",
    pa.lib.Type_INT32: "int32",
    pa.lib.Type_INT64: "int64",
    pa.lib.Type_UINT8: "uint8",
    pa.lib.Type_UINT16: "uint16",
    pa.lib.Type_UINT32: "uint32",
    pa.lib.Type_UINT64: "uint64",
    pa.lib.Type_HALF_FLOAT: "float16",
    pa.lib.Type_FLOAT: "float32",
    pa.lib.Type_DOUBLE: "float64",
    pa.lib.Type_DECIMAL32: "decimal",
    pa.lib.Type_DECIMAL64: "decimal",
    pa.lib.Type_DECIMAL128: "decimal",
    pa.lib.Type_DECIMAL256: "decimal",
    pa.lib.Type_STRING: "string",
    pa.lib.Type_LARGE_STRING: "string",
    pa.lib.Type_STRING_VIEW: "string",
    pa.lib.Type_BINARY: "binary",
    pa.lib.Type_LARGE_BINARY: "binary",
    pa.lib.Type_BINARY_VIEW: "binary",
    pa.lib.Type_FIXED_SIZE_BINARY: "binary",
    pa.lib.Type_DATE32: "date",
    pa.lib.Type_DATE64: "date",
    pa.lib.Type_TIMESTAMP: "timestamp",
    pa.lib.Type_TIME32: "time",
    pa.lib.Type_TIME64: "time",
    pa.lib.Type_DURATION: "duration",
    pa.lib.Type_LIST: "list",
    pa.lib.Type_LARGE_LIST: "list",
    pa.lib.Type_FIXED_SIZE_LIST: "list",
    pa.lib.Type_LIST_VIEW: "list",
    pa.lib.Type_LARGE_LIST_VIEW: "list",
    pa.lib.Type_STRUCT: "struct",
}


def _kernel(signature: Any) -> Callable[[AnyFunction], AnyFunction]:
    """Compile for one signature; spelled here once, so that the kernels stay typed."""
    decorator = numba.njit(signature, cache=True, nogil=True)
    return cast("Callable[[AnyFunction], AnyFunction]", decorator)


def _view(dtype: Any, layout: str = "C") -> Any:
    """Numba type of an input: Arrow buffers are read-only and need not be aligned."""
    return nt.Array(dtype, 1, layout, readonly=True, aligned=False)


@_kernel(nt.uint64(nt.uint64, nt.uint64))
def absorb(state: Any, token: Any) -> Any:
    """Chain one token into a state: the next SplitMix64 output of ``state ^ token``."""
    z = (state ^ token) + GAMMA
    z = (z ^ (z >> SHIFT_1)) * FACTOR_1
    z = (z ^ (z >> SHIFT_2)) * FACTOR_2
    return z ^ (z >> SHIFT_3)


@_kernel(nt.void(nt.uint64[::1], _view(nt.uint64)))
def absorb_words(states: Any, words: Any) -> None:
    """Chain one token into each state, in place."""
    for i in range(states.size):
        states[i] = absorb(states[i], words[i])


@_kernel(nt.void(nt.uint64[::1], _view(nt.uint64)))
def absorb_float64(states: Any, words: Any) -> None:
    """Chain the canonical bits of one double into each state, in place."""
    for i in range(states.size):
        size = words[i] & _SIGNLESS_64
        word = _ZERO if size == _ZERO else words[i]
        states[i] = absorb(states[i], _NAN_64 if size > _INF_64 else word)


@_kernel(nt.void(nt.uint64[::1], _view(nt.uint32)))
def absorb_float32(states: Any, words: Any) -> None:
    """Chain the canonical bits of one single into each state, in place."""
    for i in range(states.size):
        bits = np.uint64(words[i])
        size = bits & _SIGNLESS_32
        word = _ZERO if size == _ZERO else bits
        states[i] = absorb(states[i], _NAN_32 if size > _INF_32 else word)


@_kernel(nt.void(nt.uint64[::1], _view(nt.int64), _view(nt.uint64)))
def absorb_lists(states: Any, offsets: Any, items: Any) -> None:
    """Chain the length and the item hashes of one list into each state, in place."""
    first = offsets[0]
    for i in range(states.size):
        start, stop = offsets[i] - first, offsets[i + 1] - first
        state = absorb(states[i], np.uint64(stop - start))
        for j in range(start, stop):
            state = absorb(state, items[j])
        states[i] = state


@_kernel(nt.void(nt.uint64[::1], _view(nt.int64), _view(nt.uint64, "A")))
def absorb_bytes(states: Any, offsets: Any, words_at: Any) -> None:
    """Chain the length and the zero-padded words of one text into each state, in place.

    ``words_at[k]`` is the little-endian word of the bytes k to k + 7.
    """
    for i in range(states.size):
        position, stop = offsets[i], offsets[i + 1]
        state = absorb(states[i], np.uint64(stop - position))
        while position + 8 <= stop:
            state = absorb(state, words_at[position])
            position += 8
        if position < stop:
            # The word that ends where the text ends never reads past the buffer.
            last = max(stop - 8, 0)
            word = words_at[last] << (_EIGHT * np.uint64(last + 8 - stop))
            state = absorb(state, word >> (_EIGHT * np.uint64(8 - stop + position)))
        states[i] = state


@_kernel(nt.void(nt.uint64[::1], _view(nt.uint8), nt.int64, nt.uint64))
def fill_nulls(hashes: Any, validity: Any, offset: Any, null_hash: Any) -> None:
    """Write ``null_hash`` where the validity bitmap, read from bit ``offset``, holds 0."""
    for i in range(hashes.size):
        bit = offset + i
        if not (validity[bit >> 3] >> (bit & 7)) & 1:
            hashes[i] = null_hash


def hash_fields(fields: dict[str, pa.Array], n_rows: int) -> UInt64Array:
    """Hash each row of some named columns as a struct that is not null.

    Parameters
    ----------
    fields
        Arrays of ``n_rows`` slots, by column name. Nulls count; bytes beneath them do not.
    n_rows
        Number of rows.

    Returns
    -------
    UInt64Array
        Row hashes, shape (n_rows,).
    """
    states = np.full(n_rows, absorb(_begin(TAGS["struct"]), len(fields)), dtype=np.uint64)
    for name in sorted(fields):
        absorb_words(states, _hash_slots(fields[name], name))
    return states


def get_type_name(dtype: pa.DataType, column: str) -> str:
    """Name the type in ``TAGS`` that an Arrow type stands for.

    Raises
    ------
    SchemaError
        If the type has no canonical value: maps (their entries have no order), unions,
        calendar intervals, decimals beyond 38 digits. ``column`` is named in the message.
    """
    is_too_wide = pa.types.is_decimal(dtype) and dtype.precision > _MAX_DECIMAL_PRECISION
    if dtype.id not in _NAMES or is_too_wide:
        msg = f"Column `{column}` has type {dtype}, for which there is no content digest."
        raise SchemaError(msg)
    has_zone = pa.types.is_timestamp(dtype) and dtype.tz is not None
    return "timestamp_tz" if has_zone else _NAMES[dtype.id]


def _hash_slots(array: pa.Array, column: str) -> UInt64Array:
    """Hash each slot of an array of any type, null or not."""
    array = _to_plain(array)
    name = get_type_name(array.type, column)
    n_slots = len(array)
    if n_slots == 0:  # Java writes empty arrays without buffers
        return np.empty(0, dtype=np.uint64)
    if name == "null":
        return np.full(n_slots, _get_null_hash(TAGS[name]), dtype=np.uint64)
    if name == "struct":
        children = {array.type.field(i).name: array.field(i) for i in range(array.type.num_fields)}
        hashes = hash_fields(children, n_slots)
    else:
        hashes = _start(TAGS[name], n_slots)
        _absorb_values(hashes, array, name, column)
    if array.null_count:
        validity = np.frombuffer(array.buffers()[0], dtype=np.uint8)
        fill_nulls(hashes, validity, array.offset, _get_null_hash(TAGS[name]))
    return hashes


def _absorb_values(states: UInt64Array, array: pa.Array, name: str, column: str) -> None:
    """Chain the canonical value of each slot into its state, in place."""
    match name:
        case "list":
            offsets, items = _get_items(array)
            absorb_lists(states, offsets, _hash_slots(items, column))
        case "string" | "binary":
            absorb_bytes(states, *_get_bytes(array))
        case "float64":
            absorb_float64(states, _get_values(array, np.uint64))
        case "float32":
            absorb_float32(states, _get_values(array, np.uint32))
        case _:
            for words in _get_words(array, name):
                absorb_words(states, words)


def _get_words(array: pa.Array, name: str) -> list[UInt64Array]:
    """Read the canonical values of fixed-width slots, as one or two words each."""
    match name:
        case "bool":
            first_byte, skipped = divmod(array.offset, 8)
            bitmap = np.frombuffer(array.buffers()[1], dtype=np.uint8, offset=first_byte)
            flags = np.unpackbits(bitmap, count=skipped + len(array), bitorder="little")
            return [flags[skipped:].astype(np.uint64)]
        case "float16":
            bits = _get_values(array, np.uint16).astype(np.uint64)
            size = bits & np.uint64(0x7FFF)
            bits[size == 0] = 0
            bits[size > 0x7C00] = 0x7E00
            return [bits]
        case "decimal":
            return _get_decimals(array)
        case "timestamp" | "timestamp_tz" | "duration" | "time" | "date":
            return [_get_times(array, name).view(np.uint64)]
        case _:
            values = _get_values(array, np.dtype(name))
            # Widening keeps the sign of a signed integer; 64 bits are taken without a copy.
            return [values.view(np.uint64) if values.itemsize == 8 else values.astype(np.uint64)]


def _get_times(array: pa.Array, name: str) -> NDArray[np.int64]:
    """Read times in the unit of the digest: days, nanoseconds of a day or microseconds."""
    dtype = array.type
    values = _get_values(array, np.dtype(f"i{dtype.bit_width // 8}")).astype(np.int64, copy=False)
    if name == "date":
        return values // 86_400_000 if dtype == pa.date64() else values
    unit_ns, target_ns = _NS_PER_UNIT[dtype.unit], 1 if name == "time" else 1000
    if unit_ns == target_ns:
        return values
    return values * (unit_ns // target_ns) if unit_ns > target_ns else values // target_ns


def _get_decimals(array: pa.Array) -> list[UInt64Array]:
    """Read unscaled decimals as the low and high words of 128 bits."""
    width, n_slots = array.type.byte_width, len(array)
    if width < 16:
        low = _get_values(array, np.dtype(f"i{width}")).astype(np.int64)
        return [low.view(np.uint64), (low >> 63).view(np.uint64)]
    start = array.offset * width
    words = np.frombuffer(array.buffers()[1], np.uint64, n_slots * width // 8, start)
    columns = words.reshape(n_slots, -1)
    return [np.ascontiguousarray(columns[:, i]) for i in (0, 1)]


def _get_values(array: pa.Array, dtype: Any) -> NDArray[Any]:
    """View the values of fixed-width slots; those beneath nulls hold anything."""
    start = array.offset * np.dtype(dtype).itemsize
    return np.frombuffer(array.buffers()[1], dtype=dtype, count=len(array), offset=start)


def _get_offsets(array: pa.Array, size: int | None, dtype: Any) -> NDArray[np.int64]:
    """Read where each slot starts, and the last one stops; ``size`` where all are as long."""
    if size is not None:
        return np.arange(array.offset, array.offset + len(array) + 1, dtype=np.int64) * size
    start = array.offset * np.dtype(dtype).itemsize
    offsets = np.frombuffer(array.buffers()[1], dtype, len(array) + 1, start)
    return offsets.astype(np.int64, copy=False)


def _get_items(array: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Split an array of lists into offsets and the items from the first to the last."""
    if array.type.id in {pa.lib.Type_LIST_VIEW, pa.lib.Type_LARGE_LIST_VIEW}:
        # Not by a cast: that of pyarrow 25 makes offsets of 64 bits wrongly.
        lengths = pc.list_value_length(array).fill_null(0).to_numpy()
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), array.flatten()
    size = array.type.list_size if pa.types.is_fixed_size_list(array.type) else None
    dtype = np.int64 if pa.types.is_large_list(array.type) else np.int32
    offsets = _get_offsets(array, size, dtype)
    return offsets, array.values.slice(offsets[0], offsets[-1] - offsets[0])


def _get_bytes(array: pa.Array) -> tuple[NDArray[np.int64], UInt64Array]:
    """Split an array of texts into offsets and an overlapping view of words, one per byte."""
    dtype = array.type
    is_fixed = pa.types.is_fixed_size_binary(dtype)
    is_large = pa.types.is_large_string(dtype) or pa.types.is_large_binary(dtype)
    offsets = _get_offsets(
        array, dtype.byte_width if is_fixed else None, np.int64 if is_large else np.int32
    )
    buffer = array.buffers()[1 if is_fixed else 2]
    if buffer is None or buffer.size < 8:
        buffer = (b"" if buffer is None else buffer.to_pybytes()).ljust(8, b"\0")
    n_words = len(memoryview(buffer)) - 7
    words = np.ndarray((n_words,), dtype="<u8", buffer=buffer, strides=(1,))
    return offsets, words


def _to_plain(array: pa.Array) -> pa.Array:
    """Undo the encodings of Arrow that do not change a type as Spark sees it."""
    dtype = array.type
    if isinstance(dtype, pa.BaseExtensionType):
        return _to_plain(array.storage)
    if pa.types.is_dictionary(dtype):
        return _to_plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(dtype):
        return _to_plain(pc.run_end_decode(array))
    if pa.types.is_string_view(dtype):
        return array.cast(pa.large_string())
    if pa.types.is_binary_view(dtype):
        return array.cast(pa.large_binary())
    return array


def _start(tag: int, n_slots: int) -> UInt64Array:
    """Begin the states of slots that are not null."""
    return np.full(n_slots, _begin(tag), dtype=np.uint64)


def _begin(tag: int) -> int:
    """Begin the state of a slot that is not null."""
    return int(absorb(absorb(SEED, tag), 1))


def _get_null_hash(tag: int) -> int:
    """Hash a slot that is null."""
    return int(absorb(absorb(SEED, tag), 0))
