"""Drawing the figures of a report with matplotlib."""

import healpy
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from ubspark.figures import (
    Bars,
    Curves,
    Figure,
    FoldedCurves,
    Histogram,
    Image,
    Matrix,
    SkyMap,
)

__all__ = ["draw"]

_INK = "#1b3a57"
_ACCENT = "#c2571a"
_MAP_WIDTH = 1200
#: Fields smaller than this, in degrees, are drawn by themselves.
_WHOLE_SKY = 60.0


def draw(figure: Figure) -> Canvas:
    """Return a figure drawn; save it with ``savefig``."""
    if isinstance(figure, SkyMap):
        return _draw_map(figure)
    if isinstance(figure, Image):
        return _draw_image(figure)
    if isinstance(figure, FoldedCurves):
        return _draw_folded(figure)
    if isinstance(figure, Bars):
        return _draw_bars(figure)
    if isinstance(figure, Matrix):
        return _draw_matrix(figure)
    return _draw_curves(figure) if isinstance(figure, Curves) else _draw_histogram(figure)


def _draw_histogram(figure: Histogram) -> Canvas:
    canvas = Canvas(figsize=(7, 4), layout="constrained")
    axes = canvas.subplots()
    axes.stairs(figure.counts, figure.edges, fill=True, color=_INK, alpha=0.85, label="found")
    if figure.expected is not None:
        axes.stairs(figure.expected, figure.edges, color=_ACCENT, lw=1.8, label="by chance")
        axes.legend(frameon=False)
    axes.set(title=figure.title, xlabel=figure.label, ylabel=figure.counted)
    axes.set_xlim(figure.edges[0], figure.edges[-1])
    axes.grid(visible=True, axis="y", alpha=0.3)
    return canvas


def _draw_bars(figure: Bars) -> Canvas:
    canvas = Canvas(figsize=(7, 0.9 + 0.26 * len(figure.names)), layout="constrained")
    axes = canvas.subplots()
    place = np.arange(len(figure.names))
    axes.barh(place, figure.values, color=_INK, alpha=0.85)
    axes.set_yticks(place, figure.names, fontsize=8)
    axes.invert_yaxis()
    axes.set(title=figure.title, xlabel=figure.label)
    axes.grid(visible=True, axis="x", alpha=0.3)
    return canvas


def _draw_matrix(figure: Matrix) -> Canvas:
    """Draw shares of the rows as shades, and write the counts that are not zero into them."""
    k = len(figure.names)
    canvas = Canvas(figsize=(2.6 + 0.42 * k, 2.2 + 0.38 * k), layout="constrained")
    axes = canvas.subplots()
    totals = figure.counts.sum(axis=1, keepdims=True)
    shares = np.divide(figure.counts, totals, out=np.zeros((k, k)), where=totals > 0)
    shades = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in zip(*np.nonzero(figure.counts), strict=True):
        color = "white" if shares[row, column] > 0.5 else _INK
        text = f"{figure.counts[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    axes.set_xticks(np.arange(k), figure.names, rotation=60, ha="right", fontsize=7)
    labels = [f"{name} ({n})" for name, n in zip(figure.names, totals[:, 0], strict=True)]
    axes.set_yticks(np.arange(k), labels, fontsize=7)
    axes.set(title=figure.title, xlabel=figure.x_label, ylabel=figure.y_label)
    canvas.colorbar(shades, ax=axes, label="share of the row", shrink=0.8)
    return canvas


def _draw_curves(figure: Curves) -> Canvas:
    canvas = Canvas(figsize=(7, 4), layout="constrained")
    axes = canvas.subplots()
    for curve, color in zip(figure.curves, (_ACCENT, _INK, "#4c8c5c", "#7d4f9e") * 9, strict=False):
        axes.plot(curve.x, curve.y, color=color, label=curve.name)
    axes.set(title=figure.title, xlabel=figure.x_label, ylabel=figure.y_label)
    axes.legend(frameon=False)
    axes.grid(visible=True, alpha=0.3)
    return canvas


