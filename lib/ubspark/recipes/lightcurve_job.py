"""What a lightcurves job is to make, found from its inputs and parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import AfterValidator, Field

from ubspark.catalogs.appends import RowFacts, read_metadata, validate_append
from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.delta import TableVersion
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles, validate_role_names
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.errors import ParameterError, SchemaError
from ubspark.recipes.base import JobInput, Params
from ubspark.recipes.identifiers import validate_ids
from ubspark.recipes.pair_table import get_table
from ubspark.recipes.quantities import AngleArcsec
from ubspark.timeseries.nesting import BAD_EPOCHS, COUNTS, EpochRules, count_column
from ubspark.timeseries.objects import CurveLayout

__all__ = ["BANDS", "CONSTRAINTS", "LightCurveJob", "LightCurvesParams", "get_catalog"]

#: Property of a table of light curves: by which flags epochs were bad, and whether they were kept.
BAD_RULES = "ubspark.bad_epochs"
#: Property of a table of light curves: names of its bands, in the order of their codes.
BANDS = "ubspark.bands"
CONSTRAINTS = (Constraint(HEALPIX_29.name, NO_POSITION),)
_EPOCH_ROLES = ("time", "flux", "flux_error", "band")


Mask = Annotated[int, Field(ge=1, lt=2**63)]


#: Codes of bands are signed bytes.
_MOST_BANDS = 127


def _validate_bands(bands: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Refuse names of which no two columns can be made, or that Delta takes in no column."""
    for band in bands or ():
        if not band or set(band) & set(" ,;{}()\n\t=`"):
            msg = f"must be names without blanks, commas, brackets and quotes, got {band!r}"
            raise ValueError(msg)
        if [other.lower() for other in bands or ()].count(band.lower()) > 1:
            msg = f"must differ, also without case, got {band!r} twice"
            raise ValueError(msg)
    if bands and len(bands) > _MOST_BANDS:
        msg = f"must be at most {_MOST_BANDS} bands, got {len(bands)}"
        raise ValueError(msg)
    return bands


class LightCurvesParams(Params):
    """Parameters of the lightcurves job."""

    #: Bands, in the order of their codes; epochs of other bands are bad.
    bands: Annotated[tuple[str, ...] | None, AfterValidator(_validate_bands)] = None
    #: Columns of flags and what makes an epoch bad: ``true`` for any flag, or a mask of bits.
    bad_flags: dict[str, bool | Mask] = Field(default_factory=dict)
    #: Keep bad epochs in the lists; they are counted all the same.
    keep_bad: bool = False
    #: Where positions come from: the objects; or without a table of them the ``mean`` of an
    #: object's epochs, or the ``first`` of them in time.
    position: Literal["objects", "mean", "first"] | None = None
    #: Which objects are kept: those with epochs (``inner``), or all (``left``).
    how: Literal["inner", "left"] = "inner"
    #: Epochs farther than this from their object belong to none. Two sorted catalogs then need
    #: no shuffle.
    reach: AngleArcsec | None = None
    #: What a row of the output is: an object with lists, or one epoch (``long``).
    layout: Literal["nested", "long"] = "nested"
    #: The struct column that holds the lists, as in HATS catalogs.
    nested: str | None = None
    #: Fields of that struct by role, ``time``, ``flux``, ``flux_error`` and ``band``.
    fields: dict[str, str] | None = None


