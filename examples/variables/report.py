"""Judge the classes given to the stars set aside, and draw what was found: a page for a talk.

``python report.py FOLDER`` reads the tables that the jobs made and writes ``report.html``.
"""

import html
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

import ubspark
from ubspark.features.evaluation import Evaluation, evaluate
from ubspark.features.training import OTHER
from ubspark.figures import Curve, FoldedCurves, Matrix
from ubspark.reports.draw import draw

COLORS = [*(f"C{i}" for i in range(10)), "k", "gold", "navy", "lime", "hotpink", "teal", "tan"]
MARKERS = "osD^vP*X<>hp"


def main(folder: Path) -> None:
    stars, model = read_stars(folder), str(ubspark.read_table("asas_classes").meta["table"])
    aside = stars[stars["part"] == "aside"]
    found = judge(aside)
    pictures = {
        "confusion": draw(
            Matrix(
                f"{len(aside)} stars set aside",
                "class given",
                "published class",
                found.classes,
                found.confusion,
            )
        ),
        "recall": draw_recall(found),
        "periods": draw_periods(aside),
        "curves": draw(fold(aside, read_curves())),
    }
    for name, picture in pictures.items():
        picture.savefig(folder / f"{name}.png", dpi=130)
    page = compose(found, stars, list(pictures), model)
    (folder / "report.html").write_text(page, encoding="utf-8")
    print(f"Balanced accuracy of the {len(aside)} stars set aside: {found.balanced_accuracy}")
    print(f"report {folder / 'report.html'}")


def read_stars(folder: Path) -> pd.DataFrame:
    """Return each star with its published and given class, probabilities, period and amplitude."""
    stars = pq.read_table(folder / "stars.parquet").to_pandas().set_index("asas_id")
    scores = ubspark.read_table("asas_classes").to_pandas().set_index("asas_id")
    columns = ["asas_id", "V_amplitude", "log10_period"]
    features = ubspark.read_table("asas_features", columns=columns).to_pandas()
    kept = [name for name in scores if name == "label" or name.startswith("p_")]
    joined = stars.join(scores[kept]).join(features.set_index("asas_id"))
    # As in training: classes with too few stars are one.
    known = set(joined["label"]) | {name.removeprefix("p_") for name in kept}
    joined["truth"] = joined["class"].where(joined["class"].isin(known), OTHER)
    return joined


def judge(stars: pd.DataFrame) -> Evaluation:
    """Return the figures of the classes given."""
    names = sorted(name.removeprefix("p_") for name in stars if name.startswith("p_"))
    codes = {name: code for code, name in enumerate(names)}
    return evaluate(
        tuple(names),
        stars["truth"].map(codes).to_numpy(),
        stars["label"].map(codes).to_numpy(),
        stars[[f"p_{name}" for name in names]].to_numpy(dtype=np.float64),
        np.arange(len(stars)),
    )


def draw_recall(found: Evaluation) -> Figure:
    """Draw the share of each class that was found, with 95 % intervals."""
    canvas = Figure(figsize=(7, 5), layout="constrained")
    axes = canvas.subplots()
    low, value, high = np.array([(r.low, r.value, r.high) for r in found.recall]).T
    place = np.arange(len(value))
    # An interval may end a rounding error before its own value.
    reach = np.maximum([value - low, high - value], 0.0)
    axes.errorbar(value, place, xerr=reach, fmt="o", color="#1b3a57")
    axes.axvline(found.balanced_accuracy.value, color="#c2571a", lw=1.2, label="mean of classes")
    axes.axvline(1 / len(value), color="gray", ls=":", label="always one class")
    axes.set_yticks(place, found.classes, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="share found (95 %)", xlim=(-0.03, 1.03), title="Recall of stars set aside")
    canvas.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    axes.grid(visible=True, axis="x", alpha=0.3)
    return canvas


def draw_periods(stars: pd.DataFrame) -> Figure:
    """Draw amplitude against period by the class given; a ring marks a wrong one."""
    canvas = Figure(figsize=(8, 5), layout="constrained")
    axes = canvas.subplots()
    for k, (name, group) in enumerate(stars.groupby("label")):
        axes.scatter(
            10 ** group["log10_period"],
            2 * group["V_amplitude"],
            s=26,
            color=COLORS[k % len(COLORS)],
            marker=MARKERS[k % len(MARKERS)],
            label=f"{name} ({len(group)})",
        )
    wrong = stars[stars["label"] != stars["truth"]]
    axes.scatter(
        10 ** wrong["log10_period"],
        2 * wrong["V_amplitude"],
        s=90,
        facecolors="none",
        edgecolors="#888",
        label=f"another class is published ({len(wrong)})",
    )
    axes.set(xscale="log", yscale="log", xlabel="period found (d)", ylabel="range in V (mag)")
    axes.set_title("Stars set aside, by the class they were given")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(visible=True, alpha=0.3)
    return canvas


def read_curves() -> pd.DataFrame:
    """Return the light curves by star."""
    columns = ["asas_id", "hjd", "mag"]
    return ubspark.read_table("asas_curves", columns=columns).to_pandas().set_index("asas_id")


def fold(stars: pd.DataFrame, curves: pd.DataFrame) -> FoldedCurves:
    """Return for each class the star whose class is surest, folded at its period."""
    panels = {}
    for name, group in stars.dropna(subset="log10_period").groupby("label"):
        best = group[f"p_{name}"].astype(float).idxmax()
        star, epochs = group.loc[best], curves.loc[best]
        period = 10 ** float(star["log10_period"])
        title = f"{name}, p = {star[f'p_{name}']:.2f}\nASAS {best}, P = {period:.4g} d"
        title += "" if star["truth"] == name else f"\npublished: {star['truth']}"
        y = np.asarray(epochs["mag"])
        panels[title] = (Curve("V", np.asarray(epochs["hjd"]) / period % 1.0, y),)
    return FoldedCurves("The surest star of each class", "V (mag)", panels, is_magnitude=True)


def compose(found: Evaluation, stars: pd.DataFrame, pictures: list[str], table: str) -> str:
    n_aside = int((stars["part"] == "aside").sum())
    facts = {
        "Light curves": f"ASAS V band, {len(stars)} stars (Richards et al. 2012, ApJS 203, 32)",
        "Trained on": f"{len(stars) - n_aside} stars; {n_aside} set aside before training",
        "Balanced accuracy of stars set aside": f"{found.balanced_accuracy} (95 %)",
        "Accuracy": str(found.accuracy),
        "Always the largest class": f"accuracy {found.majority_accuracy:.3f}, "
        f"balanced {1 / len(found.classes):.3f}",
        "Calibration error": f"{found.calibration_error:.3f}",
        "Classes": f"{table}; `ubspark lineage` shows the runs behind it",
    }
    rows = "".join(f"<tr><th>{k}<td>{html.escape(v)}</tr>" for k, v in facts.items())
    images = "".join(f'<p><img src="{name}.png" alt="{name}"></p>' for name in pictures)
    notes = (
        "Classes with fewer than 8 stars in training are one, <i>other</i>. Eclipsing binaries "
        "are often folded at half their period: the period is that of the best sinusoids. "
        "Intervals: Wilson for recalls, bootstrap over stars for the means."
    )
    style = (
        "body{font:15px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "th{text-align:left;padding-right:1rem;vertical-align:top}img{max-width:100%}"
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>Variable stars of ASAS</title>"
        f"<style>{style}</style><h1>Variable stars of ASAS, classified</h1>"
        f"<table>{rows}</table><p>{notes}</p>{images}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
