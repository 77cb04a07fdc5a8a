"""Write the light curves of ASAS stars, one row each, and their published classes.

``python prepare.py FOLDER`` reads ``$UBSPARK_DATA/asas_classes`` and writes ``curves.parquet`` and
``stars.parquet``. Three stars in ten of every class are set aside: no step before the report sees
their class.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(os.environ.get("UBSPARK_DATA", "../shared/data")) / "asas_classes"
ASIDE = 0.3


def main(folder: Path) -> None:
    if not DATA.is_dir():
        sys.exit(
            f"There is no {DATA}. Set UBSPARK_DATA to a folder with asas_classes: the ASAS light "
            f"curves with classes of Richards et al. 2012 (cesium-ml/cesium-data, asas_training)."
        )
    folder.mkdir(parents=True, exist_ok=True)
    epochs = pq.read_table(DATA / "lightcurves.parquet")
    pq.write_table(nest(epochs), folder / "curves.parquet")
    stars = pq.read_table(DATA / "classes.parquet").to_pandas().sort_values("asas_id")
    stars["part"] = np.where(set_aside(stars["class"]), "aside", "known")
    for name in ("ra", "dec"):
        # The source has no positions.
        stars[name] = pd.Series(np.nan, stars.index, dtype="float64")
    pq.write_table(pa.Table.from_pandas(stars, preserve_index=False), folder / "stars.parquet")
    n_aside = int((stars["part"] == "aside").sum())
    print(f"{epochs.num_rows:,} epochs of {len(stars)} stars; the classes of {n_aside} set aside")


def nest(epochs: pa.Table) -> pa.Table:
    """Return one row per star with lists sorted by time, and no position."""
    rows = epochs.sort_by([("asas_id", "ascending"), ("hjd", "ascending")])
    ids, first = np.unique(rows["asas_id"].to_numpy(), return_index=True)
    offsets = pa.array([*first, rows.num_rows], pa.int32())
    lists = {
        name: pa.ListArray.from_arrays(offsets, rows[name].combine_chunks())
        for name in ("hjd", "mag", "magErr")
    }
    nowhere = pa.nulls(len(ids), pa.float64())
    return pa.table({"asas_id": ids, "ra": nowhere, "dec": nowhere, **lists})


def set_aside(classes: pd.Series) -> np.ndarray:
    """Choose the same share of each class at random."""
    draw = np.random.default_rng(20_26).random(len(classes))
    rank = pd.Series(draw, classes.index).groupby(classes).rank(method="first")
    size = classes.map(classes.value_counts())
    return np.asarray(rank <= np.floor(ASIDE * size + 0.5))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
