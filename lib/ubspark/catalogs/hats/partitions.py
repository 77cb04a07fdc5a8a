"""The partitions of a catalog: HEALPix pixels of several orders, and the files that hold them."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ubspark.catalogs.hats.folder import Folder, FolderFile
from ubspark.catalogs.hats.properties import HatsProperties
from ubspark.columns import HEALPIX_ORDER
from ubspark.errors import InputMissingError, SchemaError, SourceError

__all__ = [
    "PARTITION_FILE",
    "Partitions",
    "find_dataset",
    "find_index_files",
    "find_partition_files",
    "read_partitions",
    "validate_listed",
]

PARTITION_FILE = "partition_info.csv"
_PATH = re.compile(r"(?:.*/)?Norder=(\d+)/(?:.*/)?Npix=(\d+)[^/]*(?:/.*)?")
#: `Dir` groups this many pixels.
_PIXELS_PER_DIR = 10_000

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Partitions:
    """Pixels in sky order.

    Attributes
    ----------
    order, pixel
        HEALPix order and NESTED pixel, shape (n,).
    """

    order: IntArray
    pixel: IntArray

    @classmethod
    def from_pairs(cls, pairs: Sequence[tuple[int, int]]) -> "Partitions":
        """Return the pixels of pairs of order and pixel, in sky order."""
        found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        partitions = cls(found[:, 0], found[:, 1])
        rank = np.lexsort((found[:, 0], partitions.ranges[:, 0]))
        return cls(found[rank, 0], found[rank, 1])

    @property
    def ranges(self) -> IntArray:
        """Half-open ranges of order-29 indices, shape (n, 2)."""
        shift = 2 * (HEALPIX_ORDER - self.order)
        return np.stack([self.pixel << shift, (self.pixel + 1) << shift], axis=-1)

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.order)


def read_partitions(folder: Folder, properties: HatsProperties) -> Partitions:
    """Read the pixels: from ``partition_info.csv``, else ``_metadata``, else the names of files.

    Raises
    ------
    SchemaError
        If a pixel does not exist, is named twice, or lies inside another one.
    """
    text = folder.read_text(PARTITION_FILE)
    if text is not None:
        place, pairs = folder.join(PARTITION_FILE), _parse_table(text, folder.join(PARTITION_FILE))
    else:
        place = folder.join(find_dataset(folder))
        pairs = _find_pixels(folder)
    _validate_pixels(pairs, place)
    partitions = Partitions.from_pairs(pairs)
    _validate_disjoint(partitions, place, properties)
    return partitions


def find_dataset(folder: Folder) -> str:
    """Return the beginning of the names of data files; HiPSCat had them beside the properties."""
    return "dataset/" if folder.exists("dataset") else ""


def find_partition_files(
    folder: Folder, properties: HatsProperties, partitions: Partitions
) -> list[list[FolderFile]]:
    """Return the files of each partition, in their order.

    Raises
    ------
    InputMissingError
        If a partition has no file.
    """
    suffix = properties.npix_suffix
    stems = _name_files(folder, partitions)
    if suffix == "/":
        found = [folder.list_files(stem) for stem in stems]
    else:
        paths = [stem + suffix for stem in stems]
        sizes = folder.find_sizes(paths)
        found = [
            [] if size is None else [FolderFile(path, size)]
            for path, size in zip(paths, sizes, strict=True)
        ]
    for files, order, pixel, stem in zip(
        found, partitions.order, partitions.pixel, stems, strict=True
    ):
        if not files:
            msg = (
                f"Catalog `{folder.uri}` names the partition Norder={order}, Npix={pixel}, "
                f"whose file `{stem}{suffix}` is not there."
            )
            raise InputMissingError(msg)
    return found


def _name_files(folder: Folder, partitions: Partitions) -> list[str]:
    """Return the names of the partitions' files, without their ending."""
    dataset = find_dataset(folder)
    return [
        f"{dataset}Norder={order}/Dir={pixel // _PIXELS_PER_DIR * _PIXELS_PER_DIR}/Npix={pixel}"
        for order, pixel in zip(partitions.order, partitions.pixel, strict=True)
    ]


