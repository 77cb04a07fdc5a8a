"""The rows that a classifier is trained on: labels, and the features of their objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ubspark.errors import ParameterError, SchemaError
from ubspark.features.arrow import look_up, to_matrix
from ubspark.features.model import name_probability
from ubspark.features.segments import FloatArray
from ubspark.features.training import OTHER, merge_rare
from ubspark.recipes.base import JobInput
from ubspark.recipes.pair_table import get_table

__all__ = ["TrainingRows", "find_id", "read_training_rows"]


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The n rows that have a label.

    Attributes
    ----------
    ids, features, labels, groups
        By row; shape (n,), features (n, columns).
    merged
        Classes that became `OTHER`.
    n_without_label
        Rows of the labels whose label is null, blank or NaN.
    n_without_features
        Labelled objects that the feature table does not have.
    n_without_group
        Objects whose group is null: each is its own.
    n_dropped
        Objects of `OTHER` that were left out, being fewer than the folds.
    """

    ids: pa.Array
    features: FloatArray
    labels: list[str]
    groups: list[str]
    merged: list[str]
    n_without_label: int = 0
    n_without_features: int = 0
    n_without_group: int = 0
    n_dropped: int = 0

    @property
    def n_objects(self) -> int:
        """Objects of the rows."""
        return _count_distinct(self.ids)


def read_training_rows(
    features: JobInput,
    labels: JobInput,
    *,
    label: str,
    columns: Sequence[str],
    group: str,
    least: int,
    n_folds: int,
) -> TrainingRows:
    """Read the labels, and the features of their objects; the rest stays where it is.

    Parameters
    ----------
    label, group
        Column of the labels, and that of the features whose rows stay together.
    columns
        Feature columns.
    least
        Classes with fewer objects are merged.
    n_folds
        Where what they are merged into has fewer groups, it is left out.

    Raises
    ------
    SchemaError, ParameterError
        If nothing can be learnt from the labels, saying why.
    """
    given = _scan(labels, [label])
    label_id, feature_id = find_id(labels), find_id(features)
    known, n_without_label = _keep_labelled(given, label_id, label)
    _validate_labels(known, label_id, label)
    asked = _widen(known[label_id].combine_chunks())
    kind = get_table(features).schema[feature_id].type
    own = pc.field(feature_id).cast(asked.type) if kind != asked.type else pc.field(feature_id)
    rows = _scan(features, [*columns, group], condition=own.isin(asked))
    if rows.num_rows == 0:
        msg = "No object of `inputs.labels` is in `inputs.features`; are the ids of one catalog?"
        raise SchemaError(msg)
    ids = rows[feature_id].combine_chunks()
    place = look_up(_widen(rows[feature_id]), pa.chunked_array([asked]))
    names = known[label].take(pa.array(place)).to_pylist()
    names, merged = merge_rare(names, least=least, objects=ids.to_pylist())
    _validate_merged(names, merged, label, least)
    _validate_names(names)
    groups, n_without_group = _name_groups(rows[group].to_pylist(), ids)
    is_kept = _find_kept(names, groups, n_folds) if merged else np.ones(len(names), dtype=np.bool_)
    chosen = np.flatnonzero(is_kept)
    return TrainingRows(
        ids=ids.take(pa.array(chosen)),
        features=to_matrix(rows, columns)[chosen],
        labels=[names[i] for i in chosen],
        groups=[groups[i] for i in chosen],
        merged=merged,
        n_without_label=n_without_label,
        n_without_features=_count_distinct(asked) - _count_distinct(ids),
        n_without_group=n_without_group,
        n_dropped=_count_distinct(ids.filter(pa.array(~is_kept))),
    )


def find_id(given: JobInput) -> str:
    """Return the column of the ids of an input."""
    table = get_table(given)
    column = table.roles.override(given.roles).get("id")
    if column is None:
        msg = f"Table `{table.uri}` has no column of role `id`. Set `inputs.{given.name}.roles.id`."
        raise SchemaError(msg)
    table.schema.validate_columns([column], table=table.uri)
    return column


