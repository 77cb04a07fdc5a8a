"""Say what the files of the ASAS stars leave out, and set some of their classes aside.

``python prepare.py FOLDER`` reads ``$UBSPARK_DATA/asas_classes`` and writes ``epochs.parquet``,
with units, and ``stars.parquet``. Three stars in ten of every class are set aside: no step before
the report sees their class.
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
UNITS = {"hjd": "d", "mag": "mag", "magErr": "mag"}


def main(folder: Path) -> None:
    if not DATA.is_dir():
        sys.exit(
            f"There is no {DATA}. Set UBSPARK_DATA to a folder with asas_classes: the ASAS light "
            f"curves with classes of Richards et al. 2012 (cesium-ml/cesium-data, asas_training)."
        )
    folder.mkdir(parents=True, exist_ok=True)
    epochs = pq.read_table(DATA / "lightcurves.parquet")
    pq.write_table(add_units(epochs), folder / "epochs.parquet")
    stars = pq.read_table(DATA / "classes.parquet").to_pandas().sort_values("asas_id")
    stars["part"] = np.where(set_aside(stars["class"]), "aside", "known")
    for name in ("ra", "dec"):
        # The source has no positions.
        stars[name] = pd.Series(np.nan, stars.index, dtype="float64")
    pq.write_table(pa.Table.from_pandas(stars, preserve_index=False), folder / "stars.parquet")
    n_aside = int((stars["part"] == "aside").sum())
    print(f"{epochs.num_rows:,} epochs of {len(stars)} stars; the classes of {n_aside} set aside")


def add_units(epochs: pa.Table) -> pa.Table:
    """Return the epochs with the units that the source tells in words."""
    fields = [
        field.with_metadata({"unit": UNITS[field.name]} if field.name in UNITS else {})
        for field in epochs.schema
    ]
    return pa.table(epochs.columns, schema=pa.schema(fields))


def set_aside(classes: pd.Series) -> np.ndarray:
    """Choose the same share of each class at random."""
    draw = np.random.default_rng(20_26).random(len(classes))
    rank = pd.Series(draw, classes.index).groupby(classes).rank(method="first")
    size = classes.map(classes.value_counts())
    return np.asarray(rank <= np.floor(ASIDE * size + 0.5))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
