"""Telling how far two tables are apart."""

import numpy as np
import pyarrow as pa
import pytest

from ubspark.errors import ParameterError
from ubspark.lineage.comparison import Tolerance, compare_tables

NEAR = {"x": Tolerance(absolute=1e-6), "ys": Tolerance(relative=1e-6)}


def make(n: int = 50) -> pa.Table:
    rng = np.random.default_rng(1)
    lists = [rng.normal(size=i % 4).tolist() if i % 7 else None for i in range(n)]
    return pa.table(
        {
            "id": np.arange(n),
            "name": [None if i % 5 == 0 else f"star {i % 3}" for i in range(n)],
            "x": pa.array(rng.normal(size=n), mask=np.arange(n) % 11 == 0),
            "ys": pa.array(lists, pa.list_(pa.float64())),
        }
    )


def shift(table: pa.Table, by: float, row: int = 3) -> pa.Table:
    values = table["x"].to_pylist()
    values[row] += by
    return table.set_column(2, "x", pa.array(values, pa.float64()))


def shuffle(table: pa.Table) -> pa.Table:
    order = np.random.default_rng(2).permutation(table.num_rows)
    return table.take(order).select(table.column_names[::-1])


@pytest.mark.parametrize("n", [0, 1, 50])
def test_order_does_not_count(n: int) -> None:
    assert compare_tables(make(n), shuffle(make(n)), NEAR).verdict == "EXACT"


def test_small_differences_are_equivalent_and_measured() -> None:
    found = compare_tables(make(), shuffle(shift(make(), 5e-7)), NEAR)
    assert found.verdict == "EQUIVALENT"
    (column,) = found.columns
    assert (column.name, column.n_rows, column.is_within) == ("x", 1, True)
    assert column.largest == pytest.approx(5e-7)


def test_large_differences_show_column_and_row() -> None:
    found = compare_tables(make(), shuffle(shift(make(), 1e-3)), NEAR)
    assert found.verdict == "DIFFERENT"
    assert found.columns[0].largest == pytest.approx(1e-3)
    assert found.rows is not None
    assert found.rows["_side"].to_pylist() == ["original", "replay"]
    assert found.rows["id"].to_pylist() == [3, 3]


def test_column_without_tolerance_must_be_the_same() -> None:
    assert compare_tables(make(), shift(make(), 1e-12), {}).verdict == "DIFFERENT"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_number_that_is_none_any_more_is_no_small_difference(value: float | None) -> None:
    other = make()["x"].to_pylist()
    other[3] = value
    changed = make().set_column(2, "x", pa.array(other, pa.float64()))
    for pair in ((make(), changed), (changed, make())):
        found = compare_tables(*pair, {"x": Tolerance(1e300, 1e300), "ys": Tolerance()})
        assert found.verdict == "DIFFERENT", value
        assert found.columns[0].name == "x"


def test_nan_and_infinity_are_equal_to_themselves() -> None:
    def build(noise: float) -> pa.Table:
        values = [np.nan, np.inf, -np.inf, 1.0 + noise]
        return pa.table({"id": [0, 1, 2, 3], "x": values})

    found = compare_tables(build(0.0), build(1e-9), NEAR)
    assert found.verdict == "EQUIVALENT"
    assert found.columns[0].n_rows == 1


def test_lists_are_compared_element_by_element() -> None:
    lists = make()["ys"].to_pylist()
    lists[3][2] *= 1 + 1e-8
    near = make().set_column(3, "ys", pa.array(lists, pa.list_(pa.float64())))
    assert compare_tables(make(), near, NEAR).verdict == "EQUIVALENT"
    lists[3] = lists[3][:2]
    shorter = make().set_column(3, "ys", pa.array(lists, pa.list_(pa.float64())))
    found = compare_tables(make(), shorter, NEAR)
    assert found.verdict == "DIFFERENT"
    assert found.columns[0].reason == "lists of another length"


def test_other_ids_and_missing_rows_are_shown() -> None:
    ids = make()["id"].to_pylist()
    ids[7] = 700
    found = compare_tables(make(), make().set_column(0, "id", pa.array(ids)), NEAR)
    assert found.verdict == "DIFFERENT"
    assert found.columns[0].name == "id"
    assert found.rows is not None
    assert sorted(found.rows["id"].to_pylist()) == [7, 700]
    fewer = compare_tables(make(), make().slice(1), NEAR)
    assert fewer.verdict == "DIFFERENT"
    assert fewer.rows is not None
    assert fewer.rows.num_rows == 1
    assert (fewer.n_original, fewer.n_replay) == (50, 49)


def test_repeated_rows_count() -> None:
    twice = pa.concat_tables([make(), make().slice(5, 1)])
    thrice = pa.concat_tables([make(), make().slice(6, 1)])
    assert compare_tables(twice, thrice, NEAR).verdict == "DIFFERENT"


def test_other_columns_and_types_are_named() -> None:
    found = compare_tables(make(), make().drop_columns(["x"]), NEAR)
    assert [(c.name, c.reason) for c in found.columns] == [("x", "only in the original")]
    narrow = make().set_column(2, "x", make()["x"].cast(pa.float32()))
    assert "float in the replay" in compare_tables(make(), narrow, NEAR).columns[0].reason


def test_angles_that_pass_zero_are_near() -> None:
    first = pa.table({"id": [1, 2, 3], "angle": [359.9999999, 0.0, 10.0]})
    second = pa.table({"id": [1, 2, 3], "angle": [0.0, 359.9999999, 10.0]})
    plain, turned = Tolerance(1e-6), Tolerance(1e-6, turn=360.0)
    assert compare_tables(first, second, {"angle": plain}).verdict == "DIFFERENT"
    found = compare_tables(first, second, {"angle": turned})
    assert found.verdict == "EQUIVALENT"
    assert found.columns[0].n_rows == 2
    far = second.set_column(1, "angle", pa.array([180.0, 359.9999999, 10.0]))
    assert compare_tables(first, far, {"angle": turned}).verdict == "DIFFERENT"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b"], r"^Column `x` is of type string, which takes no tolerance\.$"),
        ([{"y": 1.0}, {"y": 2.0}], r"^Column `x` is of type struct<y: double>, which takes no"),
        ([[["a"]], [["b"]]], r"^Column `x` is of type list<.*>, which takes no"),
        ([True, False], r"^Column `x` is of type bool, which takes no"),
        ([2**53 + 1, 5], r"^Column `x` holds integers above 2\^53, which cannot be compared"),
        ([[2**53 + 1], [5]], r"^Column `x` holds integers above 2\^53, which cannot be compared"),
    ],
)
def test_tolerance_of_what_has_none_is_one_sentence(values: list[object], message: str) -> None:
    first, second = (pa.table({"id": [0, 1], "x": x}) for x in (values, values[::-1]))
    with pytest.raises(ParameterError, match=message):
        compare_tables(first, second, {"x": Tolerance(1.0)})


def test_integers_may_have_a_tolerance() -> None:
    first, second = (pa.table({"id": [0, 1], "n": n}) for n in ([5, 7], [6, 7]))
    assert compare_tables(first, second, {"n": Tolerance(1.0)}).verdict == "EQUIVALENT"
    assert compare_tables(first, second, {"n": Tolerance(0.5)}).verdict == "DIFFERENT"
