"""Frames in which catalogs give positions, and the way from there to ICRS."""

import re

import numpy as np
from astropy import units as u
from astropy.coordinates import FK4, FK5, Galactic, SkyCoord
from numpy.typing import ArrayLike, NDArray

from ubspark.errors import ParameterError

__all__ = ["is_equatorial", "to_icrs", "validate_frame"]

_EQUINOX = re.compile(r"(FK4|FK5)(?: ([BJ]\d{4}(?:\.\d+)?))?")


def validate_frame(frame: str) -> str:
    """Return a frame in its standard form.

    Parameters
    ----------
    frame
        ``ICRS``, ``FK5`` or ``FK4`` with an equinox (``FK5 J2000``, ``FK4 B1950``), or
        ``GALACTIC``; letter case does not matter.

    Raises
    ------
    ParameterError
        If the frame is none that can be converted.
    """
    name = " ".join(frame.upper().split())
    if name in {"ICRS", "GALACTIC"}:
        return name
    match = _EQUINOX.fullmatch(name)
    if match:
        system, equinox = match.groups()
        return f"{system} {equinox or ('J2000' if system == 'FK5' else 'B1950')}"
    msg = (
        f"The frame {frame!r} cannot be converted to ICRS. Known frames: ICRS, FK5 J2000, "
        f"FK4 B1950 (and other equinoxes), GALACTIC."
    )
    raise ParameterError(msg)


def is_equatorial(frame: str) -> bool:
    """Whether positions in this frame are taken as ICRS; FK5 J2000 differs by under 0.1 arcsec."""
    return frame in {"ICRS", "FK5 J2000", "FK5 J2000.0"}


def to_icrs(
    lon: ArrayLike, lat: ArrayLike, frame: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert positions to ICRS.

    Parameters
    ----------
    lon, lat
        Positions in the frame, shape (n,), degrees; a row that is not a position gives NaN.
    frame
        As returned by `validate_frame`.

    Returns
    -------
    ra, dec
        ICRS degrees, shape (n,).
    """
    lon, lat = (np.array(part, dtype=np.float64) for part in (lon, lat))
    bad = ~(np.isfinite(lon) & (np.abs(lat) <= 90))
    lon[bad], lat[bad] = 0.0, 0.0
    system, _, equinox = frame.partition(" ")
    frames = {"FK4": FK4, "FK5": FK5, "GALACTIC": Galactic}
    target = frames[system](equinox=equinox) if equinox else frames[system]()
    icrs = SkyCoord(lon * u.deg, lat * u.deg, frame=target).icrs
    ra, dec = np.array(icrs.ra.deg), np.array(icrs.dec.deg)
    ra[bad], dec[bad] = np.nan, np.nan
    return ra, dec
