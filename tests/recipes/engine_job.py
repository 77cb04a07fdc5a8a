"""Run with light-curve on the path: the features job by both engines in one Spark session.

Prints, as JSON, the columns, those that differ at all, and the largest difference of any, over one
plus its size. The argument is an empty folder.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from ubspark.catalogs.delta import open_table
from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

N = 20
ROLES = {"id": "objectId", "time": "t", "flux": "mag", "flux_error": "magErr"}

home = Home(Path(sys.argv[1]))
home.validate_writable()
spark = build_session(ResourceConfig(master="local[2]", memory="1g"), app_name="engines")
rng = np.random.default_rng(1)
rows = {
    "_healpix_29": np.arange(N),
    "objectId": np.arange(N),
    "t": [np.sort(rng.uniform(0.0, 100.0, 40)).tolist() for _ in range(N)],
    "mag": [rng.normal(15.0, 0.3, 40).tolist() for _ in range(N)],
    "magErr": [rng.uniform(0.01, 0.05, 40).tolist() for _ in range(N)],
}
place = Path(home.warehouse) / "curves"
spark.createDataFrame(pa.table(rows).to_pandas()).write.format("delta").save(str(place))
listed = ", ".join(f"'ubspark.role.{role}' = '{column}'" for role, column in ROLES.items())
spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({listed})")
tables = {}
for engine in ("own", "light_curve"):
    content = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "curves"}},
        "params": {"bands": ["V"], "is_magnitude": True, "engine": engine},
        "outputs": {"features": {"table": engine}},
        "resources": {"cells": 2},
    }
    run_job(parse_job(content), home=home, spark=spark)
    made = open_table(str(Path(home.warehouse) / engine)).to_dataset().to_table()
    tables[engine] = made.sort_by("objectId")
assert tables["own"].schema == tables["light_curve"].schema
replaced, worst = 0, 0.0
names = [name for name in tables["own"].column_names if name.startswith("V_")]
for name in names:
    ours, theirs = (tables[e][name].cast(pa.float64()).to_numpy() for e in ("own", "light_curve"))
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=name)
    replaced += not np.array_equal(ours, theirs, equal_nan=True)
    size = np.abs(ours - theirs) / (1.0 + np.abs(ours))
    worst = max(worst, float(np.nanmax(size, initial=0.0)))
print(json.dumps({"columns": len(names), "replaced": replaced, "worst": worst}))
spark.stop()
