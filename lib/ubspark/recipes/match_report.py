"""What a plan and a report say and show of a match."""

from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ubspark.catalogs.catalog import Catalog, CatalogLayout
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.broadcast import CutSource, choose_plan
from ubspark.crossmatch.fast import SLOW_ARCSEC
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.plan import CellPlan, estimate_reads
from ubspark.crossmatch.spark import MatchTask
from ubspark.crossmatch.summary import MatchSummary
from ubspark.figures import Curve, Curves, Figure, Histogram, Image, SkyMap
from ubspark.recipes.base import Fact, JobInput, Summary
from ubspark.recipes.pair_table import get_table
from ubspark.recipes.unsorted import UnsortedTable

__all__ = ["describe_plan", "draw_match", "find_recommended_radius", "summarise"]

FloatArray = NDArray[np.float64]

#: A share of fewer rows is noise.
_ROWS_PER_MAP_PIXEL = 20
#: The pairs of a bin are taken as mostly real while they are more than this many times chance.
_REAL_OVER_CHANCE = 2.0
_BITS = (
    "left without position",
    "left without proper motion",
    "left without parallax",
    "left without radial velocity",
    "left without epoch",
    "right without proper motion",
    "right without parallax",
    "right without radial velocity",
    "right without epoch",
    "right without position",
)


def summarise(match: Match, plan: CellPlan, written: WrittenRows) -> Summary:
    """Return metrics, pictures and sentences of a match."""
    total = MatchTask(match, plan).summary
    for part in written.summaries:
        total += part
    n_left = sum(total.n_left.values()) + total.n_unusable
    n_matched = sum(total.n_matched.values())
    # Read near right rows alone, the left side says nothing of all its rows.
    is_cut = isinstance(match.left.source, CutSource)
    metrics = {
        "left_rows_read" if is_cut else "left_rows": n_left,
        "left_rows_without_position": total.n_unusable,
        "matched_rows": n_matched,
        **({} if is_cut else {"match_fraction": n_matched / n_left if n_left else 0.0}),
        "right_rows_read": total.n_right_read,
        "cells": len(plan.cells),
        "tasks": plan.n_tasks,
        "ring_arcsec": match.ring_arcsec,
    }
    for name, n in (("left", total.n_left_repeated), ("right", total.n_right_repeated)):
        if n:
            metrics[f"{name}_rows_repeated"] = n
    if total.n_shifted:
        metrics["chance_match_fraction"] = total.n_shifted_matched / total.n_shifted
        metrics["recommended_radius_arcsec"] = find_recommended_radius(total)
    if match.options.probability is not None:
        metrics["prior"] = match.options.probability.prior
    return Summary(metrics, draw_match(total), _tell(match, total))


def find_recommended_radius(total: MatchSummary) -> float:
    """Return the separation, arcsec, up to which most pairs are real.

    Where, from the centre on, the pairs first are no longer twice those expected by chance, in
    sums over five bins; all of the radius where chance gives nothing.
    """
    real = total.separations.astype(np.float64)
    chance = total.chance * total.chance_scale
    # Bins of few pairs say nothing: compare running sums over five.
    window = np.ones(5)
    real, chance = (np.convolve(values, window, mode="same") for values in (real, chance))
    is_noise = (chance > 0) & (real <= _REAL_OVER_CHANCE * chance)
    first = int(np.argmax(is_noise)) if is_noise.any() else len(real)
    return float(total.edges_arcsec[first])


