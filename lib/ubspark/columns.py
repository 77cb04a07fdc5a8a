"""The vocabulary of columns: names, types, units and meanings that the code relies on."""

from dataclasses import dataclass

__all__ = [
    "ASSOCIATION_COLUMNS",
    "DIST_ARCSEC",
    "FLAGS",
    "HEALPIX_29",
    "HEALPIX_ORDER",
    "IS_FOUND",
    "LEFT_ID",
    "LIST_ROW",
    "MJD_UNITS",
    "NO_POSITION",
    "N_CANDIDATES",
    "N_MATCHED",
    "PA_DEG",
    "P_ANY",
    "P_MATCH",
    "RANK",
    "RIGHT_ID",
    "ROLES",
    "SCORE",
    "YEAR_UNITS",
    "Column",
    "Role",
]


@dataclass(frozen=True)
class Column:
    """A column that ubspark writes itself."""

    name: str
    #: Arrow type as text (``int64``); None where the type is that of a source column.
    type: str | None
    unit: str | None
    ucd: str | None
    description: str
    nullable: bool = True


@dataclass(frozen=True)
class Role:
    """What a source column stands for, whatever its name."""

    name: str
    #: Unit in which the science layers want it; None where it has none.
    unit: str | None
    description: str


#: Order of the HEALPix index that catalog tables are sorted by.
HEALPIX_ORDER = 29
#: Value of the index for a row without a usable position; sorts first, lies in no cell.
NO_POSITION = -1

HEALPIX_29 = Column(
    "_healpix_29",
    "int64",
    None,
    "pos.healpix",
    "HEALPix NESTED index at order 29 of the ICRS position; -1 without a usable position",
    nullable=False,
)
LEFT_ID = Column("left_id", None, None, "meta.id", "Identifier in the left catalog")
RIGHT_ID = Column("right_id", None, None, "meta.id", "Identifier in the right catalog")
DIST_ARCSEC = Column(
    "dist_arcsec",
    "float64",
    "arcsec",
    "pos.angDistance",
    "Great-circle separation at the match epoch",
)
PA_DEG = Column(
    "pa_deg",
    "float64",
    "deg",
    "pos.posAng",
    "Position angle from left to right at the match epoch, east of north; null at zero separation",
)
RANK = Column(
    "rank", "int32", None, "meta.number", "Place of the right row by separation, 1 is the nearest"
)
N_CANDIDATES = Column(
    "n_candidates",
    "int32",
    None,
    "meta.number",
    "Right rows within the radius of the left row",
    nullable=False,
)
N_MATCHED = Column(
    "n_matched", "int32", None, "meta.number", "Catalogs that have a match", nullable=False
)
FLAGS = Column("flags", "int32", None, "meta.code", "Bits of the match", nullable=False)
SCORE = Column("score", "float64", None, "stat.value", "Score of the pair by the user's function")
P_MATCH = Column(
    "p_match",
    "float64",
    None,
    "stat.probability",
    "Probability that the pair is one source, given all candidates of the left row",
)
P_ANY = Column(
    "p_any",
    "float64",
    None,
    "stat.probability",
    "Probability that any candidate of the left row is its counterpart",
)
LIST_ROW = Column(
    "list_row", "int64", None, "meta.number", "Place in the list, from 0", nullable=False
)
IS_FOUND = Column(
    "is_found", "bool", None, "meta.code", "Whether the identifier is in the table", nullable=False
)

ASSOCIATION_COLUMNS = (
    HEALPIX_29,
    LEFT_ID,
    RIGHT_ID,
    DIST_ARCSEC,
    PA_DEG,
    RANK,
    N_CANDIDATES,
    FLAGS,
)

#: Units that make an epoch an MJD.
MJD_UNITS = frozenset({"d", "day", "days", "mjd"})
#: Units that make an epoch a Julian year, beside none.
YEAR_UNITS = frozenset({"yr", "year", "years", "jyear", "a"})

ROLES = {
    role.name: role
    for role in (
        Role("id", None, "identifier, never null"),
        Role("ra", "deg", "right ascension, ICRS"),
        Role("dec", "deg", "declination, ICRS"),
        Role("ra_error", "mas", "standard error of ra times cos(dec)"),
        Role("dec_error", "mas", "standard error of dec"),
        Role("ra_dec_corr", None, "correlation of the errors of ra and dec"),
        Role("epoch", "yr", "epoch of the position, Julian year, or MJD where its unit is days"),
        Role("pmra", "mas/yr", "proper motion in ra"),
        Role("pmdec", "mas/yr", "proper motion in dec"),
        Role("parallax", "mas", "parallax"),
        Role("rv", "km/s", "radial velocity"),
        Role("flux", None, "flux or magnitude"),
        Role("flux_error", None, "error of the flux or magnitude"),
        Role("time", "d", "time of the observation, MJD"),
        Role("band", None, "photometric band"),
    )
}