def validate_listed(folder: Folder, properties: HatsProperties, partitions: Partitions) -> None:
    """Refuse a catalog on this machine that has files which its list of partitions does not name.

    Elsewhere nobody can say what else is there without asking for every file.

    Raises
    ------
    SchemaError
        With the first of them.
    """
    if "://" in folder.uri:
        return
    listed = set(_name_files(folder, partitions))
    ending = "" if properties.npix_suffix == "/" else properties.npix_suffix
    for path in sorted(Path(folder.uri).rglob(f"Norder=*/Dir=*/Npix=*{ending}")):
        name = path.relative_to(folder.uri).as_posix()
        if name.removesuffix(ending) not in listed and _PATH.fullmatch(name):
            msg = (
                f"Catalog `{folder.uri}` has the file `{name}`, whose partition is not among the "
                f"{len(partitions)} that `{PARTITION_FILE}` names."
            )
            raise SchemaError(msg)


def find_index_files(folder: Folder, properties: HatsProperties) -> list[FolderFile]:
    """Return the files of an index catalog, which follow no pixels.

    Raises
    ------
    InputMissingError
        If there are none, and the catalog does not say that it is empty.
    """
    place = f"{find_dataset(folder)}index"
    found = folder.list_files(place)
    if not found and properties.n_rows != 0:
        msg = f"Catalog `{folder.uri}` is an index, but there is no file in `{place}`."
        raise InputMissingError(msg)
    return found


def _parse_table(text: str, place: str) -> list[tuple[int, int]]:
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    names = [(name or "").strip() for name in rows.fieldnames or ()]
    for name in ("Norder", "Npix"):
        if name not in names:
            what = f"its columns are: {', '.join(names)}" if names else "it is empty"
            msg = f"`{place}` has no column `{name}`; {what}."
            raise SchemaError(msg)
    rows.fieldnames = names
    pairs = []
    try:
        for row in rows:
            pairs.append(_parse_pixel(row, f"`{place}`, line {rows.line_num}"))
    except csv.Error as error:
        msg = f"`{place}` is no table of partitions: {error}."
        raise SchemaError(msg) from error
    return pairs


def _parse_pixel(row: Mapping[str, str | None], place: str) -> tuple[int, int]:
    try:
        return int(row["Norder"] or ""), int(row["Npix"] or "")
    except ValueError as error:
        shown = f"{row['Norder']!r}, {row['Npix']!r}"
        msg = f"{place}: order and pixel must be integers, got {shown}."
        raise SchemaError(msg) from error


def _find_pixels(folder: Folder) -> list[tuple[int, int]]:
    """Return the pixels that ``_metadata`` names, else those of the files that are there."""
    dataset = find_dataset(folder)
    content = folder.read(f"{dataset}_metadata")
    if content is None:
        return _parse_paths(file.path for file in folder.list_files(dataset))
    try:
        metadata = pq.read_metadata(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        place = folder.join(f"{dataset}_metadata")
        msg = f"`{place}` cannot be read as Parquet: its footer is missing or damaged."
        raise SourceError(msg) from error
    groups = range(metadata.num_row_groups)
    return _parse_paths(metadata.row_group(i).column(0).file_path for i in groups)


def _parse_paths(paths: Iterable[str]) -> list[tuple[int, int]]:
    matches = (_PATH.fullmatch(unquote(path)) for path in paths)
    return list(dict.fromkeys((int(match[1]), int(match[2])) for match in matches if match))


def _validate_pixels(pairs: list[tuple[int, int]], place: str) -> None:
    for order, pixel in pairs:
        if not 0 <= order <= HEALPIX_ORDER:
            msg = f"`{place}` names order {order}; HEALPix orders are 0 to {HEALPIX_ORDER}."
            raise SchemaError(msg)
        if not 0 <= pixel < 12 * 4**order:
            msg = (
                f"`{place}` names pixel {pixel} of order {order}; "
                f"that order has pixels 0 to {12 * 4**order - 1}."
            )
            raise SchemaError(msg)


def _validate_disjoint(partitions: Partitions, place: str, properties: HatsProperties) -> None:
    ranges = partitions.ranges
    inside = np.flatnonzero(ranges[1:, 0] < ranges[:-1, 1])
    # Rows of a margin lie outside their pixel anyway.
    if len(inside) and properties.kind != "margin":
        shown = [f"Norder={partitions.order[i]}, Npix={partitions.pixel[i]}" for i in inside[:1]]
        other = inside[0] + 1
        msg = (
            f"`{place}` names the partition {shown[0]} and, inside it, "
            f"Norder={partitions.order[other]}, Npix={partitions.pixel[other]}."
        )
        raise SchemaError(msg)
