"""Run by the Python of `.peers/light-curve`: the features of light-curve for given light curves.

Called as ``peer.py IN OUT [REPEATS]``, both ``.npz``: IN with ``offsets``, ``t``, ``y``, ``dy``,
``band`` (codes) and ``bands``; OUT gets ``names`` and ``values`` (objects, features). Prints the
version of light-curve and, with repeats, the least processor time in microseconds per object.
"""

import sys
import time
from importlib.metadata import version

import light_curve as lc
import numpy as np
import pyarrow as pa

FEATURES = [
    ("Amplitude", {}),
    ("AndersonDarlingNormal", {}),
    ("BeyondNStd", {"nstd": 1.0}),
    ("BeyondNStd", {"nstd": 2.0}),
    ("BiweightScale", {}),
    ("Chi2Pvar", {}),
    ("Cusum", {}),
    ("Duration", {}),
    ("Eta", {}),
    ("EtaE", {}),
    ("ExcessVariance", {}),
    ("InterPercentileRange", {"quantile": 0.25}),
    ("Kurtosis", {}),
    ("LaflerKinmanStringLength", {}),
    ("LinearFit", {}),
    ("LinearTrend", {}),
    ("MagnitudePercentageRatio", {}),
    ("MaximumSlope", {}),
    ("MaximumTimeInterval", {}),
    ("Mean", {}),
    ("MeanVariance", {}),
    ("Median", {}),
    ("MedianAbsoluteDeviation", {}),
    ("MedianBufferRangePercentage", {}),
    ("MinimumTimeInterval", {}),
    ("ObservationCount", {}),
    ("OtsuSplit", {}),
    ("ParabolaFit", {}),
    ("PercentAmplitude", {}),
    ("PercentDifferenceMagnitudePercentile", {}),
    ("ReducedChi2", {}),
    ("Roms", {}),
    ("Skew", {}),
    ("StandardDeviation", {}),
    ("StetsonK", {}),
    ("TimeMean", {}),
    ("TimeStandardDeviation", {}),
    ("WeightedMean", {}),
]


def main(source: str, target: str, repeats: int = 0) -> None:
    given = np.load(source)
    bands = [str(name) for name in given["bands"]]
    extractor = lc.Extractor(*(getattr(lc, n)(**k, bands=bands) for n, k in FEATURES))
    names = np.array(bands)[given["band"]]
    epochs = pa.StructArray.from_arrays(
        [*(pa.array(given[key]) for key in ("t", "y", "dy")), pa.array(names.tolist())],
        names=["t", "m", "sigma", "band"],
    )
    curves = pa.ListArray.from_arrays(pa.array(given["offsets"].astype(np.int32)), epochs)

    def extract() -> np.ndarray:
        return extractor.many(
            curves,
            arrow_fields={"t": "t", "m": "m", "sigma": "sigma", "band": "band"},
            fill_value=np.nan,
            sorted=True,
            check=False,
            n_jobs=1,
        )

    np.savez(target, names=np.array(extractor.names), values=extract())
    times = []
    for _ in range(repeats):
        start = time.process_time()
        extract()
        times.append(time.process_time() - start)
    print(version("light-curve"))
    if times:
        print(1e6 * min(times) / len(curves))


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
