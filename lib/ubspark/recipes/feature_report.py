"""What a features job says of the table that it made: undefined values, status, drift."""

from collections.abc import Iterable, Mapping

import numpy as np

from ubspark.catalogs.catalog import Catalog
from ubspark.features.arrow import to_floats
from ubspark.features.quality import ColumnQuality, FeatureQuality, compute_drift, find_edges
from ubspark.features.segments import STATUS_BITS, FloatArray
from ubspark.figures import Figure, Histogram, Table
from ubspark.recipes.base import Summary
from ubspark.recipes.feature_job import FeatureJob
from ubspark.recipes.feature_reuse import Reuse

__all__ = ["find_bins", "summarise_features"]

#: Rows of an earlier table from which the bins of its columns are found.
_SAMPLE = 50_000

#: Above it a distribution is usually called changed.
_DRIFTED = 0.25


def summarise_features(
    job: FeatureJob, parts: Iterable[FeatureQuality], reuse: Reuse | None = None
) -> Summary:
    """Return metrics, figures and notes of a feature table, from what its tasks counted."""
    total = FeatureQuality()
    for part in parts:
        total += part
    shares = {
        name: column.n_undefined / column.n for name, column in total.columns.items() if column.n
    }
    metrics: dict[str, float] = {
        "objects": total.n_rows,
        "feature_columns": len(total.columns),
        "share_undefined": float(np.mean(list(shares.values()))) if shares else 0.0,
        **{f"joined_{name}": n for name, n in total.joined.items()},
    }
    for bit in STATUS_BITS:
        metrics[f"status_{bit}"] = sum(n for value, n in total.status.items() if value & bit)
    figures = {"undefined": _draw_shares(shares)}
    notes = _note(job, total, shares)
    if reuse is not None:
        metrics |= {"objects_kept": total.n_kept, "objects_computed": total.n_rows - total.n_kept}
        notes.append(_note_reuse(job, total, reuse))
    drift: dict[str, float] = {}
    if job.previous is not None:
        drift = compute_drift(_read_quality(job.previous, total), total)
        metrics["drifted_columns"] = sum(value > _DRIFTED for value in drift.values())
        figures["drift"] = _draw_drift(drift)
        notes.append(_note_drift(job.previous, drift))
    return Summary(metrics, figures, notes, [_list_columns(job, total, drift)])


def find_bins(job: FeatureJob) -> Mapping[str, FloatArray]:
    """Return the edges of bins for the columns that the earlier table has too."""
    if job.previous is None:
        return {}
    shared = [column.name for column in job.declared if column.name in job.previous.schema]
    rows = job.previous.to_dataset().head(_SAMPLE, columns=shared)
    return {name: find_edges(to_floats(rows[name].combine_chunks())) for name in shared}


def _read_quality(table: Catalog, total: FeatureQuality) -> FeatureQuality:
    """Count the columns of an earlier table that it has in common with this one."""
    shared = [name for name in total.columns if name in table.schema]
    columns = {name: ColumnQuality(edges=total.columns[name].edges) for name in shared}
    quality = FeatureQuality(columns=columns)
    for batch in table.to_dataset().to_batches(columns=shared):
        quality.n_rows += batch.num_rows
        for name in shared:
            quality.columns[name].add(to_floats(batch[name]))
    return quality


def _list_columns(job: FeatureJob, total: FeatureQuality, drift: Mapping[str, float]) -> Table:
    """Return what each column holds: undefined values, smallest, largest, and how it changed."""
    schema = job.describe()
    header = ["column", "unit", "undefined", "smallest", "largest"]
    rows = []
    for name, column in total.columns.items():
        has_some = column.n > column.n_undefined
        bounds = (column.low, column.high) if has_some else (np.nan, np.nan)
        share = column.n_undefined / column.n if column.n else np.nan
        row: tuple[str | float, ...] = (name, schema[name].unit or "", share, *bounds)
        rows.append((*row, drift.get(name, np.nan)) if drift else row)
    about = "Share of objects without a value, and the range of the others."
    if drift:
        header.append("drift")
        about += (
            f" Drift: population stability index over deciles of the earlier table, less what "
            f"chance makes of it; above {_DRIFTED} a column has changed."
        )
    return Table("Columns", tuple(header), tuple(rows), about)


def _draw_shares(shares: Mapping[str, float]) -> Figure:
    edges = np.linspace(0.0, 1.0, 21)
    counts = np.histogram(list(shares.values()), edges)[0]
    title = "Undefined values of the feature columns"
    label = "share of objects without a value"
    return Histogram(title, label, edges, counts, counted="feature columns")


def _draw_drift(drift: Mapping[str, float]) -> Figure:
    values = np.array([value for value in drift.values() if np.isfinite(value)])
    edges = np.linspace(0.0, max(1.0, float(values.max(initial=0.0))), 21)
    title = "Change of the distributions since the previous table"
    counts = np.histogram(values, edges)[0]
    label = "population stability index"
    return Histogram(title, label, edges, counts, counted="feature columns")


def _note(job: FeatureJob, total: FeatureQuality, shares: Mapping[str, float]) -> list[str]:
    notes = [f"Feature registry {job.registry.version}: {len(job.declared)} feature columns."]
    notes += job.list_conversions()
    for name, n in total.joined.items():
        n_computed = total.n_rows - total.n_kept
        notes.append(f"{n:,} of {n_computed:,} objects were found in `inputs.{name}`.")
        if n < min(n_computed, job.others[name].n_rows):
            notes.append(
                f"`inputs.{name}` has {job.others[name].n_rows:,} rows: those of other objects, or "
                f"elsewhere on the sky than the light curve of their id, were not joined."
            )
    for bit, meaning in STATUS_BITS.items():
        n = sum(count for value, count in total.status.items() if value & bit)
        if n:
            notes.append(f"{n:,} objects have status bit {bit}: {meaning}.")
    empty = [name for name, share in shares.items() if share == 1.0]
    if empty and total.n_rows:
        notes.append(f"{len(empty)} feature columns have no value at all: {_shorten(empty)}.")
    return notes


def _note_reuse(job: FeatureJob, total: FeatureQuality, reuse: Reuse) -> str:
    if reuse.kept is None:
        return f"Nothing was taken from `{job.previous}`: {reuse.reason}."
    return (
        f"{total.n_kept:,} rows are those of `{job.previous}`; {total.n_rows - total.n_kept:,} "
        f"objects, near which files of the inputs have changed since, were computed."
    )


def _note_drift(previous: Catalog, drift: Mapping[str, float]) -> str:
    changed = sorted((n for n, v in drift.items() if v > _DRIFTED), key=lambda n: -drift[n])
    if not any(np.isfinite(value) for value in drift.values()):
        return f"Nothing can be compared with `{previous}`: no column of both has rows in both."
    if not changed:
        return f"No column is distributed otherwise than in `{previous}`."
    return (
        f"{len(changed)} of {len(drift)} columns are distributed otherwise than in `{previous}` "
        f"(index above {_DRIFTED}): {_shorten(changed)}."
    )


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
