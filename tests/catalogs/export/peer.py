"""Run by the Python of `.peers/hats`: judges exports with hats and LSDB, writes what they say.

Standard input is a JSON request; standard output its answer, the last line.
"""

import json
import sys
import warnings
from typing import Any

import lsdb
import pandas as pd
from hats.io.validation import is_valid_catalog

warnings.simplefilter("ignore")

Pairs = list[list[int]]


def read_ids(catalog: Any) -> list[int]:
    return sorted(int(value) for value in catalog.compute()["id"])


def find_pairs(left: Any, right: Any, radius_arcsec: float, n_neighbors: int) -> Pairs:
    pairs = left.crossmatch(
        right,
        n_neighbors=n_neighbors,
        radius_arcsec=radius_arcsec,
        suffixes=("_a", "_b"),
        require_right_margin=True,
    ).compute()
    return sorted([int(a), int(b)] for a, b in zip(pairs["id_a"], pairs["id_b"], strict=True))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    radius, n = request["radius_arcsec"], request["n_neighbors"]
    left = lsdb.open_catalog(request["left"], columns="all")
    right = lsdb.open_catalog(request["right"], columns="all")
    own = [
        lsdb.from_dataframe(
            pd.read_parquet(request[name]),
            ra_column="ra",
            dec_column="dec",
            margin_threshold=2 * radius,
        )
        for name in ("left_rows", "right_rows")
    ]
    return {
        "is_valid": [is_valid_catalog(request[name], strict=True) for name in ("left", "right")],
        "kind": type(left).__name__,
        "has_moc": left.hc_structure.moc is not None,
        "n_stated": len(left),
        "columns": list(left.columns),
        "rows": read_ids(left),
        "cones": [read_ids(left.cone_search(*cone)) for cone in request["cones"]],
        "found": read_ids(left.id_search(values={"id": request["ids"]})),
        "ours": find_pairs(left, right, radius, n),
        "theirs": find_pairs(own[0], own[1], radius, n),
    }


print(json.dumps(answer(json.load(sys.stdin))))
