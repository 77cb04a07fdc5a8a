"""Run by the Python of `.peers/feets`: the features of feets that ubspark has too.

Called as ``feets_features.py IN REPEATS``; IN is an ``.npz`` with ``offsets``, ``t``, ``y``, ``dy``
and ``band`` (codes). Prints the version of feets, the number of its features, and the least
processor time in microseconds per object, all bands together.
"""

import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from itertools import pairwise

import feets
import numpy as np

#: Ours are those of `select_named_alike`: these and a few more.
FEATURES = [
    "Amplitude",
    "AndersonDarling",
    "BeyondNStd",
    "Cusum",
    "Duration",
    "Eta",
    "EtaE",
    "ExcessVariance",
    "InterPercentileRange",
    "LinearFit_ReducedChi2",
    "LinearFit_Sigma",
    "LinearFit_Slope",
    "LinearTrend",
    "LinearTrend_Sigma",
    "MaxSlope",
    "MaxTimeInterval",
    "Mean",
    "MeanVariance",
    "MedianAbsDev",
    "MedianBRP",
    "MinTimeInterval",
    "OtsuLowerToAllRatio",
    "OtsuMeanDiff",
    "OtsuStdLower",
    "OtsuStdUpper",
    "PairSlopeTrend",
    "PercentAmplitude",
    "PercentDiffPercentile",
    "PercentageRatio",
    "ReducedChi2",
    "Roms",
    "Skew",
    "SmallKurtosis",
    "Std",
    "StetsonK",
    "TimeMean",
    "TimeStd",
    "WeightedMean",
]


def main(source: str, repeats: int) -> None:
    warnings.simplefilter("ignore")
    given = np.load(source)
    curves = list(split(given))
    space = feets.FeatureSpace(only=FEATURES, dask_options={"scheduler": "synchronous"})
    space.extract(**curves[0])
    times = []
    for _ in range(repeats):
        start = time.process_time()
        space.extract_many(*curves)
        times.append(time.process_time() - start)
    n_objects = len(given["offsets"]) - 1
    print(version("feets"), len(FEATURES), 1e6 * min(times) / n_objects)


def split(given: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the light curve of each object and band."""
    offsets = given["offsets"]
    for first, last in pairwise(offsets):
        for band in np.unique(given["band"]):
            here = first + np.flatnonzero(given["band"][first:last] == band)
            names = {"time": "t", "magnitude": "y", "error": "dy"}
            yield {name: given[key][here] for name, key in names.items()}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
