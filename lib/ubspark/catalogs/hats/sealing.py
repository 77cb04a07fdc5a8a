"""The files that make a catalog of data files, written when these are complete."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.origin import Origin
from ubspark.catalogs.hats.counts import SparseCounts
from ubspark.catalogs.hats.form import HatsForm
from ubspark.catalogs.hats.parquet_metadata import (
    write_parquet_metadata,
    write_statistics,
    write_thumbnail,
)
from ubspark.catalogs.hats.partitions import PARTITION_FILE
from ubspark.catalogs.hats.properties import COLLECTION_FILE, PROPERTY_FILES
from ubspark.catalogs.hats.skymaps import write_skymap
from ubspark.catalogs.hats.stated import format_properties, state_common
from ubspark.columns import HEALPIX_29, HEALPIX_ORDER

__all__ = ["CatalogFacts", "seal_catalog", "seal_collection"]


@dataclass(frozen=True, eq=False)
class CatalogFacts:
    """A catalog of an export, its data files written.

    Attributes
    ----------
    folder
        Below that of the export; empty for the export itself.
    kind
        ``object``, ``source``, ``margin`` or ``index``.
    schema
        Of the data files.
    skymap
        Counts for the map; None where it has none.
    """

    folder: str
    kind: str
    schema: pa.Schema = field(repr=False)
    files: tuple[ExportFile, ...] = field(repr=False)
    skymap: SparseCounts | None = None
    threshold_arcsec: float | None = None
    index_column: str | None = None

    @property
    def pixels(self) -> list[tuple[int, int]]:
        """Order and pixel of each data file."""
        return [(file.facts["order"], file.facts["pixel"]) for file in self.files]

    @property
    def n_rows(self) -> int:
        """Rows of all data files."""
        return sum(file.n_rows for file in self.files)

    @property
    def n_bytes(self) -> int:
        """Bytes of all data files."""
        return sum(file.n_bytes for file in self.files)


def seal_catalog(root: Path, facts: CatalogFacts, form: HatsForm, origin: Origin) -> list[str]:
    """Write metadata, maps and at last the properties of a catalog; return the files' names."""
    folder = root / facts.folder
    folder.mkdir(parents=True, exist_ok=True)
    start = len(f"{facts.folder}/dataset/" if facts.folder else "dataset/")
    paths = [file.path[start:] for file in facts.files]
    write_parquet_metadata(folder, facts.schema, paths)
    made = ["dataset/_common_metadata", "dataset/_metadata"]
    if facts.kind != "index":
        lines = [f"{order},{pixel}\n" for order, pixel in facts.pixels]
        text = "Norder,Npix\n" + "".join(lines)
        (folder / PARTITION_FILE).write_text(text, encoding="utf-8")
        made.append(PARTITION_FILE)
    if facts.skymap is not None:
        write_thumbnail(folder, facts.schema, paths)
        for name in ("skymap.fits", "point_map.fits"):
            write_skymap(folder / name, facts.skymap)
        made += ["data_thumbnail.parquet", "skymap.fits", "point_map.fits"]
        if form.has_statistics:
            write_statistics(folder, paths, facts.pixels)
            made.append("per_partition_statistics.parquet")
    entries = _state(facts, form, origin)
    made += _write_properties(folder, reversed(PROPERTY_FILES[:2]), entries, "HATS catalog")
    return [f"{facts.folder}/{name}" if facts.folder else name for name in made]


def seal_collection(root: Path, catalogs: Sequence[CatalogFacts], form: HatsForm) -> list[str]:
    """Write what joins a catalog with its margins and indexes; return the file's name."""
    margins = [facts.folder for facts in catalogs if facts.kind == "margin"]
    indexes = [facts for facts in catalogs if facts.kind == "index"]
    n_bytes = sum(facts.n_bytes for facts in catalogs)
    common = state_common("", form.name, 0, n_bytes)
    for key in ("dataproduct_type", "hats_nrows", "hats_npix_suffix"):
        del common[key]
    entries = {
        "obs_collection": form.name,
        "hats_primary_table_url": form.folder,
        "all_margins": " ".join(margins),
        "default_margin": margins[0] if margins else None,
        "all_indexes": " ".join(f"{facts.index_column} {facts.folder}" for facts in indexes),
        "default_index": indexes[0].index_column if indexes else None,
        **common,
    }
    # No lineage here: hats 0.10 refuses a collection that says more than it knows.
    return _write_properties(root, [COLLECTION_FILE], entries, "HATS Collection")


def _state(facts: CatalogFacts, form: HatsForm, origin: Origin) -> dict[str, Any]:
    """Return the properties of a catalog."""
    name = facts.folder or form.name
    common = state_common(facts.kind, name, facts.n_rows, facts.n_bytes)
    entries = {
        "obs_collection": name,
        "dataproduct_type": facts.kind,
        "hats_nrows": facts.n_rows,
        **_state_kind(facts, form),
        **common,
        "prov_progenitor": origin.table,
        **origin.to_entries(),
    }
    if facts.kind in ("object", "source"):
        entries = {**entries, **form.properties}
    return entries


def _state_kind(facts: CatalogFacts, form: HatsForm) -> dict[str, Any]:
    """Return what only catalogs of this type say."""
    if facts.kind == "index":
        return {
            "hats_primary_table_url": form.folder,
            "hats_index_column": facts.index_column,
        }
    pixels = facts.pixels
    share = sum(0.25**order for order, _ in pixels) / 12
    stated: dict[str, Any] = {
        "hats_col_ra": form.ra,
        "hats_col_dec": form.dec,
        "hats_col_healpix": HEALPIX_29.name,
        "hats_col_healpix_order": HEALPIX_ORDER,
        "hats_max_rows": max((file.n_rows for file in facts.files), default=0),
        "hats_max_bytes": max((file.n_bytes for file in facts.files), default=0),
        "hats_order": max((order for order, _ in pixels), default=None),
        "moc_sky_fraction": f"{share:.5g}",
    }
    if facts.kind == "margin":
        stated |= {
            "hats_primary_table_url": form.folder,
            "hats_margin_threshold": facts.threshold_arcsec,
        }
    if facts.skymap is not None:
        stated["hats_skymap_order"] = facts.skymap.order
    return stated


def _write_properties(folder: Path, names: Any, entries: dict[str, Any], title: str) -> list[str]:
    text = format_properties(entries, title)
    written = list(names)
    for name in written:
        (folder / name).write_text(text, encoding="utf-8")
    return written
