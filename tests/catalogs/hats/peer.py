"""Run by the Python of `.peers/hats`: reads catalogs with hats and LSDB, writes what they say.

Standard input is a JSON list of requests with ``path``, ``out`` and, for a cone search, ``cone``
(ra, dec, arcsec); standard output a JSON list of answers, or of ``error``.
"""

import json
import sys
import warnings
from typing import Any

import hats
import lsdb
import pyarrow as pa
import pyarrow.parquet as pq
from hats.io import paths

warnings.simplefilter("ignore")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        catalog = hats.read_hats(request["path"])
        catalog = getattr(catalog, "main_catalog", catalog)
        kind = str(catalog.catalog_info.catalog_type)
        read = read_by_lsdb if kind in ("object", "source") else read_by_hats
        n_rows = read(request, catalog)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    found = {"kind": kind, "n_stated": catalog.catalog_info.total_rows, "n_rows": n_rows}
    if kind != "index":
        found["pixels"] = [[p.order, p.pixel] for p in catalog.get_healpix_pixels()]
    return found


def read_by_lsdb(request: dict[str, Any], catalog: Any) -> int:
    rows = lsdb.open_catalog(request["path"], columns="all")
    if "cone" in request:
        rows = rows.cone_search(*request["cone"])
    frame = rows.compute().reset_index()
    frame.to_parquet(request["out"])
    return len(frame)


def read_by_hats(request: dict[str, Any], catalog: Any) -> int:
    """Margins, associations and indexes: the files that hats names."""
    base = catalog.catalog_base_dir
    if str(catalog.catalog_info.catalog_type) == "index":
        rows = pq.ParquetDataset(str(base / "dataset" / "index")).read()
    else:
        files = [paths.pixel_catalog_file(base, p) for p in catalog.get_healpix_pixels()]
        rows = pa.concat_tables([pq.ParquetFile(str(file)).read() for file in files])
    pq.write_table(rows, request["out"])
    return int(rows.num_rows)


print(json.dumps([answer(request) for request in json.load(sys.stdin)]))
