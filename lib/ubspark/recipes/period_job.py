"""What a periodograms job is to compute, found from its input and parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.columns import HEALPIX_29
from ubspark.errors import ParameterError, SchemaError
from ubspark.recipes.base import JobInput, Params
from ubspark.recipes.pair_table import get_table
from ubspark.timeseries.arrow import CurveColumns
from ubspark.timeseries.kernels import PRESETS
from ubspark.timeseries.kernels.aliases import AliasFlag
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.results import (
    BAND_COLUMNS,
    LIST_COLUMNS,
    PERIOD_COLUMNS,
    POWER_COLUMNS,
    Status,
)

__all__ = ["PeriodJob", "PeriodogramsParams"]

_ROLES = ("time", "flux", "flux_error", "band")


class PeriodogramsParams(Params):
    """Parameters of the periodograms job."""

    #: Bands, in the order of the columns; the one band where there is no column of bands.
    bands: tuple[str, ...]
    #: Range of frequencies by name; ``fmin`` and ``fmax`` override it.
    preset: Literal["default", "rrlyrae", "short"] = "default"
    #: Range of frequencies, 1/d. ``fmin`` 0 stands for one cycle in the time span.
    fmin: float | None = None
    fmax: float | None = None
    #: Grid points per 1/T.
    oversampling: float = 5.0
    #: An object with a larger grid gets a status instead.
    max_frequencies: int = 50_000_000
    #: Candidates kept for each object.
    n_peaks: int = 10
    #: Share of each band's scatter added to its errors in quadrature.
    error_floor: float = 0.15
    #: Spread of the logarithm of the ratios of the bands' amplitudes.
    amplitude_prior: float = 0.2
    #: Whether values are magnitudes; by default what the unit of the flux column says.
    is_magnitude: bool | None = None
    #: Search only objects whose chance of being constant is below this.
    gate: float | None = None
    #: Store the power at all frequencies too.
    keep_periodogram: bool = False
    #: Also look for box-shaped eclipses.
    boxes: bool = False
    #: How to sum: ``auto`` decides by the numbers of epochs and frequencies of each object.
    backend: Literal["auto", "tables", "nufft"] = "auto"
    precision: Literal["single", "double"] = "single"
    #: Where the scan over all frequencies runs.
    device: Literal["cpu", "gpu"] = "cpu"
    #: What a row is: an object with lists, or one epoch (``long``).
    layout: Literal["nested", "long"] = "nested"
    #: The struct column that holds the lists, as in HATS catalogs; the roles then name its fields.
    nested: str | None = None
    #: Fields of that struct by role, ``time``, ``flux``, ``flux_error`` and ``band``.
    fields: dict[str, str] | None = None


@dataclass(frozen=True)
class PeriodJob:
    """The input and parameters of a periodograms job, looked at together."""

    inputs: Mapping[str, JobInput]
    params: PeriodogramsParams

    @property
    def given(self) -> JobInput:
        """The input."""
        return self.inputs["lightcurves"]

    @cached_property
    def table(self) -> Catalog:
        """The table of light curves."""
        return get_table(self.given)

    @cached_property
    def roles(self) -> CatalogRoles:
        """What its columns stand for."""
        return self.table.roles.override(self.given.roles)

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """The columns that the output keeps: id, position, what was asked for."""
        if self.roles.get("id") is None:
            msg = f"The light curves `{self.table.uri}` have no column of role `id`."
            raise SchemaError(msg)
        names = [self.roles[role] for role in ("id", "ra", "dec") if self.roles.get(role)]
        asked = self.given.columns or ()
        self.table.schema.validate_columns([*names, *asked], table=self.table.uri)
        return tuple(dict.fromkeys([*names, *asked]))

    @cached_property
    def curves(self) -> CurveColumns:
        """The columns of the epochs, checked."""
        nested = self.params.nested
        fields = self.params.fields or {}
        if nested is None and fields:
            msg = "`params.fields` names fields of a struct; set `params.nested` to its column."
            raise ParameterError(msg)
        for role in fields:
            if role not in _ROLES:
                msg = f"`params.fields` has the roles {', '.join(_ROLES)}, got {role!r}."
                raise ParameterError(msg)
        found = fields if nested else {r: c for r in _ROLES if (c := self.roles.get(r))}
        for role in ("time", "flux"):
            if role not in found:
                where = f"params.fields.{role}" if nested else f"inputs.lightcurves.roles.{role}"
                msg = f"The light curves `{self.table.uri}` have no `{role}`. Set `{where}`."
                raise SchemaError(msg)
        columns = CurveColumns(
            found["time"], found["flux"], found.get("flux_error"), found.get("band"), nested
        )
        self._validate_types(columns)
        if columns.band is None and len(self.params.bands) != 1:
            msg = (
                "The light curves have no `band`, so `params.bands` must name the one band of "
                f"all epochs, got {len(self.params.bands)} bands."
            )
            raise ParameterError(msg)
        return columns

    @cached_property
    def is_magnitude(self) -> bool:
        """Whether values are magnitudes, as the file or the unit says."""
        if self.params.is_magnitude is not None:
            return self.params.is_magnitude
        name = self.curves.flux
        unit = self.table.schema[name].unit if self.curves.nested is None else None
        if unit is None:
            msg = (
                f"Column `{name}` has no unit; say whether its values are magnitudes with "
                f"`params.is_magnitude`."
            )
            raise ParameterError(msg)
        return "mag" in unit.lower()

    @cached_property
    def options(self) -> PeriodOptions:
        """What the kernel is asked."""
        params = self.params
        low, high = PRESETS[params.preset]
        fmin = low if params.fmin is None else params.fmin
        return PeriodOptions(
            fmin=fmin or None,
            fmax=high if params.fmax is None else params.fmax,
            oversampling=params.oversampling,
            max_frequencies=params.max_frequencies,
            n_peaks=params.n_peaks,
            error_floor=params.error_floor,
            amplitude_prior=params.amplitude_prior,
            unit="magnitude" if self.is_magnitude else "flux",
            gate=params.gate,
            keep_periodogram=params.keep_periodogram,
            with_boxes=params.boxes,
            backend=params.backend,
            precision=params.precision,
            device=params.device,
        )

    def describe(self) -> TableSchema:
        """Return the schema of the output."""
        own = self.table.schema
        unit = None if self.curves.nested else own[self.curves.flux].unit
        columns = [TableColumn.from_vocabulary(HEALPIX_29)]
        columns += [own[name] for name in self.carried if name != HEALPIX_29.name]
        texts = {"status": _list_bits(Status), "alias_flag": _list_bits(AliasFlag)}
        for column in PERIOD_COLUMNS:
            described = TableColumn.from_vocabulary(column)
            columns.append(_amend(described, unit, texts.get(column.name, "")))
        powers = POWER_COLUMNS if self.params.keep_periodogram else ()
        for column in (*LIST_COLUMNS, *powers):
            kind = pa.list_(pa.type_for_alias(str(column.type)))
            columns.append(
                _amend(
                    TableColumn(
                        column.name, kind, True, column.unit, column.ucd, column.description
                    ),
                    unit,
                )
            )
        for band in self.params.bands:
            for column in BAND_COLUMNS:
                described = TableColumn.from_vocabulary(column)
                renamed = TableColumn(
                    f"{column.name}_{band}",
                    described.type,
                    column.nullable,
                    column.unit,
                    column.ucd,
                    f"{column.description}, {band}",
                )
                columns.append(_amend(renamed, unit))
        names = [column.name.lower() for column in columns]
        for name in names:
            if names.count(name) > 1:
                msg = f"Two output columns would be named `{name}`; names must differ."
                raise SchemaError(msg)
        return TableSchema(tuple(columns))

    def _validate_types(self, columns: CurveColumns) -> None:
        """Refuse columns that do not hold what their role says."""
        schema = self.table.schema
        schema.validate_columns(columns.names, table=self.table.uri)
        if columns.nested is not None:
            kind = schema[columns.nested].type
            names = [field.name for field in kind] if pa.types.is_struct(kind) else []
            for name in columns.parts:
                if name not in names or not pa.types.is_list(kind.field(name).type):
                    msg = (
                        f"Column `{columns.nested}` must be a struct of lists with a field "
                        f"`{name}`, got {', '.join(names) or kind}."
                    )
                    raise SchemaError(msg)
            return
        is_long = self.params.layout == "long"
        for name in columns.parts:
            kind = schema[name].type
            if pa.types.is_list(kind) == is_long:
                rule = "one value per row" if is_long else "lists, one entry per epoch"
                msg = (
                    f"Column `{name}` must hold {rule}, got {kind}. Set `params.layout` to "
                    f"{'nested' if is_long else 'long'} where it is right."
                )
                raise SchemaError(msg)


#: Columns in the unit of the values.
_IN_UNIT = ("harmonic_amplitude", "box_depth", "amplitude_")


def _amend(column: TableColumn, unit: str | None, text: str = "") -> TableColumn:
    in_unit = column.name.startswith(_IN_UNIT)
    return TableColumn(
        column.name,
        column.type,
        column.nullable,
        unit if in_unit else column.unit,
        column.ucd,
        f"{column.description}. {text}" if text else column.description,
    )


def _list_bits(kind: type[Status] | type[AliasFlag]) -> str:
    return "; ".join(f"{int(one)}: {str(one.name).lower().replace('_', ' ')}" for one in kind)