def describe_plan(match: Match, cells: CellPlan, inputs: Mapping[str, JobInput]) -> list[Fact]:
    """Return what a match would read and do, ``inputs`` being its left and right side."""
    sides = {"left": match.left, "right": match.right}
    layouts = {name: cast("CatalogLayout", side.source) for name, side in sides.items()}
    ring_arcsec = match.options.radius_arcsec + min(match.right.motion_arcsec, SLOW_ARCSEC)
    reads = estimate_reads(cells, *layouts.values(), ring_arcsec=ring_arcsec)
    facts = []
    for (name, side), n_bytes in zip(sides.items(), reads[:2], strict=True):
        given, table = inputs[name], get_table(inputs[name])
        share = layouts[name].estimate_share(side.names)
        chosen = {"region": given.region, "where": given.where}
        facts += [
            Fact(f"{name} table", str(table)),
            *(Fact(f"{name} {key}", str(value)) for key, value in chosen.items() if value),
            Fact(f"{name} rows", table.n_rows),
            Fact(f"{name} files", table.n_files),
            Fact(f"{name} bytes to read, of {table.n_bytes:,}", round(share * n_bytes), "B"),
        ]
    facts += [Fact("warning", sentence) for sentence in list_epoch_warnings(match)]
    widest = float(np.max(cells.n_left, initial=0.0)) + reads.right_rows
    width = sum(_estimate_width(get_table(inputs[name]), sides[name].names) for name in sides)
    return [
        *facts,
        Fact("plan", describe_kind(match, inputs)),
        Fact("ring", ring_arcsec, "arcsec"),
        Fact("motion of the fastest right row, at most", match.right.motion_arcsec, "arcsec"),
        Fact("cells", len(cells.cells)),
        Fact("tasks", cells.n_tasks),
        Fact("rows of the largest cell, at most", round(widest)),
        Fact("memory of its task, about", round(widest * width), "B"),
    ]


def describe_kind(match: Match, inputs: Mapping[str, JobInput]) -> str:
    """Return the plan that the sizes suggest, where the job does not ask for another."""
    kind = choose_plan(match, "auto")
    is_unsorted = any(isinstance(given.table, UnsortedTable) for given in inputs.values())
    return f"shuffle, then {kind}" if is_unsorted else str(kind)


def _estimate_width(table: Catalog, columns: tuple[str, ...]) -> float:
    """Return the bytes of a row in memory, text and lists guessed."""
    kinds = [table.schema[name].type for name in columns if name != HEALPIX_29.name]
    known = [float(kind.bit_width) / 8 for kind in kinds if _has_width(kind)]
    return 64.0 + sum(known) + 40.0 * (len(kinds) - len(known))


def _has_width(kind: object) -> bool:
    try:
        return bool(kind.bit_width)  # type: ignore[attr-defined]  # of Arrow types, fixed ones
    except ValueError:
        return False


def list_epoch_warnings(match: Match) -> list[str]:
    """Return what is to be said of rows that are not at the epoch of the match."""
    epoch = match.options.epoch
    if epoch is None:
        if any(side.columns.pmra for side in (match.left, match.right)):
            return ["Positions are matched as they are: no epoch was given, or it is not known."]
        return []
    warnings = []
    for name, side in (("left", match.left), ("right", match.right)):
        own, common = side.columns.epoch, side.columns.common_epoch
        if side.columns.pmra is None and own is not None and common != epoch:
            when = f"of {common}" if common is not None else f"of the epochs in `{own}`"
            warnings.append(
                f"The {name} catalog has no proper motions: its positions stay those {when} and "
                f"are matched with the other side at {epoch}. Pairs of fast stars are lost; match "
                f"at the epoch of the catalog without motions where that is one year."
            )
    return warnings


def draw_match(total: MatchSummary) -> dict[str, Figure]:
    """Return the pictures of a match."""
    edges, radius = total.edges_arcsec, total.radius_arcsec
    expected: FloatArray = np.asarray(total.chance * total.chance_scale, dtype=np.float64)
    figures: dict[str, Figure] = {
        "separations": Histogram(
            "Separation of the pairs",
            "separation [arcsec]",
            edges,
            total.separations,
            "The line is what chance alone gives: left rows matched from places beside their own.",
            expected if total.n_shifted else None,
        ),
        "offsets": Image(
            "Offsets from left to right",
            "east [arcsec]",
            "north [arcsec]",
            (-radius, radius, -radius, radius),
            total.cloud.T,
            _describe_offsets(total),
        ),
        "match_fraction": _map_fraction(total),
        "density": _map_density(total),
        "candidates": Histogram(
            "Candidates of a left row",
            f"right rows within the limits, {len(total.candidates) - 1} and more in the last bin",
            np.arange(len(total.candidates) + 1, dtype=np.float64) - 0.5,
            total.candidates,
        ),
    }
    if total.n_shifted and total.separations.sum():
        real = np.cumsum(total.separations)
        chance = np.cumsum(expected)
        with np.errstate(divide="ignore", invalid="ignore"):
            false_share = np.minimum(chance / real, 1.0)
        figures["false_matches"] = Curves(
            "Share of false pairs, were the radius smaller",
            "radius [arcsec]",
            "share",
            (
                Curve("false among the pairs", edges[1:], false_share),
                Curve("pairs kept", edges[1:], real / real[-1]),
            ),
            "From the left rows moved aside; the pairs of a smaller radius count as they are now.",
        )
    return figures


