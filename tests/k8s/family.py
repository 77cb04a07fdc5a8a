"""The jobs that run both here and on the cluster, and their data."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["list_jobs", "write_light_curves"]

_N = 60
_BANDS = ["g", "r"]


def write_light_curves(path: Path) -> None:
    """Write light curves of periodic stars, seeded: nested, and beside it as long ``epochs``."""
    rng = np.random.default_rng(9)
    sizes = rng.integers(40, 90, _N)
    t = [np.sort(rng.uniform(59_000, 59_400, size)) for size in sizes]
    periods = rng.uniform(0.4, 0.9, _N)
    y = [
        17 + 0.3 * np.sin(2 * np.pi * times / period) + rng.normal(0, 0.03, times.size)
        for times, period in zip(t, periods, strict=True)
    ]
    table = pa.table(
        {
            "objectId": np.arange(_N) + 1,
            "ra": rng.uniform(0, 360, _N),
            "dec": rng.uniform(-60, 60, _N),
            "mjd": t,
            "mag": y,
            "magErr": [rng.uniform(0.02, 0.05, size) for size in sizes],
            "band": [[_BANDS[k] for k in rng.integers(0, 2, size)] for size in sizes],
        }
    )
    pq.write_table(table, path)
    ids = np.repeat(np.arange(_N) + 1, sizes)
    lists = {name: np.concatenate(table[name].to_pylist()) for name in table.column_names[3:]}
    mixed = rng.permutation(len(ids))
    epochs = pa.table({"objectId": ids, **lists}).take(pa.array(mixed))
    pq.write_table(epochs, path.with_name("epochs.parquet"))


def list_jobs(place: str) -> dict[str, dict[str, Any]]:
    """Return the jobs in the order they need one another; files lie in one place."""
    curve_roles = {"time": "mjd", "flux": "mag", "flux_error": "magErr", "band": "band"}
    return {
        "ingest": {
            "job": "ingest",
            "inputs": {"source": {"path": f"{place}/hipparcos2.parquet"}},
            "params": {
                "roles": {"id": "hip", "pmra": "pmra", "pmdec": "pmdec", "parallax": "plx"},
                "epoch": 1991.25,
                "pm_includes_cos_dec": True,
                "units": {"pmra": "mas/yr", "pmdec": "mas/yr", "plx": "mas"},
            },
            "outputs": {"table": {"table": "hipparcos2"}},
        },
        "ingest-gaia": {
            "job": "ingest",
            "inputs": {"source": {"path": f"{place}/gaia_dr3_g10.parquet"}},
            "params": {"roles": {"id": "source_id", "epoch": "ref_epoch"}},
            "outputs": {"table": {"table": "gaia_dr3"}},
        },
        "crossmatch": {
            "job": "crossmatch",
            "inputs": {"left": {"table": "hipparcos2"}, "right": {"table": "gaia_dr3"}},
            "params": {"radius": "1 arcsec", "epoch": 2016.0},
            "outputs": {"matches": {"table": "hip_x_gaia"}},
            "resources": {"cells": 16, "plan": "cells"},
        },
        "export": {
            "job": "export",
            "inputs": {"table": {"table": "hip_x_gaia"}},
            "params": {"format": "parquet", "max_rows": 2000},
            "outputs": {"folder": {"path": f"{place}/exported"}},
        },
        "ingest-curves": {
            "job": "ingest",
            "inputs": {"source": {"path": f"{place}/curves.parquet"}},
            "params": {"roles": {"id": "objectId", **curve_roles}},
            "outputs": {"table": {"table": "curves"}},
        },
        "lightcurves": {
            "job": "lightcurves",
            "inputs": {
                "sources": {
                    "path": f"{place}/epochs.parquet",
                    "roles": {"id": "objectId", **curve_roles},
                },
                "objects": {"table": "curves", "columns": []},
            },
            "params": {"bands": _BANDS},
            "outputs": {"lightcurves": {"table": "nested"}},
        },
        "periodograms": {
            "job": "periodograms",
            "inputs": {"lightcurves": {"table": "nested"}},
            "params": {"bands": _BANDS, "fmin": 0.8, "fmax": 3.0, "is_magnitude": True},
            "outputs": {"periods": {"table": "periods"}},
        },
        "features": {
            "job": "features",
            "inputs": {"lightcurves": {"table": "curves"}, "periods": {"table": "periods"}},
            "params": {"bands": _BANDS, "is_magnitude": True},
            "outputs": {"features": {"table": "features"}},
        },
    }
