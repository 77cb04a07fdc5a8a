"""Drawing the figures of a report with matplotlib."""

import healpy
import numpy as np
from matplotlib.figure import Figure as Canvas

from ubspark.figures import Figure, Histogram, SkyMap

__all__ = ["draw"]

_INK = "#1b3a57"
_MAP_WIDTH = 1200


def draw(figure: Figure) -> Canvas:
    """Return a figure drawn; save it with ``savefig``."""
    return _draw_map(figure) if isinstance(figure, SkyMap) else _draw_histogram(figure)


def _draw_histogram(figure: Histogram) -> Canvas:
    canvas = Canvas(figsize=(7, 4), layout="constrained")
    axes = canvas.subplots()
    axes.stairs(figure.counts, figure.edges, fill=True, color=_INK, alpha=0.85)
    axes.set(title=figure.title, xlabel=figure.label, ylabel="rows")
    axes.set_xlim(figure.edges[0], figure.edges[-1])
    axes.grid(visible=True, axis="y", alpha=0.3)
    return canvas


def _draw_map(figure: SkyMap) -> Canvas:
    """Draw an all-sky Mollweide map, east to the left as on the sky."""
    canvas = Canvas(figsize=(9, 5), layout="constrained")
    axes = canvas.add_subplot(projection="mollweide")
    lon = np.linspace(-np.pi, np.pi, _MAP_WIDTH)
    lat = np.linspace(-np.pi / 2, np.pi / 2, _MAP_WIDTH // 2)
    grid_lon, grid_lat = np.meshgrid(lon, lat)
    # The x axis runs to the west: ra = -x.
    pixel = healpy.ang2pix(
        2**figure.order, np.pi / 2 - grid_lat, np.mod(-grid_lon, 2 * np.pi), nest=True
    )
    shades = axes.pcolormesh(
        grid_lon, grid_lat, figure.values[pixel], cmap="viridis", rasterized=True, shading="nearest"
    )
    canvas.colorbar(shades, ax=axes, label=figure.label, shrink=0.7)
    hours = np.arange(-150, 151, 30)
    axes.set_xticks(np.radians(hours), [f"{-h % 360}°" for h in hours], fontsize=7, color="gray")
    axes.grid(visible=True, alpha=0.3)
    axes.set_title(f"{figure.title} (ICRS)")
    return canvas
