"""Run by the Python of `.peers/light-curve`, with `lib` on its path: the engine beside our own.

Reads the ``.npz`` of its argument and prints, as JSON, the number of columns that the engine
replaced, and the largest difference of any of them, over one plus its size.
"""

import json
import sys

import numpy as np

from ubspark.features import DEFAULT_FEATURES, compute_features
from ubspark.features.light_curve import with_light_curve
from ubspark.timeseries import LightCurves

given = dict(np.load(sys.argv[1]))
bands = tuple(str(name) for name in given.pop("bands"))
curves = LightCurves(**given, bands=bands)
registry = DEFAULT_FEATURES.select(columns=())
ours = compute_features(curves, registry).values
theirs = compute_features(curves, with_light_curve(registry)).values
assert list(ours) == list(theirs)
replaced, worst = 0, 0.0
for name, values in ours.items():
    np.testing.assert_array_equal(np.isnan(values), np.isnan(theirs[name]), err_msg=name)
    replaced += not np.array_equal(values, theirs[name], equal_nan=True)
    size = np.abs(values - theirs[name]) / (1.0 + np.abs(values))
    worst = max(worst, float(np.nanmax(size, initial=0.0)))
print(json.dumps({"replaced": replaced, "worst": worst}))
