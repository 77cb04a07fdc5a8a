"""What a features job is to compute, found from its inputs and parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.columns import HEALPIX_29, Column
from ubspark.errors import ParameterError, SchemaError
from ubspark.features import Registry, load_registry
from ubspark.features.arrow import CurveColumns, CurveScale
from ubspark.features.light_curve import with_light_curve
from ubspark.features.segments import STATUS_BITS
from ubspark.features.spark import STATUS
from ubspark.recipes.base import JobInput, Params
from ubspark.recipes.pair_table import get_table, validate_ids
from ubspark.recipes.unit_factors import find_factor

__all__ = ["CARRIED_PROPERTY", "PREVIOUS", "FeatureJob", "FeaturesParams", "validate_names"]

#: Input of an earlier feature table.
PREVIOUS = "previous"
#: Table property that lists the columns which come from the inputs as they are.
CARRIED_PROPERTY = "ubspark.features.carried"
#: Where each value that is joined to an object stands by default: the role, then names.
_VALUES = {
    "period": ("period",),
    "parallax": ("parallax",),
    "parallax_error": ("parallax_error", "e_plx"),
    "pmra": ("pmra",),
    "pmdec": ("pmdec",),
    "phot_mag": ("phot_g_mean_mag",),
}
#: Units in which the kernels take them.
_UNITS = {
    "period": "d",
    "parallax": "mas",
    "parallax_error": "mas",
    "pmra": "mas/yr",
    "pmdec": "mas/yr",
    "phot_mag": "mag",
}
#: Values that are also roles of a column.
_ROLES = frozenset({"parallax", "pmra", "pmdec"})
#: Name of the object's id in a joined table, where it is not that of the light curves.
_MATCH_ID = "left_id"


class FeaturesParams(Params):
    """Parameters of the features job."""

    #: Bands, in the order of the columns; the one band where the light curves have no column of
    #: bands.
    bands: tuple[str, ...]
    #: Feature sets; all default ones whose columns are there where None.
    sets: tuple[str, ...] | None = None
    #: Feature sets of your own, each ``module:name``.
    own: tuple[str, ...] = ()
    #: What computes features that both have: this package, or light-curve (an optional extra).
    engine: Literal["own", "light_curve"] = "own"
    #: Word for the measured quantity in column names; by default that of the flux column.
    quantity: str | None = None
    #: Whether values are magnitudes; by default what the unit of the flux column says.
    is_magnitude: bool | None = None
    #: Columns of joined tables by what they mean (``phot_mag: matches.phot_g_mean_mag``), where
    #: roles and names do not say it.
    values: dict[str, str] | None = None
    #: Version of the feature registry; set when the job is frozen.
    registry: str | None = None


@dataclass(frozen=True)
class FeatureJob:
    """The inputs and parameters of a features job, looked at together."""

    inputs: Mapping[str, JobInput]
    params: FeaturesParams

    @cached_property
    def table(self) -> Catalog:
        """The table of light curves."""
        return get_table(self.inputs["lightcurves"])

    @cached_property
    def roles(self) -> CatalogRoles:
        """What its columns stand for."""
        return self.table.roles.override(self.inputs["lightcurves"].roles)

    @cached_property
    def curves(self) -> CurveColumns:
        """The columns of the lists, checked."""
        found = {role: self.roles.get(role) for role in ("time", "flux", "flux_error", "band")}
        for role in ("time", "flux", "flux_error"):
            if found[role] is None:
                msg = (
                    f"The light curves `{self.table.uri}` have no column of role `{role}`. Set "
                    f"`inputs.lightcurves.roles.{role}`."
                )
                raise SchemaError(msg)
        for role, column in found.items():
            if column is not None:
                self._validate_list(column, role)
        if found["band"] is None and len(self.params.bands) != 1:
            msg = (
                "The light curves have no column of role `band`, so `params.bands` must name "
                f"the one band of all epochs, got {len(self.params.bands)} bands."
            )
            raise ParameterError(msg)
        time, flux, error, band = (found[r] for r in ("time", "flux", "flux_error", "band"))
        return CurveColumns(str(time), str(flux), str(error), band)

    @cached_property
    def scale(self) -> CurveScale:
        """What makes the lists days, and errors the unit of the values.

        A column without a unit is taken to be in it.
        """
        schema, table = self.table.schema, self.table.uri
        columns = (self.curves.time, self.curves.flux, self.curves.flux_error)
        time, flux, error = (schema[name] for name in columns)
        days = find_factor(time, "d", table=table)
        # Colours are in mag, so magnitudes must be.
        is_magnitude = self.find_is_magnitude()
        value = find_factor(flux, "mag", table=table) if is_magnitude else 1.0
        of_values = flux.unit or ("mag" if is_magnitude else error.unit) or ""
        return CurveScale(days, value, value * find_factor(error, of_values, table=table))

    @cached_property
    def factors(self) -> dict[str, float]:
        """For each value that is joined, what brings it to the unit of the kernels."""
        return {
            value: find_factor(self.others[name].schema[column], _UNITS[value], table=name)
            for value, (name, column) in self.values.items()
            if value in _UNITS
        }

    def list_conversions(self) -> list[str]:
        """Return sentences on the columns whose values are converted."""
        schema = self.table.schema
        curves = [
            (schema[self.curves.time], self.scale.time, "d"),
            (schema[self.curves.flux], self.scale.flux, self.unit),
            (schema[self.curves.flux_error], self.scale.flux_error, self.unit),
        ]
        joined = [
            (self.others[name].schema[column], self.factors.get(value, 1.0), _UNITS.get(value))
            for value, (name, column) in self.values.items()
        ]
        return [
            f"Column `{column.name}` was converted from {column.unit} to {unit}."
            for column, factor, unit in (*curves, *joined)
            if factor != 1.0
        ]

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """The columns of the light curves that the output keeps: id, position, what was asked."""
        if self.roles.get("id") is None:
            msg = f"The light curves `{self.table.uri}` have no column of role `id`."
            raise SchemaError(msg)
        names = [self.roles[role] for role in ("id", "ra", "dec") if self.roles.get(role)]
        asked = self.inputs["lightcurves"].columns or ()
        self.table.schema.validate_columns([*names, *asked], table=self.table.uri)
        return tuple(dict.fromkeys([*names, *asked]))

    @cached_property
    def others(self) -> dict[str, Catalog]:
        """The joined tables."""
        names = (name for name in self.inputs if name not in ("lightcurves", PREVIOUS))
        return {name: get_table(self.inputs[name]) for name in names}

    @property
    def previous(self) -> Catalog | None:
        """An earlier feature table, to compare with."""
        return get_table(self.inputs[PREVIOUS]) if PREVIOUS in self.inputs else None

    @cached_property
    def values(self) -> dict[str, tuple[str, str]]:
        """For each value that is joined, the input and the column that have it."""
        found = {}
        for value, names in _VALUES.items():
            for name, table in self.others.items():
                roles = table.roles.override(self.inputs[name].roles)
                for column in (roles.get(value) if value in _ROLES else None, *names):
                    if column in table.schema and value not in found:
                        found[value] = (name, str(column))
        for value, place in (self.params.values or {}).items():
            name, _, column = place.partition(".")
            if name not in self.others:
                msg = (
                    f"`params.values.{value}` must be written `input.column` with an input of "
                    f"the job ({', '.join(self.others) or 'none is joined'}), got `{place}`."
                )
                raise ParameterError(msg)
            self.others[name].schema.validate_columns([column], table=name)
            found[value] = (name, column)
        return found

    @cached_property
    def registry(self) -> Registry:
        """The sets to compute."""
        known = load_registry(self.params.own)
        names = self.params.sets
        if self.params.own:
            # What a user names is computed, or it is said why not.
            ours = [part.name for part in load_registry()]
            if names is None:
                names = tuple(part.name for part in load_registry().select(columns=self.values))
            names = (*names, *(part.name for part in known if part.name not in ours))
        chosen = known.select(names, columns=self.values)
        return with_light_curve(chosen) if self.params.engine == "light_curve" else chosen

    @cached_property
    def declared(self) -> list[Column]:
        """The columns of the features."""
        return self.registry.to_columns(self.params.bands, quantity=self.quantity, unit=self.unit)

    @property
    def quantity(self) -> str:
        """The word for the measured quantity."""
        return self.params.quantity or self.curves.flux

    @property
    def unit(self) -> str | None:
        """The unit of the values, as the kernels take them."""
        unit = self.table.schema[self.curves.flux].unit
        return unit if self.scale.flux == 1.0 else "mag"

    def find_is_magnitude(self) -> bool:
        """Return whether values are magnitudes, as the file or the unit says.

        Raises
        ------
        ParameterError
            If neither does.
        """
        if self.params.is_magnitude is not None:
            return self.params.is_magnitude
        unit = self.table.schema[self.curves.flux].unit
        if unit is None:
            msg = (
                f"Column `{self.curves.flux}` has no unit; say whether its values are magnitudes "
                f"with `params.is_magnitude`."
            )
            raise ParameterError(msg)
        return "mag" in unit.lower()

    def find_id(self, name: str) -> str:
        """Return the column of a joined table that has the id of the objects."""
        table, own = self.others[name], self.carried[0]
        role = table.roles.override(self.inputs[name].roles).get("id")
        for column in (role, own, _MATCH_ID):
            if column is not None and column in table.schema:
                ids = self.table.schema[own], table.schema[column]
                validate_ids(*ids, tables=("inputs.lightcurves", f"inputs.{name}"))
                return column
        msg = f"Table `{table.uri}` has no column `{own}` to join by. Set `inputs.{name}.roles.id`."
        raise SchemaError(msg)

    def find_payload(self, name: str) -> dict[str, str]:
        """Return the columns asked for of a joined table, and their names in the output."""
        asked = self.inputs[name].columns or ()
        self.others[name].schema.validate_columns(asked, table=name)
        return {column: f"{column}_{name}" for column in asked}

    def list_carried(self) -> list[str]:
        """Return the columns of the output that come from the inputs as they are."""
        payload = [name for other in self.others for name in self.find_payload(other).values()]
        return [*self.carried, *payload]

    def describe(self) -> TableSchema:
        """Return the schema of the feature table."""
        own = self.table.schema
        columns = [TableColumn.from_vocabulary(HEALPIX_29)]
        columns += [own[name] for name in self.carried if name != HEALPIX_29.name]
        bits = "; ".join(f"{bit}: {meaning}" for bit, meaning in STATUS_BITS.items())
        text = f"Bits of what the light curve was like: {bits}"
        columns.append(TableColumn(STATUS, pa.int16(), False, None, "meta.code.status", text))
        columns += [TableColumn.from_vocabulary(column) for column in self.declared]
        for name, table in self.others.items():
            for column, shown in self.find_payload(name).items():
                columns.append(table.schema[column].rename(shown))
        validate_names([column.name for column in columns])
        return TableSchema(tuple(columns))

    def _validate_list(self, column: str, role: str) -> None:
        self.table.schema.validate_columns([column], table=self.table.uri)
        kind = self.table.schema[column].type
        if not pa.types.is_list(kind):
            msg = (
                f"Column `{column}` of role `{role}` must hold lists, one entry per epoch, got "
                f"{kind}."
            )
            raise SchemaError(msg)
        held = kind.value_type
        is_number = pa.types.is_integer(held) or pa.types.is_floating(held)
        is_word = pa.types.is_string(held) or pa.types.is_integer(held)
        if not (is_word if role == "band" else is_number):
            what = "text or whole numbers" if role == "band" else "numbers"
            msg = f"Column `{column}` of role `{role}` must hold lists of {what}, got {kind}."
            raise SchemaError(msg)


def validate_names(names: Sequence[str]) -> None:
    """Refuse names that a table could not tell apart.

    Raises
    ------
    SchemaError
        For the first name that another one equals but for case.
    """
    lower = [name.lower() for name in names]
    for name in names:
        if lower.count(name.lower()) > 1:
            msg = (
                f"Two columns or bands would be named `{name}`; names must differ by more than "
                f"case."
            )
            raise SchemaError(msg)
