"""Parameters of a match, and the options of the engine that they stand for."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from astropy import units as u
from pydantic import Field, field_validator, model_validator

from ubspark.crossmatch.options import (
    MAX_RADIUS_ARCSEC,
    ChanceSample,
    How,
    MatchOptions,
    PositionColumns,
    Probability,
    Select,
)
from ubspark.crossmatch.scorer import Scorer
from ubspark.errors import InputMissingError, ParameterError
from ubspark.recipes.base import JobInput, Params
from ubspark.recipes.pair_table import get_table
from ubspark.recipes.positions import compute_arcsec_factor
from ubspark.recipes.quantities import AngleArcsec

__all__ = [
    "Ellipse",
    "PairLimits",
    "ProbabilityParams",
    "RowRadius",
    "ScorerParams",
    "add_row_columns",
    "read_scorer",
    "resolve_probability",
    "to_chance_sample",
    "to_options",
    "to_probability",
]

#: Right rows that should tell the local density.
_DENSITY_ROWS = 400
#: The largest radius that is chosen for them, unless that of the match needs a larger one, and
#: the largest that may be given.
_WIDE_ENOUGH, _MAX_DENSITY_RADIUS = 1800.0, 5 * MAX_RADIUS_ARCSEC
#: Left rows that measure the matches by chance.
_CHANCE_ROWS = 200_000
#: They are moved aside by so many radii, and at least so many arcsec.
_CHANCE_RADII, _MIN_CHANCE_SHIFT = 10.0, 20.0
_SKY_ARCSEC2 = 4 * np.pi * (180 * 3600 / np.pi) ** 2


class RowRadius(Params):
    """A radius per row, from a column of either side or both."""

    #: Columns of the radius or the error.
    left: str | None = None
    right: str | None = None
    #: How the two make the radius of a pair: their ``sum``, or the root of the sum of squares.
    combine: Literal["sum", "quadrature"] = "quadrature"
    #: Factor on the result.
    n_sigma: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    #: Unit of columns that do not say theirs.
    unit: str | None = None

    @field_validator("unit")
    @classmethod
    def _is_angle(cls, given: str | None) -> str | None:
        if given is not None and u.Unit(given, parse_strict="silent").physical_type != "angle":
            msg = f"must be a unit of angles such as arcsec, got {given!r}"
            raise ValueError(msg)
        return given

    @model_validator(mode="after")
    def _name_one(self) -> "RowRadius":
        if self.left is None and self.right is None:
            msg = "must name a column of `left`, of `right` or of both"
            raise ValueError(msg)
        return self


class Ellipse(Params):
    """A limit on the separation in units of its own error, from both rows' error ellipses."""

    #: Largest separation over its standard error.
    n_sigma: float = Field(gt=0, allow_inf_nan=False)


class ScorerParams(Params):
    """A Python function that judges candidate pairs; see `ubspark.crossmatch.scorer`."""

    #: File that defines it; its text becomes part of the frozen spec.
    path: str | None = None
    #: The text itself.
    source: str | None = None
    function: str = "score"
    #: Columns that it wants of either side, beside the identifiers.
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()


class ProbabilityParams(Params):
    """What ``p_match`` is computed from, beside the errors of the positions."""

    #: Share of left rows that have a counterpart within the radius; ``auto`` measures it.
    prior: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = "auto"
    #: Right rows this near tell the local density; ``auto`` takes some 400 rows.
    density_radius: AngleArcsec | Literal["auto"] = "auto"
    #: Standard errors per axis of all rows, added in quadrature to those of the columns.
    left_error: AngleArcsec = Field(default=0.0, ge=0)
    right_error: AngleArcsec = Field(default=0.0, ge=0)


class PairLimits(Params):
    """What a pair must fulfil; shared by the jobs that match."""

    #: Largest separation, inclusive; at most 1 degree.
    radius: AngleArcsec
    #: Smallest separation, inclusive.
    min_radius: AngleArcsec = 0.0
    #: Which pairs are kept: seen from the left the ``nearest``, the ``k`` nearest or ``all``;
    #: from both sides ``mutual`` nearest, or ``one_to_one``: the closest pair of all first.
    select: Select = "nearest"
    #: Number of neighbours for ``select: k``.
    k: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _use_k(self) -> "PairLimits":
        if self.k != 1 and self.select != "k":
            msg = f"`k` counts with `select: k` only, got `select: {self.select}`"
            raise ValueError(msg)
        return self


def to_options(
    limits: PairLimits,
    *,
    how: How,
    epoch: float | None = None,
    row_radius: RowRadius | None = None,
    ellipse: Ellipse | None = None,
    scorer: ScorerParams | None = None,
) -> MatchOptions:
    """Return the options of the engine, without probabilities and chance."""
    if row_radius is not None and ellipse is not None:
        msg = "`row_radius` and `ellipse` are two ways to say the same; give one of them."
        raise ParameterError(msg)
    return MatchOptions(
        limits.radius,
        how,
        epoch,
        select=limits.select,
        k=limits.k,
        min_radius_arcsec=limits.min_radius,
        combine=None if row_radius is None else row_radius.combine,
        n_sigma=(row_radius or ellipse).n_sigma if row_radius or ellipse else 1.0,  # type: ignore[union-attr]  # one is there
        is_elliptic=ellipse is not None,
        scorer=None
        if scorer is None
        else Scorer(scorer.source or "", scorer.function, scorer.left, scorer.right),
    )


