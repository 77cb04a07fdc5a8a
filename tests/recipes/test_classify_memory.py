"""Scoring many rows takes no more memory than scoring some."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from ubspark.features.calibration import Calibration
from ubspark.features.model import ClassifierModel, ModelCard, save_model

N_COLUMNS = 60
ROWS_PER_FILE = 50_000
#: Scores the files of a folder as a Spark task would, and prints its largest resident memory.
SCRIPT = """
import json, resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.features.model import load_card
from ubspark.recipes.classify import ScoreTask
folder, n_files, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
paths = tuple(str(folder / f"{i}.parquet") for i in range(n_files))
low = np.arange(n_files) * rows
sizes = np.full(n_files, rows), np.full(n_files, 1 << 20)
layout = FileLayout(paths, low, low + rows - 1, *sizes, pq.read_schema(paths[0]))
sha256 = load_card(folder / "model")[1]
cells = np.stack([low, low + rows], axis=1)
task = ScoreTask(layout, cells, ("objectId",), str(folder / "model"), sha256)
batch = pa.RecordBatch.from_pydict({"id": np.arange(n_files)})
n = sum(part.num_rows for part in task(iter([batch])))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": n, "peak_mib": peak}))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = tuple(f"f{k}" for k in range(N_COLUMNS))
    x = rng.normal(size=(500, N_COLUMNS))
    estimator = HistGradientBoostingClassifier(max_iter=5).fit(x, (x[:, 0] > 0).astype(int))
    card = ModelCard(columns, (None,) * N_COLUMNS, "r", ("a", "b"), "t@v0", "run")
    model = ClassifierModel(card, estimator, Calibration(1.0, np.zeros(2)), np.array([0.5, 0.5]))
    save_model(model, tmp_path / "model", facts={})
    for number in range(10):
        index = np.arange(number * ROWS_PER_FILE, (number + 1) * ROWS_PER_FILE)
        values = {name: rng.normal(size=index.size).astype(np.float32) for name in columns}
        rows = pa.table({"_healpix_29": index, "objectId": index, **values})
        pq.write_table(rows, tmp_path / f"{number}.parquet")
    few, many = (score(tmp_path, n) for n in (2, 10))
    assert many["rows"] == 5 * few["rows"] == 10 * ROWS_PER_FILE
    # All rows as doubles would be 240 MB, and their scores as much again.
    assert many["peak_mib"] < few["peak_mib"] + 60


def score(folder: Path, n_files: int) -> dict[str, float]:
    call = [sys.executable, "-c", SCRIPT, str(folder), str(n_files), str(ROWS_PER_FILE)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))