@dataclass(frozen=True)
class LightCurveJob:
    """The inputs and parameters of a lightcurves job, looked at together."""

    inputs: Mapping[str, JobInput]
    params: LightCurvesParams

    @property
    def has_sources(self) -> bool:
        """Whether epochs are nested, rather than light curves written anew."""
        return "sources" in self.inputs

    @cached_property
    def base(self) -> TableVersion | None:
        """The light curves to which epochs are added."""
        if not self.has_sources or "lightcurves" not in self.inputs:
            return None
        table = get_table(self.inputs["lightcurves"])
        if not isinstance(table, TableVersion):
            msg = f"`inputs.lightcurves` must be a Delta table to add epochs to, got `{table.uri}`."
            raise ParameterError(msg)
        given = self.inputs["lightcurves"]
        for key in ("region", "where", "columns"):
            if getattr(given, key) is not None:
                msg = f"`inputs.lightcurves.{key}` has no place where epochs are added to all rows."
                raise ParameterError(msg)
        return table

    @cached_property
    def main(self) -> JobInput:
        """The input that holds the epochs."""
        for name in ("sources", "lightcurves"):
            if name in self.inputs:
                return self.inputs[name]
        msg = (
            "The job lightcurves needs `inputs.sources`, one row per epoch, or "
            "`inputs.lightcurves`, one row per object."
        )
        raise ParameterError(msg)

    @cached_property
    def rules(self) -> EpochRules:
        """Which columns make an epoch, and when it is bad."""
        params = self.params
        found = self._find_epoch_columns()
        for role in ("time", "flux"):
            if role not in found:
                key = "params.fields" if params.nested else f"inputs.{self.main.name}.roles"
                msg = f"`inputs.{self.main.name}` does not say its `{role}`. Set `{key}.{role}`."
                raise SchemaError(msg)
        rules = EpochRules(
            found["time"],
            found["flux"],
            found.get("flux_error"),
            found.get("band"),
            further=self._find_further(found),
            bands=params.bands or (),
            flags={name: -1 if bits is True else int(bits) for name, bits in self._flags.items()},
            keep_bad=params.keep_bad,
        )
        if rules.band is not None and not rules.bands and params.layout == "nested":
            msg = (
                f"`params.bands` must name the bands of `{rules.band}`, in the order of their "
                f"codes, such as [u, g, r, i, z, y]."
            )
            raise ParameterError(msg)
        self._validate_types(rules)
        return rules

    @cached_property
    def curve(self) -> CurveLayout:
        """How epochs and objects become light curves."""
        params, roles = self.params, self.find_roles(self.main)
        owner = self.find_roles(self.inputs["objects"]) if "objects" in self.inputs else roles
        position = params.position or ("objects" if owner is not roles else "mean")
        self._validate_position(position, has_objects=owner is not roles)
        for role in ("id", "ra", "dec"):
            if role not in owner:
                name = "objects" if owner is not roles else self.main.name
                msg = (
                    f"`inputs.{name}` does not say its `{role}`. Set `inputs.{name}.roles.{role}`."
                )
                raise SchemaError(msg)
        if owner is not roles and "id" not in roles:
            msg = (
                "`inputs.sources` does not say which column names the object. Set "
                "`inputs.sources.roles.id`."
            )
            raise SchemaError(msg)
        if params.reach is not None and not {"ra", "dec"} <= set(roles):
            msg = "`params.reach` needs positions of epochs. Set `inputs.sources.roles.ra`, `dec`."
            raise SchemaError(msg)
        self._validate_ids(owner["id"], roles["id"])
        skipped = (HEALPIX_29.name, *(owner[role] for role in ("id", "ra", "dec")))
        asked = self.inputs["objects"].columns or () if "objects" in self.inputs else ()
        return CurveLayout(
            id=owner["id"],
            ra=owner["ra"],
            dec=owner["dec"],
            rules=self.rules,
            epoch_id=roles["id"],
            epoch_ra=roles.get("ra"),
            epoch_dec=roles.get("dec"),
            carried=tuple(name for name in asked if name not in skipped),
            position=position,
            keeps_empty=params.how == "left",
            reach_arcsec=params.reach,
        )

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """Of light curves that are written anew, the flat columns that are kept."""
        table = get_table(self.main)
        roles = self.find_roles(self.main)
        asked = self.main.columns
        if asked is None:
            bands = {*self.bands, *self._find_known_bands()}
            counted = {*COUNTS, *(count_column(band) for band in bands)}
            asked = tuple(
                c.name
                for c in table.schema.columns
                if not pa.types.is_nested(c.type) and c.name not in counted
            )
        own = [roles[role] for role in ("id", "ra", "dec") if role in roles]
        lists = {*self.rules.names, self.params.nested}
        kept = dict.fromkeys([*own, *asked])
        return tuple(name for name in kept if name != HEALPIX_29.name and name not in lists)

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands of the output, or of the table that is written anew."""
        return self.params.bands or self._find_known_bands()

    def _find_known_bands(self) -> tuple[str, ...]:
        table = self.main.table
        known = table.properties.get(BANDS, "") if isinstance(table, TableVersion) else ""
        return tuple(filter(None, known.split(",")))

    @property
    def roles(self) -> CatalogRoles:
        """What the columns of the output stand for."""
        rules = self.rules
        listed = {"time": rules.time, "flux": rules.flux}
        listed |= {"flux_error": rules.flux_error} if rules.flux_error else {}
        listed |= {"band": rules.band} if rules.band else {}
        if self.has_sources:
            curve = self.curve
            own = {"id": curve.id, "ra": curve.ra, "dec": curve.dec}
            return CatalogRoles(own | listed)
        known = get_table(self.main).roles.override(self.main.roles)
        own = {r: c for r, c in known.columns.items() if c in self.carried}
        return CatalogRoles(own | listed, known.epoch, known.pm_includes_cos_dec)

    @property
    def properties(self) -> dict[str, str]:
        """Properties of the output table."""
        found = self.roles.to_properties()
        if self.rules.band is not None and self.params.layout == "nested":
            found[BANDS] = ",".join(self.rules.bands)
        if self.params.layout == "nested":
            said = {"flags": self.rules.flags, "keep_bad": self.rules.keep_bad}
            found[BAD_RULES] = json.dumps(said, sort_keys=True)
        return found

    def describe(self) -> TableSchema:
        """Return the schema of the output: that of the light curves that grow, if any do.

        Raises
        ------
        SchemaError
            If the new epochs do not fit the light curves.
        """
        if self.has_sources and self.params.layout == "long":
            msg = "`params.layout: long` takes light curves apart; leave `inputs.sources` out."
            raise ParameterError(msg)
        if self.base is None:
            return self.describe_new()
        fits = RowFacts(self.describe_new(), CONSTRAINTS, self.properties)
        there = read_metadata(self.base.uri, version=self.base.version)
        validate_append(there, fits, table=str(self.base))
        known = self.base.properties.get(BANDS)
        if known != self.properties.get(BANDS):
            msg = f"`params.bands` must be those of `{self.base}`: {known}."
            raise ParameterError(msg)
        told = self.base.properties.get(BAD_RULES)
        if told not in (None, self.properties[BAD_RULES]):
            msg = f"`params.bad_flags` and `keep_bad` must be those of `{self.base}`: {told}."
            raise ParameterError(msg)
        return self.base.schema

    def describe_new(self) -> TableSchema:
        """Return the schema of what is nested or written anew.

        Raises
        ------
        SchemaError
            If two columns would have one name.
        """
        columns = [TableColumn.from_vocabulary(HEALPIX_29), *self._describe_objects()]
        is_long = self.params.layout == "long"
        if not is_long:
            columns += self._describe_counts()
        described = self._describe_epochs()
        for name in self.rules.listed:
            column = described[name]
            if is_long:
                columns.append(replace(column, nullable=True))
                continue
            text = column.description
            if name == self.rules.band:
                codes = ", ".join(f"{i}: {band}" for i, band in enumerate(self.rules.bands))
                text = f"{text or 'Band of each epoch'}; codes {codes}"
            columns.append(
                replace(column, type=pa.list_(column.type), nullable=True, description=text)
            )
        names = [column.name.lower() for column in columns]
        for name in names:
            if names.count(name) > 1:
                msg = (
                    f"Two output columns would be named `{name}`: one of the objects, one of the "
                    f"epochs. Leave one out of `inputs.*.columns`."
                )
                raise SchemaError(msg)
        return TableSchema(tuple(columns))

    def describe_input(self, given: JobInput) -> TableSchema:
        """Return the columns of an input, be it a table or a file."""
        if given.source is None:
            return get_table(given).schema
        columns = (
            TableColumn(c.name, c.type, True, c.unit, c.ucd, c.description, c.extra)
            for c in given.source.columns
        )
        return TableSchema(tuple(columns)).widen()

    def _describe_objects(self) -> list[TableColumn]:
        if not self.has_sources:
            return list(get_table(self.main).schema.select(self.carried).columns)
        curve = self.curve
        given = self.inputs.get("objects", self.main)
        schema = self.describe_input(given)
        schema.validate_columns(curve.object_names, table=given.short_name)
        found = [replace(schema[curve.id], nullable=False)]
        for name, ucd in ((curve.ra, "pos.eq.ra"), (curve.dec, "pos.eq.dec")):
            column = replace(schema[name], nullable=True, unit="deg", ucd=schema[name].ucd or ucd)
            found.append(column if given is not self.main else replace(column, type=pa.float64()))
        return found + [replace(schema[name], nullable=True) for name in curve.carried]

    def _describe_counts(self) -> list[TableColumn]:
        rules = "; ".join(BAD_EPOCHS.values())
        texts = dict(COUNTS) | {"n_bad_epochs": f"{COUNTS['n_bad_epochs']}: {rules}"}
        if self.rules.band is not None:
            texts |= {count_column(b): f"Epochs in the lists, band {b}" for b in self.rules.bands}
        return [
            TableColumn(name, pa.int32(), False, None, "meta.number;obs", text)
            for name, text in texts.items()
        ]

    def _describe_epochs(self) -> TableSchema:
        """Return the columns of the epochs as those of one epoch each."""
        schema = self.describe_input(self.main)
        if self.has_sources:
            return schema
        if self.params.nested is not None:
            kind = schema[self.params.nested].type
            return TableSchema(
                tuple(TableColumn(part.name, _get_element(part.type)) for part in kind)
            )
        listed = (c for c in schema.columns if pa.types.is_list(c.type))
        return TableSchema(tuple(replace(c, type=c.type.value_type) for c in listed))

    @property
    def _flags(self) -> Mapping[str, bool | int]:
        return {name: bits for name, bits in self.params.bad_flags.items() if bits is not False}

    def _find_epoch_columns(self) -> dict[str, str]:
        """Return the columns of an epoch by role."""
        params = self.params
        if params.nested is None:
            if params.fields:
                msg = "`params.fields` names fields of a struct; set `params.nested` to its column."
                raise ParameterError(msg)
            known = self.find_roles(self.main)
            return {role: known[role] for role in _EPOCH_ROLES if role in known}
        if self.has_sources:
            msg = "`params.nested` is for `inputs.lightcurves`; sources have one row per epoch."
            raise ParameterError(msg)
        schema = self.describe_input(self.main)
        schema.validate_columns([params.nested], table=self.main.short_name)
        if not pa.types.is_struct(schema[params.nested].type):
            msg = (
                f"`params.nested` must name a struct of lists, got `{params.nested}`, which is "
                f"{schema[params.nested].type}. Lists that are columns need no `nested`."
            )
            raise ParameterError(msg)
        for role in params.fields or {}:
            if role not in _EPOCH_ROLES:
                msg = f"`params.fields` has the roles {', '.join(_EPOCH_ROLES)}, got {role!r}."
                raise ParameterError(msg)
        return dict(params.fields or {})

    def _find_further(self, found: Mapping[str, str]) -> tuple[str, ...]:
        """Return the other columns that become lists."""
        if self.has_sources:
            # The identifier of the epoch's object is a column of the object.
            skipped = {HEALPIX_29.name, self.find_roles(self.main).get("id")}
            asked = self.main.columns or ()
        else:
            skipped = set()
            lists = self._describe_epochs().names if self.params.layout == "long" else ()
            asked = tuple(lists) or (self.main.columns or ())
            asked = tuple(name for name in asked if name in self._describe_epochs())
        return tuple(name for name in asked if name not in {*skipped, *found.values()})

    def find_roles(self, given: JobInput) -> dict[str, str]:
        """Return the columns of an input by role; those of that very name where nobody says."""
        validate_role_names(given.roles)
        known: Mapping[str, str]
        if given.source is not None:
            renamed = given.source.renamed
            known = {**given.source.roles, **{r: renamed.get(c, c) for r, c in given.roles.items()}}
        else:
            known = get_table(given).roles.override(given.roles).columns
        names = self.describe_input(given).names
        guessed = {role: role for role in ("id", "ra", "dec", *_EPOCH_ROLES) if role in names}
        return {**guessed, **known}

    def _validate_position(self, position: str, *, has_objects: bool) -> None:
        if (position == "objects") != has_objects:
            cure = "leave it out" if has_objects else "give `inputs.objects`, or set mean or first"
            msg = f"`params.position` is {position}, which does not fit the inputs; {cure}."
            raise ParameterError(msg)
        if self.params.how == "left" and not has_objects:
            msg = "`params.how: left` keeps objects without epochs, so it needs `inputs.objects`."
            raise ParameterError(msg)
        if self.params.reach is not None and not has_objects:
            msg = "`params.reach` is a distance from an object, so it needs `inputs.objects`."
            raise ParameterError(msg)

    def _validate_ids(self, own: str, of_epoch: str) -> None:
        """Refuse identifiers of objects and of their epochs that cannot be compared."""
        named = {self.main.name: of_epoch}
        named |= {"objects": own} if "objects" in self.inputs else {}
        columns = {}
        for name, column in named.items():
            schema = self.describe_input(self.inputs[name])
            schema.validate_columns([column], table=self.inputs[name].short_name)
            columns[name] = schema[column]
        validate_ids(**columns)

    def _validate_types(self, rules: EpochRules) -> None:
        schema = self._describe_epochs()
        where = self.main.short_name or self.main.name
        wanted = dict.fromkeys([*rules.names])
        schema.validate_columns(wanted, table=where)
        for name in (rules.time, rules.flux, rules.flux_error):
            if name is not None and not _is_number(schema[name].type):
                msg = f"Column `{name}` must hold numbers, one per epoch, got {schema[name].type}."
                raise SchemaError(msg)
        for name in rules.flags:
            kind = schema[name].type
            bits = self.params.bad_flags[name]
            if pa.types.is_boolean(kind) and bits is not True:
                msg = f"`params.bad_flags.{name}` must be true: the column is boolean; got {bits}."
                raise ParameterError(msg)
            if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind)):
                msg = (
                    f"Column `{name}` of `params.bad_flags` must hold bits or booleans, got {kind}."
                )
                raise SchemaError(msg)
        for name in rules.listed:
            if pa.types.is_nested(schema[name].type):
                msg = f"Column `{name}` must hold one value per epoch, got {schema[name].type}."
                raise SchemaError(msg)


def _get_element(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def get_catalog(given: JobInput) -> Catalog | None:
    """Return an input as a sorted catalog, None where it is not one."""
    table = given.table
    return table if table is not None and table.is_catalog else None
