"""How well published classes are learned: our features beside light-curve's, with the same model.

Run as ``python benchmarks/eval_classes.py [PYTHON]`` where PYTHON has light-curve (default
``.peers/light-curve/bin/python``). Reads ``$UBSPARK_DATA/asas_classes`` (light curves alone, no
periods) and ``linear_sdss``. Cross-validation of five folds; intervals are 95 %: bootstrap over
stars, Wilson for recalls. Classes of fewer than eight stars are one, ``other``.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ubspark.features import DEFAULT_FEATURES, compute_features
from ubspark.features.training import merge_rare, train
from ubspark.timeseries import LightCurves

ROOT = Path(__file__).parent.parent
PEER = ROOT / "tests" / "features" / "peer.py"
DATA = Path(os.environ.get("UBSPARK_DATA", ROOT.parent / "shared" / "data"))


def main(python: str = "") -> None:
    ids, labels, curves = read_asas()
    registry = DEFAULT_FEATURES.select(columns=())
    found = compute_features(curves, registry, is_magnitude=True, quantity="mag")
    judge("asas ubspark", np.stack(list(found.values.values()), axis=1), labels, ids)
    peer = python or str(ROOT / ".peers" / "light-curve" / "bin" / "python")
    if Path(peer).exists():
        judge("asas light-curve", ask_peer(curves, peer), labels, ids)
    else:
        print(f"There is no {peer}: `make peer-light-curve` makes it.")
    judge("linear published features", *read_linear())


def read_asas() -> tuple[np.ndarray, list[str], LightCurves]:
    folder = DATA / "asas_classes"
    rows = pq.read_table(folder / "lightcurves.parquet")
    rows = rows.sort_by([("asas_id", "ascending"), ("hjd", "ascending")])
    ids, sizes = np.unique(rows["asas_id"].to_numpy(), return_counts=True)
    t, y, dy = (rows[name].to_numpy().astype(np.float64) for name in ("hjd", "mag", "magErr"))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    curves = LightCurves(offsets, t, y, dy, np.zeros(t.size, dtype=np.int8), ("V",))
    known = pq.read_table(folder / "classes.parquet").to_pydict()
    classes = dict(zip(known["asas_id"], known["class"], strict=True))
    return ids, merge_rare([classes[i] for i in ids], least=8)[0], curves


def read_linear() -> tuple[np.ndarray, list[str], np.ndarray]:
    rows = pq.read_table(DATA / "linear_sdss" / "linear_attributes.parquet")
    names = ("ug", "gi", "iK", "JK", "logP", "Ampl", "skew", "kurt", "magMed")
    features = np.stack([rows[name].to_numpy().astype(np.float64) for name in names], axis=1)
    features[np.abs(features) > 90.0] = np.nan
    labels = [str(label) for label in rows["LCtype"].to_pylist()]
    return features, labels, rows["linear_id"].to_numpy()


def ask_peer(curves: LightCurves, python: str) -> np.ndarray:
    """Return all features that light-curve has of our names."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        arrays = {name: getattr(curves, name) for name in ("offsets", "t", "y", "dy", "band")}
        np.savez(source, **arrays, bands=np.array(curves.bands))
        subprocess.run([python, str(PEER), str(source), str(target), "1"], check=True)
        return np.asarray(np.load(target)["values"])


def judge(title: str, features: np.ndarray, labels: list[str], ids: np.ndarray) -> None:
    found = train(features, labels, ids, n_shuffles=0).evaluation
    k = len(found.classes)
    print(f"{title}: {k} classes, {len(labels)} objects, {features.shape[1]} columns")
    print(f"  balanced accuracy {found.balanced_accuracy}, always one class {1 / k:.3f}")
    print(f"  accuracy {found.accuracy}, always the largest class {found.majority_accuracy:.3f}")
    print(f"  calibration error {found.calibration_error:.3f}")
    for name, recall, row in zip(found.classes, found.recall, found.confusion, strict=True):
        print(f"  {name:20s} {row.sum():5d} recall {recall}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
