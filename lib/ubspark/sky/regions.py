"""Regions of the sky as a user writes them: ``cone 56.75 24.1 2 deg``."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from ubspark.errors import ParameterError
from ubspark.sky.moc import is_moc_text, parse_moc, read_moc
from ubspark.sky.polygon import Polygon
from ubspark.sky.shapes import SKY, Box, Cells, Cone, Region

__all__ = ["REGION_FORMS", "Region", "parse_region"]

#: The forms of a region, for messages and help.
REGION_FORMS = (
    "cone RA DEC RADIUS UNIT",
    "box RA1 RA2 DEC1 DEC2",
    "polygon RA DEC RA DEC RA DEC ...",
    "moc FILE",
    "moc ORDER/PIX PIX-PIX ...",
    "healpix ORDER PIX PIX ...",
    "sky",
)

_TO_ARCSEC: Mapping[str, float] = {
    **dict.fromkeys(("deg", "degree", "degrees"), 3600.0),
    **dict.fromkeys(("arcmin", "arcminute", "arcminutes"), 60.0),
    **dict.fromkeys(("arcsec", "arcsecond", "arcseconds"), 1.0),
    "mas": 1e-3,
    "rad": 180.0 * 3600.0 / math.pi,
}
_HALF_TURN_ARCSEC = 648_000.0
_MAX_SHOWN = 200


def parse_region(text: str) -> Region:
    """Read a region of the sky.

    The forms are those of `REGION_FORMS`; coordinates are ICRS degrees, commas count as spaces,
    and ``A & B`` is what two regions have in common. Edges belong to the region.

    - ``cone``: everything within the radius, at most 180 deg (deg, arcmin, arcsec, mas, rad).
    - ``box``: between meridians, from RA1 to the east to RA2, and parallels. ``350 10`` goes
      through RA 0; ``0 360`` all the way round.
    - ``polygon``: sides are the shorter great-circle arcs and do not cross. Of the two sides of
      that line the smaller one is meant, whatever the direction of the vertices: a polygon is
      always less than half of the sky.
    - ``moc``: a file (FITS, JSON or text) or the text of a MOC itself; ``healpix``: cells of one
      order, NESTED. A position lies in the cell of its order-29 index.
    - ``sky``: every usable position.

    Parameters
    ----------
    text
        The region, such as ``box 350 10 -5 5``.

    Returns
    -------
    Region
        ``str`` of it is canonical, and is read by this function, but for long lists of cells,
        which it names by their digest.

    Raises
    ------
    ParameterError
        If it is none of the forms.
    InputMissingError
        If the file of a MOC is not there.
    SourceError
        If that file holds no MOC of the sky.
    """
    region: Region = SKY
    for part in re.split(r"\s+&\s+", text.strip()):
        kind, _, rest = part.strip().partition(" ")
        if kind.lower() not in _READERS:
            raise _refuse(text, REGION_FORMS, f"{kind!r} is none of these")
        try:
            region = region & _READERS[kind.lower()](rest.strip())
        except ParameterError as error:
            forms = [form for form in REGION_FORMS if form.startswith(kind.lower())]
            raise _refuse(text, forms, str(error).rstrip(".")) from error
    return region


def _refuse(text: str, forms: Sequence[str], reason: str) -> ParameterError:
    listed = ", ".join(f"`{form}`" for form in forms)
    must = "be one of" if len(forms) > 1 else "be written as"
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    return ParameterError(f"`region` must {must} {listed}, got {shown!r}: {reason}.")


def _read_cone(text: str) -> Region:
    match = re.fullmatch(r"(.*?)\s*([A-Za-z]*)", text.strip())
    unit = match[2].lower() if match else ""
    if match is None or unit not in _TO_ARCSEC:
        msg = f"the radius needs a unit, one of deg, arcmin, arcsec, mas and rad, not {unit!r}"
        raise ParameterError(msg)
    ra, dec, radius = _read_numbers(match[1], 3)
    radius_arcsec = radius * _TO_ARCSEC[unit]
    if not 0.0 < radius_arcsec <= _HALF_TURN_ARCSEC:
        msg = f"the radius must be above 0 and at most 180 deg, not {radius:g} {unit}"
        raise ParameterError(msg)
    return Cone(_wrap(ra), _validate_dec(dec), radius_arcsec)


def _read_box(text: str) -> Region:
    ra_min, ra_max, dec_min, dec_max = _read_numbers(text, 4)
    if not -360.0 < ra_max - ra_min <= 360.0 or ra_min == ra_max:
        msg = f"RA1 and RA2 must differ by at most 360, not {ra_min:g} and {ra_max:g}"
        raise ParameterError(msg)
    if _validate_dec(dec_min) > _validate_dec(dec_max):
        msg = f"DEC1 must not be above DEC2, not {dec_min:g} and {dec_max:g}"
        raise ParameterError(msg)
    if ra_max - ra_min == 360.0:
        return Box(0.0, 0.0, dec_min, dec_max)
    return Box(_wrap(ra_min), _wrap(ra_max), dec_min, dec_max)


def _read_polygon(text: str) -> Region:
    numbers = _read_numbers(text, None)
    if len(numbers) % 2:
        msg = f"vertices are pairs of RA and DEC, not {len(numbers)} numbers"
        raise ParameterError(msg)
    ras = [_wrap(ra) for ra in numbers[::2]]
    vertices = list(zip(ras, (_validate_dec(dec) for dec in numbers[1::2]), strict=True))
    # The first vertex may come again at the end, and any twice.
    after = [*vertices[1:], *vertices[:1]]
    kept = [v for v, following in zip(vertices, after, strict=True) if v != following]
    return Polygon(tuple(ra for ra, _ in kept), tuple(dec for _, dec in kept))


def _read_moc(text: str) -> Region:
    if text.startswith("sha256:"):
        msg = "that is the digest of a MOC; give its file"
        raise ParameterError(msg)
    if not text:
        msg = "a MOC needs a file or its cells"
        raise ParameterError(msg)
    return Cells(parse_moc(text) if is_moc_text(text) else read_moc(text))


def _read_healpix(text: str) -> Region:
    order, _, pixels = text.replace(",", " ").partition(" ")
    if not order.isdigit() or not pixels.strip() or not is_moc_text(f"{order}/{pixels}"):
        msg = "it needs an order and pixels, whole numbers"
        raise ParameterError(msg)
    return Cells(parse_moc(f"{order}/{pixels}"))


def _read_sky(text: str) -> Region:
    if text:
        msg = f"nothing follows `sky`, not {text!r}"
        raise ParameterError(msg)
    return SKY


_READERS: Mapping[str, Callable[[str], Region]] = {
    "cone": _read_cone,
    "box": _read_box,
    "polygon": _read_polygon,
    "moc": _read_moc,
    "healpix": _read_healpix,
    "sky": _read_sky,
}


def _read_numbers(text: str, count: int | None) -> list[float]:
    words = text.replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        msg = f"coordinates are numbers in degrees ({error})"
        raise ParameterError(msg) from error
    if not all(map(math.isfinite, numbers)):
        msg = "coordinates must be finite"
        raise ParameterError(msg)
    if count is not None and len(numbers) != count:
        msg = f"it needs {count} numbers, not {len(numbers)}"
        raise ParameterError(msg)
    return numbers


def _wrap(ra: float) -> float:
    """Return degrees in [0, 360)."""
    wrapped = ra % 360.0
    return 0.0 if wrapped == 360.0 else wrapped


def _validate_dec(dec: float) -> float:
    if abs(dec) > 90.0:
        msg = f"a declination must be in [-90, 90], not {dec:g}"
        raise ParameterError(msg)
    return dec
