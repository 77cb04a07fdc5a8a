"""What of labels and features is trained on: each row that is left out is counted."""

from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import ParameterError, SchemaError
from ubspark.recipes.base import JobInput
from ubspark.recipes.train import TrainParams, _train
from ubspark.recipes.training_rows import TrainingRows, read_training_rows

N = 40


class MemoryTable:
    """Stands for a catalog table."""

    uri = "memory"
    roles = CatalogRoles({"id": "objectId"})

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.schema = TableSchema(tuple(TableColumn(f.name, f.type) for f in rows.schema))

    def to_dataset(self) -> ds.Dataset:
        return ds.dataset(self.rows)


def read(
    labels: Any,
    features: dict[str, Any] | None = None,
    columns: tuple[str, ...] = ("x",),
    **more: Any,
) -> TrainingRows:
    ids = np.arange(N)
    given = {"objectId": ids, "x": np.linspace(0, 1, N), **(features or {})}
    tables = {
        "features": pa.table(given),
        "labels": pa.table({"objectId": ids, "class": labels}),
    }
    inputs = {
        name: JobInput(name, table=cast("Any", MemoryTable(rows))) for name, rows in tables.items()
    }
    asked = {"label": "class", "group": "objectId", "least": 5, "n_folds": 5, **more}
    return read_training_rows(inputs["features"], inputs["labels"], columns=columns, **asked)


def make_labels(**changed: str | None) -> list[str | None]:
    labels: list[str | None] = ["a", "b"] * (N // 2)
    for place, label in changed.items():
        labels[int(place[1:])] = label
    return labels


def test_blank_labels_and_those_that_are_no_number_in_words_are_none() -> None:
    found = read(make_labels(i0="", i1="  ", i2="NaN", i3="nan ", i4=None))
    assert found.n_without_label == 5
    assert found.ids.to_pylist() == list(range(5, N))
    assert set(found.labels) == {"a", "b"}


def test_blanks_about_a_label_do_not_count() -> None:
    found = read(make_labels(i0="a ", i2="\ta"))
    assert (set(found.labels), found.n_without_label) == ({"a", "b"}, 0)


@pytest.mark.parametrize(("n_rare", "n_kept"), [(1, N - 1), (4, N - 4)])
def test_other_is_left_out_where_it_has_fewer_objects_than_folds(n_rare: int, n_kept: int) -> None:
    """Two rare classes would be enough together; one is not."""
    found = read(make_labels(**{f"i{i}": "rare" for i in range(n_rare)}))
    assert found.merged == ["rare"]
    assert (found.n_dropped, found.n_objects, len(found.features)) == (n_rare, n_kept, n_kept)
    assert found.ids.to_pylist() == list(range(n_rare, N))
    both = {f"i{i}": ("rare", "odd")[i % 2] for i in range(6)}
    found = read(make_labels(**both))
    assert (found.n_dropped, found.labels.count("other")) == (0, 6)


def test_an_other_of_few_groups_is_left_out_too() -> None:
    """Eight objects in two groups cannot be in five folds."""
    groups = np.where(np.arange(N) < 8, np.arange(N) % 2, np.arange(N))
    labels = make_labels(**{f"i{i}": ("rare", "odd")[i // 4] for i in range(8)})
    found = read(labels, {"field": groups}, group="field")
    assert (found.n_dropped, set(found.labels)) == (8, {"a", "b"})


def test_rare_is_counted_by_objects_and_not_by_rows() -> None:
    """A class of 2 objects with 20 rows is rare; objects are those that are told."""
    ids = np.concatenate([np.arange(N), np.repeat([0, 1], 9)])
    features = {"objectId": ids, "x": np.zeros(len(ids))}
    found = read(make_labels(i0="rare", i1="rare"), features)
    assert (found.n_dropped, found.n_objects) == (2, N - 2)
    assert "rare" not in found.labels


def test_rows_without_a_group_do_not_belong_together() -> None:
    ids = np.repeat(np.arange(N), 2)
    groups = [None if i % 2 else f"field {i % 3}" for i in ids]
    found = read(
        make_labels(), {"objectId": ids, "x": np.zeros(2 * N), "field": groups}, group="field"
    )
    assert found.n_without_group == N // 2
    assert len(set(found.groups)) == N // 2 + 3
    by_object: dict[int, set[str]] = {i: set() for i in range(N)}
    for own, group in zip(found.ids.to_pylist(), found.groups, strict=True):
        by_object[own].add(group)
    assert all(len(groups) == 1 for groups in by_object.values())


def test_infinite_features_are_undefined() -> None:
    x = np.linspace(0, 1, N)
    x[[3, 4]] = np.inf, -np.inf
    found = read(make_labels(), {"x": x}).features
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [3, 4]


def test_whole_numbers_that_are_no_doubles_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"Column `big` holds whole numbers beyond 2\^53"):
        read(make_labels(), {"big": 2**60 + np.arange(N)}, columns=("x", "big"))


def test_an_estimator_that_takes_no_empty_column_is_told_which_they_are() -> None:
    rows = read(make_labels(), {"void": np.full(N, np.nan)}, columns=("x", "void"))
    own = "sklearn.ensemble:HistGradientBoostingClassifier"
    params = TrainParams(estimator=own, columns=("x", "void"), shuffles=0)
    with pytest.raises(ParameterError, match="without any value, which not all take: void"):
        _train(rows, params)
    assert _train(rows, params.model_copy(update={"estimator": None})).classes == ("a", "b")
