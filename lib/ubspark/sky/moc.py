"""Multi-order coverage maps (IVOA MOC 2.0): their text, and the files that hold them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ubspark.columns import HEALPIX_ORDER
from ubspark.errors import InputMissingError, ParameterError, SourceError
from ubspark.sky.healpix import N_PIXELS_29, merge_ranges
from ubspark.sky.vectors import IntArray

__all__ = ["format_moc", "is_moc_text", "parse_moc", "read_moc"]

_TEXT = re.compile(r"\s*\d+\s*/[\d\s,/-]*")


def is_moc_text(text: str) -> bool:
    """Tell whether a text is a MOC such as ``3/10-12 4/50``, and not the name of a file."""
    return _TEXT.fullmatch(text) is not None


def parse_moc(text: str) -> IntArray:
    """Read the text form of a MOC: ``ORDER/PIX PIX-PIX ... ORDER/...``.

    Returns
    -------
    IntArray
        Half-open ranges of order-29 indices, shape (k, 2), sorted, disjoint and not touching.

    Raises
    ------
    ParameterError
        If it is no such text, or an order or pixel does not exist.
    """
    order: int | None = None
    ranges = []
    for token in re.sub(r"\s*/\s*", "/ ", text.replace(",", " ")).split():
        if token.endswith("/") and token[:-1].isdigit():
            order = int(token[:-1])
            continue
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", token)
        if order is None or match is None:
            msg = f"A MOC is written as `3/10-12 4/50`, got {token!r} in it."
            raise ParameterError(msg)
        ranges.append(_to_range(order, int(match[1]), int(match[2] or match[1])))
    return merge_ranges(ranges)


def format_moc(ranges: IntArray) -> str:
    """Return the text form of a MOC, in as few cells as there can be.

    Parameters
    ----------
    ranges
        Half-open ranges of order-29 indices, sorted, disjoint and not touching, shape (k, 2).
    """
    parts = []
    rest = ranges
    for order in range(HEALPIX_ORDER + 1):
        shift = 2 * (HEALPIX_ORDER - order)
        low, high = -(-rest[:, 0] >> shift), rest[:, 1] >> shift
        whole = low < high
        cells = [
            f"{first}" if first == last else f"{first}-{last}"
            for first, last in zip(low[whole].tolist(), (high[whole] - 1).tolist(), strict=True)
        ]
        if cells:
            parts.append(f"{order}/{' '.join(cells)}")
        before = np.stack([rest[whole, 0], low[whole] << shift], axis=1)
        after = np.stack([high[whole] << shift, rest[whole, 1]], axis=1)
        rest = np.concatenate([rest[~whole], before, after])
        rest = rest[rest[:, 0] < rest[:, 1]]
        rest = rest[np.argsort(rest[:, 0], kind="stable")]
    return " ".join(parts)


def read_moc(path: str | Path) -> IntArray:
    """Read a MOC from a file: FITS (NUNIQ or RANGE), JSON or text.

    Regions are read once, on the driver: no kernel calls this.

    Returns
    -------
    IntArray
        As of `parse_moc`.

    Raises
    ------
    InputMissingError
        If the file cannot be read.
    SourceError
        If it holds no MOC of the sky in ICRS.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        msg = f"The MOC file `{path}` cannot be read: {error.strerror}."
        raise InputMissingError(msg) from error
    try:
        if content.startswith((b"SIMPLE", b"\x1f\x8b")):
            return _read_fits(path)
        text = content.decode("utf-8")
        return _parse_json(text) if text.lstrip().startswith("{") else parse_moc(text)
    except (ParameterError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        msg = f"The file `{path}` holds no MOC of the sky: {reason}."
        raise SourceError(msg) from error


def _parse_json(text: str) -> IntArray:
    content: dict[str, list[int]] = json.loads(text)
    pairs = [(int(order), pixel) for order, pixels in content.items() for pixel in pixels]
    return merge_ranges([_to_range(order, int(pixel), int(pixel)) for order, pixel in pairs])


def _read_fits(path: str | Path) -> IntArray:
    from astropy.io import fits

    with fits.open(path) as file:
        header: Any = file[1].header
        frame = str(header.get("COORDSYS", "C")).strip()
        if frame not in ("C", "ICRS"):
            msg = f"its frame is {frame!r}, not ICRS"
            raise ValueError(msg)
        values = np.asarray(file[1].data.field(0), dtype=np.int64).reshape(-1)
        ordering = str(header.get("ORDERING", "NUNIQ")).strip()
        space = str(header.get("MOCDIM", "SPACE")).strip()
    if ordering == "RANGE" and space == "SPACE":
        ranges = values.reshape(-1, 2)
    elif ordering == "NUNIQ":
        ranges = _from_uniq(values)
    else:
        msg = f"its ordering is {ordering} and its dimension {space}"
        raise ValueError(msg)
    if ranges.size and (ranges.min() < 0 or ranges.max() > N_PIXELS_29):
        msg = "it names pixels that do not exist"
        raise ValueError(msg)
    return merge_ranges(ranges)


def _from_uniq(uniq: IntArray) -> IntArray:
    """Return the ranges of cells numbered 4 * 4**order + pixel."""
    if np.any(uniq < 4):
        msg = "a NUNIQ number is below 4"
        raise ValueError(msg)
    # Exact: the bits of the number, and not its logarithm, give the order.
    bits = np.array([int(value).bit_length() for value in uniq], dtype=np.int64)
    order = (bits - 3) >> 1
    shift = 2 * (HEALPIX_ORDER - order)
    if np.any(shift < 0):
        msg = f"an order is above {HEALPIX_ORDER}"
        raise ValueError(msg)
    pixels = uniq - (np.int64(4) << (2 * order))
    return np.stack([pixels << shift, (pixels + 1) << shift], axis=1)


def _to_range(order: int, first: int, last: int) -> tuple[int, int]:
    """Return the half-open range of a run of pixels, both ends inclusive."""
    if order > HEALPIX_ORDER:
        msg = f"The order of a cell must be in [0, {HEALPIX_ORDER}], got {order}."
        raise ParameterError(msg)
    if not first <= last < 12 << (2 * order):
        msg = f"Cells of order {order} are in [0, {12 << (2 * order)}), got {first}-{last}."
        raise ParameterError(msg)
    shift = 2 * (HEALPIX_ORDER - order)
    return first << shift, (last + 1) << shift
