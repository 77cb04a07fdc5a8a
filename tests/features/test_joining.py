"""An object's row in a joined table, whatever the order of its rows and the cut of the sky."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ubspark.errors import SchemaError
from ubspark.features.joining import KeyedRows, key_rows


def key(ids: Any, index: Any) -> KeyedRows:
    rows = pa.table({"id": ids, "_healpix_29": pa.array(index, pa.int64())})
    return key_rows(rows, "id", name="periods")


def find(keyed: KeyedRows, ids: Any, index: Any) -> list[int]:
    return keyed.find(pa.chunked_array([ids]), np.array(index, dtype=np.int64)).tolist()


def test_rows_are_those_of_a_plain_search() -> None:
    """Ids that occur at several places, rows of nobody, objects without a row."""
    rng = np.random.default_rng(5)
    pairs = sorted({(int(i), int(p)) for i, p in rng.integers(0, 30, (200, 2))})
    rng.shuffle(pairs)
    ids, index = (list(column) for column in zip(*pairs, strict=True))
    wanted = [*pairs[:80], (77, 3), (78, 900)]
    expected = [pairs.index(pair) if pair in pairs else -1 for pair in wanted]
    for kind in (pa.int64(), pa.int32(), pa.string()):
        rows = pa.array(ids, pa.int64()).cast(kind)
        asked = pa.array([i for i, _ in wanted], pa.int64()).cast(kind)
        assert find(key(rows, index), asked, [p for _, p in wanted]) == expected


def test_nothing_is_found_in_no_rows() -> None:
    assert find(key(pa.array([], pa.int64()), []), pa.array([1, 2]), [5, 6]) == [-1, -1]


def test_ids_may_be_wider_than_those_of_the_objects() -> None:
    keyed = key(pa.array([2**40, 7], pa.int64()), [1, 2])
    assert find(keyed, pa.array([7, 8], pa.int32()), [2, 2]) == [1, -1]


def test_an_object_without_an_id_has_no_row() -> None:
    keyed = key(pa.array([None, 7], pa.int64()), [1, 2])
    assert find(keyed, pa.array([None, 7], pa.int64()), [1, 2]) == [-1, 1]


def test_a_row_elsewhere_is_refused() -> None:
    keyed = key(pa.array([4, 5, 6]), [10, 20, 30])
    with pytest.raises(SchemaError, match="for 2 objects of one batch, such as 5"):
        find(keyed, pa.array([4, 5, 6]), [10, 21, 10])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
def test_two_rows_of_an_object_are_refused(order: list[int]) -> None:
    ids, index = np.array([4, 5, 5, 6])[order], np.array([10, 20, 20, 30])[order]
    keyed = key(pa.array(ids), index)
    with pytest.raises(SchemaError, match="more than one row for an object, for 1 objects"):
        find(keyed, pa.array([6, 5, 4]), [30, 20, 10])
    # Those of nobody do not matter.
    assert sorted(find(keyed, pa.array([6, 4]), [30, 10])) == sorted(
        [order.index(3), order.index(0)]
    )