def _keep_labelled(given: pa.Table, id_column: str, label: str) -> tuple[pa.Table, int]:
    """Return the rows with a label, without blanks about it, and the number of the others.

    A number or text that is NaN is no label, nor is a blank one.
    """
    values = given[label]
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = pc.utf8_trim_whitespace(values)
        is_word = pc.invert(pc.is_in(pc.utf8_lower(values), pa.array(["", "nan"], values.type)))
        values = pc.if_else(is_word, values, pa.scalar(None, values.type))
        given = given.set_column(given.column_names.index(label), label, values)
    is_none = values.is_null(nan_is_null=True)
    known = given.filter(pc.invert(pc.or_(is_none, given[id_column].is_null())))
    return known, int(pc.sum(is_none).as_py() or 0)


def _find_kept(names: list[str], groups: list[str], n_folds: int) -> Any:
    """Whether each row is trained on: those of `OTHER` unless there are fewer than folds."""
    is_other = np.array(names) == OTHER
    n_groups = len(np.unique(np.array(groups)[is_other]))
    return ~is_other if n_groups < n_folds else np.ones(len(names), dtype=np.bool_)


def _name_groups(values: list[Any], ids: pa.Array) -> tuple[list[str], int]:
    """Return a name for the group of each row, and the number of objects that have none."""
    is_none = [value is None or value != value for value in values]
    named = zip(values, ids.to_pylist(), is_none, strict=True)
    groups = [f"object {own}" if lone else f"group {value}" for value, own, lone in named]
    return groups, _count_distinct(ids.filter(pa.array(is_none, pa.bool_())))


def _count_distinct(ids: Any) -> int:
    return len(pc.unique(ids))


def _widen(ids: Any) -> Any:
    """Return ids as whole numbers of one type, whatever that of their table; text stays."""
    return (
        ids.cast(pa.int64()) if pa.types.is_integer(ids.type) and ids.type.bit_width < 64 else ids
    )


def _validate_labels(known: pa.Table, id_column: str, label: str) -> None:
    """Refuse labels that are none, or that contradict each other."""
    if known.num_rows == 0:
        msg = f"No row of `inputs.labels` has a `{label}`; is `inputs.labels.where` right?"
        raise SchemaError(msg)
    counts = known.group_by(id_column).aggregate([(label, "count_distinct")])
    several = counts.filter(pc.greater(counts[f"{label}_count_distinct"], 1))
    if several.num_rows:
        first = several.sort_by(id_column)[id_column][0].as_py()
        msg = (
            f"{several.num_rows:,} objects of `inputs.labels` have more than one `{label}`, such "
            f"as {first!r}. Give each object one, or choose rows by `where`."
        )
        raise SchemaError(msg)


def _validate_merged(names: list[str], merged: list[str], label: str, least: int) -> None:
    if len(merged) > 1 and len(set(names)) == 1:
        msg = (
            f"All {len(merged):,} classes of `{label}` have fewer than `params.least` ({least}) "
            f"objects and would be one. Is it the column of the classes?"
        )
        raise ParameterError(msg)


def _validate_names(labels: list[str]) -> None:
    """Refuse classes whose columns of probability would have one name."""
    by_column: dict[str, str] = {}
    for label in sorted(set(labels)):
        column = name_probability(label).lower()
        if column in by_column:
            msg = (
                f"The classes `{by_column[column]}` and `{label}` would both have the column "
                f"`{column}` in the scores; rename one."
            )
            raise SchemaError(msg)
        by_column[column] = label


def _scan(given: JobInput, columns: list[str], condition: Any = None) -> pa.Table:
    """Read some columns of a table, its id among them."""
    wanted = dict.fromkeys([find_id(given), *columns])
    dataset = get_table(given).to_dataset()
    asked = None if given.where is None else given.where.to_arrow()
    both = condition if asked is None else asked if condition is None else asked & condition
    rows = dataset.to_table(columns=list(wanted), filter=both)
    # In an order of its own: files come as they come.
    return rows.sort_by(find_id(given))