def _describe_offsets(total: MatchSummary) -> str:
    n_pairs = total.cloud.sum()
    if n_pairs == 0:
        return "No pairs."
    east, north = total.offset_sum / n_pairs
    return f"{n_pairs:,} pairs; mean offset {east:+.4f} arcsec east, {north:+.4f} arcsec north."


def _tell(match: Match, total: MatchSummary) -> list[str]:
    fast = match.right.fast
    apart = "" if fast is None else f", but for the {fast.num_rows:,} fastest, which came apart"
    ring = (
        f"Right rows were read to {match.ring_arcsec:.6g} arcsec around each left row: the radius "
        f"and the largest motion of the right catalog{apart}; the match is complete for this "
        f"radius. A row near several cells is read by each of them."
    )
    notes = [ring, *list_epoch_warnings(match)]
    if isinstance(match.left.source, CutSource):
        notes.append(
            "The right side was held in memory and the left one read near it alone: the maps and "
            "counts are of those left rows."
        )
    if total.n_unusable:
        notes.append(f"{total.n_unusable} left rows have no usable position; they match nothing.")
    for name, n in (("left", total.n_left_repeated), ("right", total.n_right_repeated)):
        if n:
            notes.append(
                f"{n:,} rows of the {name} catalog have the identifier and the place of another "
                f"one: the catalog holds them twice."
            )
    flagged = [f"{name} {n:,}" for name, n in zip(_BITS, total.flags, strict=True) if n]
    if flagged:
        notes.append(f"Rows by bit of `flags`: {', '.join(flagged)}.")
    if total.n_shifted:
        notes.append(
            f"{total.n_shifted:,} left rows were matched once more from places beside their own; "
            f"{total.n_shifted_matched:,} of them found something. Up to "
            f"{find_recommended_radius(total):.3g} arcsec pairs are at least twice as many as "
            f"chance gives."
        )
    if match.options.probability is not None:
        notes.append(
            f"`p_match` takes it that {match.options.probability.prior:.4f} of the left rows have "
            f"a counterpart within the radius."
        )
    return notes


def _map_fraction(total: MatchSummary) -> SkyMap:
    """Return the map of the match fraction, as fine as the rows allow."""
    pixels, n_left, n_matched, order = _fold(total)
    caption = f"HEALPix order {order}; {n_left.sum():,.0f} left rows."
    title = "Share of left rows with a match"
    return SkyMap(title, "matched / all", order, pixels, n_matched / n_left, caption)


def _map_density(total: MatchSummary) -> SkyMap:
    pixels, n_left, _, order = _fold(total)
    area = 4 * np.pi * (180 / np.pi) ** 2 / (12 * 4**order)
    caption = f"HEALPix order {order}."
    title = "Left rows per square degree"
    return SkyMap(title, "rows / deg²", order, pixels, n_left / area, caption)


def _fold(total: MatchSummary) -> tuple[NDArray[np.int64], FloatArray, FloatArray, int]:
    """Return pixels that hold left rows, left and matched rows in them, and their order."""
    pixels = np.array(sorted(total.n_left), dtype=np.int64)
    n_left = np.array([total.n_left[p] for p in pixels.tolist()], dtype=np.float64)
    n_matched = np.array([total.n_matched.get(p, 0) for p in pixels.tolist()], dtype=np.float64)
    order = total.map_order
    while order > 0 and n_left.sum() < _ROWS_PER_MAP_PIXEL * len(pixels):
        pixels, starts = np.unique(pixels >> 2, return_index=True)
        n_left, n_matched = (np.add.reduceat(counts, starts) for counts in (n_left, n_matched))
        order -= 1
    return pixels, n_left, n_matched, order
