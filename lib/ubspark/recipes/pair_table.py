"""The table that a match of two catalogs makes: its columns, their names and their roles."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.columns import (
    ASSOCIATION_COLUMNS,
    DIST_ARCSEC,
    FLAGS,
    HEALPIX_29,
    LEFT_ID,
    N_CANDIDATES,
    P_ANY,
    P_MATCH,
    RIGHT_ID,
    SCORE,
    Column,
)
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.errors import ParameterError, SchemaError
from ubspark.recipes.base import JobInput
from ubspark.recipes.positions import to_position_columns

__all__ = ["PairTable", "find_kept", "get_table", "validate_ids", "validate_names"]

#: What is left of the association where there are no pairs.
_LEFT_COLUMNS = (HEALPIX_29, LEFT_ID, N_CANDIDATES, FLAGS)


@dataclass(frozen=True)
class PairTable:
    """The output of a match.

    Attributes
    ----------
    left, right
        The inputs.
    suffixes
        What is added to names of payload columns that would collide; by default the short names
        of the inputs.
    association_only
        Whether the payload is left out.
    """

    left: JobInput
    right: JobInput
    suffixes: tuple[str, str] | None = None
    association_only: bool = False

    @cached_property
    def columns(self) -> tuple[PositionColumns, PositionColumns]:
        """Where positions stand on either side."""
        left, right = (to_position_columns(get_table(i), i.roles) for i in (self.left, self.right))
        return left, right

    @property
    def default_suffixes(self) -> tuple[str, str]:
        """The short names of the inputs, told apart."""
        left, right = self.left.short_name, self.right.short_name
        return (f"_{left}", f"_{right}") if left != right else (f"_{left}_left", f"_{right}_right")

    def find_payload(self, options: MatchOptions) -> tuple[dict[str, str], dict[str, str]]:
        """Return the columns that the output keeps of each side, with their names there."""
        left = self._find_kept(self.left, 0)
        right = self._find_kept(self.right, 1) if options.has_pairs else ()
        own = {column.name.lower() for column in self._find_own(options)}
        suffixes = self.suffixes or self.default_suffixes
        named = []
        for kept, other, suffix in zip((left, right), (right, left), suffixes, strict=True):
            taken = own | {name.lower() for name in other}
            named.append({n: n + suffix if n.lower() in taken else n for n in kept})
        return named[0], named[1]

    def describe(self, options: MatchOptions) -> TableSchema:
        """Return the schema.

        Raises
        ------
        SchemaError
            If two columns would have one name.
        """
        left, right = get_table(self.left).schema, get_table(self.right).schema
        ids = {LEFT_ID.name: left[self.columns[0].id], RIGHT_ID.name: right[self.columns[1].id]}
        may_be_null = {LEFT_ID.name: options.keeps_right, RIGHT_ID.name: options.keeps_all_left}
        columns = [
            TableColumn.from_vocabulary(
                column,
                source=ids.get(column.name),
                nullable=may_be_null.get(column.name, column.nullable),
            )
            for column in self._find_own(options)
        ]
        for schema, payload in zip((left, right), self.find_payload(options), strict=True):
            columns += [schema[own].rename(name) for own, name in payload.items()]
        validate_names(columns)
        return TableSchema(tuple(columns))

    def find_roles(self, options: MatchOptions) -> CatalogRoles:
        """Return the roles of the output: those of the left catalog that the payload keeps."""
        left = get_table(self.left).roles.override(self.left.roles)
        payload = self.find_payload(options)[0]
        kept = {role: payload[name] for role, name in left.columns.items() if name in payload}
        kept["id"] = LEFT_ID.name
        return CatalogRoles(kept, left.epoch, left.pm_includes_cos_dec)

    def find_constraints(self, options: MatchOptions) -> tuple[Constraint, ...]:
        """Return what every row fulfils."""
        placed = Constraint(HEALPIX_29.name, -1)
        return (placed, Constraint(DIST_ARCSEC.name, 0)) if options.has_pairs else (placed,)

    def _find_kept(self, given: JobInput, side: int) -> tuple[str, ...]:
        return find_kept(given, self.columns[side], association_only=self.association_only)

    def _find_own(self, options: MatchOptions) -> tuple[Column, ...]:
        """Return the columns of the association."""
        if not options.has_pairs:
            return _LEFT_COLUMNS
        score = (SCORE,) if options.scorer is not None else ()
        judged = (P_MATCH, P_ANY) if options.probability is not None else ()
        return (*ASSOCIATION_COLUMNS, *score, *judged)


def find_kept(
    given: JobInput, columns: PositionColumns, *, association_only: bool
) -> tuple[str, ...]:
    """Return the columns of an input that the output keeps: those asked for, else all."""
    if association_only:
        return ()
    table = get_table(given)
    if given.columns is not None:
        table.schema.validate_columns(given.columns, table=given.short_name)
        return given.columns
    skipped = (HEALPIX_29.name, columns.id)
    return tuple(name for name in table.schema.names if name not in skipped)


def get_table(given: JobInput) -> Catalog:
    """Return the table of an input.

    Raises
    ------
    ParameterError
        If it has none.
    """
    if given.table is None:
        msg = f"`inputs.{given.name}` must name a table."
        raise ParameterError(msg)
    return given.table


def validate_ids(one: TableColumn, other: TableColumn, *, tables: tuple[str, str]) -> None:
    """Refuse ids of two tables that cannot be compared: numbers here, text there.

    Raises
    ------
    SchemaError
        Naming both.
    """
    if pa.types.is_integer(one.type) != pa.types.is_integer(other.type):
        msg = (
            f"The ids cannot be compared: `{one.name}` of `{tables[0]}` is {one.type}, "
            f"`{other.name}` of `{tables[1]}` is {other.type}. Set `roles.id` of one of them."
        )
        raise SchemaError(msg)


def validate_names(columns: Iterable[TableColumn]) -> None:
    """Refuse columns of one name.

    Raises
    ------
    SchemaError
        For the first name that comes twice.
    """
    names: set[str] = set()
    for column in columns:
        name = column.name.lower()
        if name in names:
            msg = (
                f"Two output columns would be named `{name}`. Set `params.suffixes` to two "
                f"other endings, or choose columns with `inputs.*.columns`."
            )
            raise SchemaError(msg)
        names.add(name)