def _draw_folded(figure: FoldedCurves) -> Canvas:
    """Draw two cycles of each light curve."""
    n_rows = max(1, -(-len(figure.panels) // 3))
    canvas = Canvas(figsize=(9, 0.4 + 2.4 * n_rows), layout="constrained")
    grid = canvas.subplots(n_rows, 3, squeeze=False)
    for axes in grid.ravel()[len(figure.panels) :]:
        axes.set_axis_off()
    for axes, (title, curves) in zip(grid.ravel(), figure.panels.items(), strict=False):
        for curve in curves:
            phase, value = np.concatenate((curve.x, curve.x + 1)), np.tile(curve.y, 2)
            axes.plot(phase, value, ".", ms=2.5, label=curve.name)
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=7)
        if figure.is_magnitude:
            axes.invert_yaxis()
    if figure.panels:
        grid[0, 0].legend(frameon=False, fontsize=6, ncols=3)
    canvas.suptitle(figure.title)
    canvas.supxlabel("phase", fontsize=9)
    canvas.supylabel(figure.y_label, fontsize=9)
    return canvas


def _draw_image(figure: Image) -> Canvas:
    canvas = Canvas(figsize=(5.6, 4.8), layout="constrained")
    axes = canvas.subplots()
    highest = int(figure.counts.max(initial=0))
    shades = axes.imshow(
        np.ma.masked_equal(figure.counts, 0),
        origin="lower",
        extent=figure.extent,
        cmap="viridis",
        norm=LogNorm(1, max(highest, 2)),
        interpolation="nearest",
        aspect="equal",
    )
    canvas.colorbar(shades, ax=axes, label="pairs", shrink=0.85)
    axes.axhline(0, color="gray", lw=0.6)
    axes.axvline(0, color="gray", lw=0.6)
    # East is to the left, as on the sky.
    axes.invert_xaxis()
    axes.set(title=figure.title, xlabel=figure.x_label, ylabel=figure.y_label)
    return canvas


def _draw_map(figure: SkyMap) -> Canvas:
    """Draw a map of the sky, or of the field where that is small, east to the left."""
    ra, dec = healpy.pix2ang(2**figure.order, figure.pixels, nest=True, lonlat=True)
    field = _find_field(ra, dec)
    return _draw_sky(figure) if field is None else _draw_field(figure, *field)


def _find_field(
    ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> tuple[float, float, float] | None:
    """Return centre and half width, degrees, of a small field; None for most of the sky."""
    if len(ra) == 0:
        return None
    vectors = healpy.ang2vec(ra, dec, lonlat=True).reshape(-1, 3)
    middle = vectors.mean(axis=0)
    if np.linalg.norm(middle) < np.cos(np.radians(_WHOLE_SKY)):
        return None
    middle /= np.linalg.norm(middle)
    reach = np.degrees(np.arccos(np.clip((vectors @ middle).min(), -1, 1)))
    lon, lat = healpy.vec2ang(middle, lonlat=True)
    return (float(lon[0]), float(lat[0]), float(reach)) if reach < _WHOLE_SKY / 2 else None


def _look_up(
    figure: SkyMap, ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the values at positions, NaN where there is none."""
    pixel = healpy.ang2pix(2**figure.order, ra, dec, nest=True, lonlat=True)
    if len(figure.pixels) == 0:
        return np.full(pixel.shape, np.nan)
    place = np.minimum(np.searchsorted(figure.pixels, pixel), len(figure.pixels) - 1)
    values: NDArray[np.float64] = np.where(
        figure.pixels[place] == pixel, figure.values[place], np.nan
    )
    return values


def _draw_field(figure: SkyMap, ra: float, dec: float, reach: float) -> Canvas:
    """Draw a field on the plane that touches the sky at its centre."""
    pixel = np.degrees(healpy.nside2resol(2**figure.order))
    half = reach + pixel
    x, y = np.meshgrid(np.linspace(-half, half, 600), np.linspace(-half, half, 600))
    east, north = np.radians(x), np.radians(y)
    centre, toward = np.radians(dec), np.cos(np.radians(dec)) - np.sin(np.radians(dec)) * north
    height = np.sin(centre) + np.cos(centre) * north
    at_ra = (ra + np.degrees(np.arctan2(east, toward))) % 360
    at_dec = np.degrees(np.arctan2(height, np.hypot(east, toward)))
    canvas = Canvas(figsize=(6, 5), layout="constrained")
    axes = canvas.subplots()
    shades = axes.imshow(
        _look_up(figure, at_ra, at_dec),
        origin="lower",
        extent=(-half, half, -half, half),
        cmap="viridis",
        interpolation="nearest",
    )
    canvas.colorbar(shades, ax=axes, label=figure.label, shrink=0.85)
    axes.invert_xaxis()
    axes.set(
        title=f"{figure.title} (ICRS)",
        xlabel=f"degrees east of ra {ra:.4f}°",
        ylabel=f"degrees north of dec {dec:.4f}°",
    )
    return canvas


def _draw_sky(figure: SkyMap) -> Canvas:
    """Draw an all-sky Mollweide map."""
    canvas = Canvas(figsize=(9, 5), layout="constrained")
    axes = canvas.add_subplot(projection="mollweide")
    lon = np.linspace(-np.pi, np.pi, _MAP_WIDTH)
    lat = np.linspace(-np.pi / 2, np.pi / 2, _MAP_WIDTH // 2)
    grid_lon, grid_lat = np.meshgrid(lon, lat)
    # The x axis runs to the west: ra = -x.
    values = _look_up(figure, np.degrees(-grid_lon) % 360, np.degrees(grid_lat))
    shades = axes.pcolormesh(
        grid_lon, grid_lat, values, cmap="viridis", rasterized=True, shading="nearest"
    )
    canvas.colorbar(shades, ax=axes, label=figure.label, shrink=0.7)
    hours = np.arange(-150, 151, 30)
    axes.set_xticks(np.radians(hours), [f"{-h % 360}°" for h in hours], fontsize=7, color="gray")
    axes.grid(visible=True, alpha=0.3)
    axes.set_title(f"{figure.title} (ICRS)")
    return canvas