def read_scorer(given: ScorerParams | None) -> ScorerParams | None:
    """Return the scorer with its text, checked.

    Raises
    ------
    ParameterError
        If there is no text, or it does not define the function.
    """
    if given is None:
        return None
    if (given.path is None) == (given.source is None):
        msg = "`params.scorer` needs either `path`, a Python file, or `source`, its text."
        raise ParameterError(msg)
    source = given.source
    if given.path is not None:
        if not Path(given.path).is_file():
            msg = f"`params.scorer.path` is `{given.path}`, which is no file."
            raise InputMissingError(msg)
        try:
            source = Path(given.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"`params.scorer.path`: `{given.path}` cannot be read as UTF-8 text: {error}."
            raise ParameterError(msg) from error
    Scorer(source or "", given.function).validate()
    return given.model_copy(update={"path": None, "source": source})


def add_row_columns(
    columns: PositionColumns,
    given: JobInput,
    *,
    side: Literal["left", "right"],
    row_radius: RowRadius | None,
    needs_errors: bool,
) -> PositionColumns:
    """Return the columns of a side with its radius; check those of its errors.

    Raises
    ------
    ParameterError
        If a unit is not known, or the one given is not that of the column.
    """
    table = get_table(given)
    if needs_errors:
        for name in (columns.ra_error, columns.dec_error):
            if name is not None:
                compute_arcsec_factor(table, name, None)
    name = None if row_radius is None else getattr(row_radius, side)
    if row_radius is None or name is None:
        return columns
    factor = compute_arcsec_factor(table, name, row_radius.unit)
    if row_radius.unit is not None and factor != float(u.Unit(row_radius.unit).to(u.arcsec)):
        msg = (
            f"Column `{name}` of `{table.uri}` is in `{table.schema[name].unit}`, but "
            f"`params.row_radius.unit` is `{row_radius.unit}`. Leave it out, or ingest the table "
            f"again with `--unit {name}={row_radius.unit}`."
        )
        raise ParameterError(msg)
    return replace(columns, radius=name, radius_factor=factor)


def resolve_probability(
    given: ProbabilityParams | None,
    limits: PairLimits,
    sides: tuple[PositionColumns, PositionColumns],
    right: JobInput,
) -> ProbabilityParams | None:
    """Return the probability with its density radius as a number.

    Raises
    ------
    ParameterError
        If no error of any position is known.
    """
    if given is None:
        return None
    if limits.min_radius > 0:
        msg = "`probability` needs all candidates within the radius; leave `min_radius` out."
        raise ParameterError(msg)
    has_columns = any(side.ra_error and side.dec_error for side in sides)
    if not has_columns and not given.left_error and not given.right_error:
        msg = (
            "`params.probability` needs positional errors, but neither catalog has the roles "
            "`ra_error` and `dec_error`. Name them in `inputs.*.roles`, or give "
            "`params.probability.left_error` or `right_error`."
        )
        raise ParameterError(msg)
    radius = given.density_radius
    if radius == "auto":
        layout = get_table(right).read_layout()
        placed = layout.high >= 0
        width = (layout.high - np.maximum(layout.low, 0) + 1)[placed].astype(np.float64)
        area = min(float(width.sum()) / (12 * 4**29), 1.0) * _SKY_ARCSEC2
        density = float(layout.n_rows[placed].sum()) / area if area else 0.0
        wanted = np.sqrt(_DENSITY_ROWS / (np.pi * density)) if density else _WIDE_ENOUGH
        radius = max(float(min(wanted, _WIDE_ENOUGH)), 5 * limits.radius)
    if not 2 * limits.radius < float(radius) <= _MAX_DENSITY_RADIUS:
        msg = (
            f"`params.probability.density_radius` must be above twice the radius "
            f"({limits.radius:g} arcsec) and at most {_MAX_DENSITY_RADIUS:g} arcsec (5 degrees), "
            f"got {radius:g} arcsec."
        )
        raise ParameterError(msg)
    return given.model_copy(update={"density_radius": float(radius)})


def to_chance_sample(limits: PairLimits, n_left: int) -> ChanceSample:
    """Return which of so many left rows measure the matches by chance."""
    shift = max(_CHANCE_RADII * limits.radius, _MIN_CHANCE_SHIFT)
    return ChanceSample(shift, max(1, round(n_left / _CHANCE_ROWS)))


def to_probability(given: ProbabilityParams, prior: float) -> Probability:
    """Return what the engine needs of a resolved probability."""
    return Probability(prior, float(given.density_radius), given.left_error, given.right_error)
