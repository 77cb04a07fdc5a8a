"""Frames and epochs as catalogues declare them, written in one way."""

import re

__all__ = ["make_frame", "read_epoch"]

_SYSTEMS = {"EQ_FK5": "FK5", "EQ_FK4": "FK4", "FK4-NO-E": "FK4-NO-E", "GALACTIC_II": "GALACTIC"}
_DEFAULT_EQUINOX = {"FK5": "J2000", "FK4": "B1950", "FK4-NO-E": "B1950"}
_TROPICAL_YEAR_DAYS = 365.242198781
_EPOCH = re.compile(r"\s*([JBjb]?)\s*(\d+(?:\.\d*)?)\s*")


def make_frame(system: str, equinox: str | float | None) -> str:
    """Return a frame as ``ICRS``, ``FK5 J2000``, ``FK4 B1950``, ``GALACTIC`` or as declared.

    Parameters
    ----------
    system
        RADESYS of FITS or ``system`` of a VOTable COOSYS.
    equinox
        Year, or text like ``J2000``; the frame's usual one if None.
    """
    name = _SYSTEMS.get(system.strip().upper(), system.strip().upper())
    if name not in _DEFAULT_EQUINOX:
        return name
    if equinox is None or equinox == "":
        return f"{name} {_DEFAULT_EQUINOX[name]}"
    match = _EPOCH.fullmatch(str(equinox))
    if match is None:
        return f"{name} {equinox}"
    letter = match[1].upper() or ("J" if name == "FK5" else "B")
    return f"{name} {letter}{float(match[2]):g}"


def read_epoch(text: str | None) -> float | None:
    """Return an epoch like ``J2015.5``, ``2015.5`` or ``B1950`` as a Julian year.

    Besselian epochs follow Lieske (1979), equation 3; text that is no epoch gives None.
    """
    match = _EPOCH.fullmatch(text or "")
    if match is None:
        return None
    year = float(match[2])
    if match[1].upper() != "B":
        return year
    days = 15019.81352 + (year - 1900) * _TROPICAL_YEAR_DAYS
    return 2000 + (days - 51544.5) / 365.25
