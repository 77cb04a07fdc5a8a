"""Light curves and what is computed of them."""

from ubspark.timeseries.lightcurves import LightCurves

__all__ = ["LightCurves"]
