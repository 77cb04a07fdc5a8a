"""Small HATS catalogs of every form that is found in the wild, and the peer that reads them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubspark.sky.healpix import compute_healpix_29

N_ROWS = 1500
PROPERTIES = {
    "obs_collection": "made",
    "dataproduct_type": "object",
    "hats_col_ra": "ra",
    "hats_col_dec": "dec",
    "hats_version": "v1.0",
}


@dataclass(frozen=True)
class Form:
    """How a catalog is laid out."""

    suffix: str = ".parquet"
    #: Column of the index and its order; None for none.
    index: tuple[str, int] | None = ("_healpix_29", 29)
    index_type: str = "int64"
    has_hive_columns: bool = False
    has_partition_info: bool = True
    has_common_metadata: bool = True
    #: `hats.properties`, `properties` or `catalog_info.json`.
    file: str = "hats.properties"
    #: Folder of the data files.
    dataset: str = "dataset/"
    properties: dict[str, str] = field(default_factory=dict)


def make_rows(n_rows: int = N_ROWS, *, seed: int = 1) -> pa.Table:
    """Random rows of the whole sky, poles and RA 0 crowded, ids shuffled."""
    rng = np.random.default_rng(seed)
    ra = rng.uniform(0, 360, n_rows)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n_rows)))
    ra[:100] = rng.normal(0, 0.5, 100) % 360
    dec[100:150] = rng.uniform(89, 90, 50)
    dec[150:200] = rng.uniform(-90, -89, 50)
    curves = [
        {"mjd": [float(j) for j in range(i % 4)], "band": ["g"] * (i % 4)} for i in range(n_rows)
    ]
    stored = pa.struct([("mjd", pa.list_(pa.float64())), ("band", pa.list_(pa.string()))])
    return pa.table(
        {
            "id": pa.array(rng.permutation(n_rows), pa.int64()),
            "ra": ra,
            "dec": dec,
            "mag": pa.array(rng.normal(18, 2, n_rows), mask=rng.random(n_rows) < 0.1),
            "name": [f"star {i}" for i in range(n_rows)],
            "curve": pa.array(curves, stored),
        }
    )


def write_hats(folder: Path, rows: pa.Table, form: Form | None = None) -> Path:
    """Write rows as a catalog: pixels of order 1 in the south, of order 0 in the north."""
    form = form or Form()
    healpix = compute_healpix_29(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    order = np.argsort(healpix, kind="stable")
    rows, healpix = rows.take(order), healpix[order]
    if form.index is not None:
        name, at = form.index
        rows = rows.add_column(
            0, name, pa.array(healpix >> 2 * (29 - at)).cast(pa.type_for_alias(form.index_type))
        )
    base, first = healpix >> 2 * 29, healpix >> 2 * 28
    pixels = [(0, p) for p in range(4)] + [(1, p) for p in range(16, 48)]
    written = []
    for norder, npix in pixels:
        part = rows.filter(pa.array((base if norder == 0 else first) == npix))
        if part.num_rows:
            _write_partition(folder, part, norder, npix, form)
            written.append((norder, npix))
    (folder / form.dataset).mkdir(exist_ok=True)
    if form.has_common_metadata:
        pq.write_metadata(
            _hive(rows, 0, 0, form).schema, folder / f"{form.dataset}_common_metadata"
        )
    if form.has_partition_info:
        text = "Norder,Npix\n" + "".join(f"{k},{p}\n" for k, p in written)
        (folder / "partition_info.csv").write_text(text)
    _write_properties(folder, rows.num_rows, form)
    return folder


def _hive(part: pa.Table, norder: int, npix: int, form: Form) -> pa.Table:
    if not form.has_hive_columns:
        return part
    n = part.num_rows
    part = part.append_column("Norder", pa.array(np.full(n, norder), pa.uint8()))
    part = part.append_column("Dir", pa.array(np.zeros(n), pa.uint64()))
    return part.append_column("Npix", pa.array(np.full(n, npix), pa.uint64()))


def _write_partition(folder: Path, part: pa.Table, norder: int, npix: int, form: Form) -> None:
    stem = folder / f"{form.dataset}Norder={norder}/Dir=0/Npix={npix}"
    part = _hive(part, norder, npix, form)
    if form.suffix == "/":
        stem.mkdir(parents=True)
        half = part.num_rows // 2
        pq.write_table(part.slice(half), stem / "part-1.snappy.parquet")
        pq.write_table(part.slice(0, half), stem / "part-0.snappy.parquet")
        return
    stem.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(part, f"{stem}{form.suffix}", row_group_size=25)


def _write_properties(folder: Path, n_rows: int, form: Form) -> None:
    entries: dict[str, Any] = {**PROPERTIES, "hats_nrows": str(n_rows)}
    if form.suffix != ".parquet":
        entries["hats_npix_suffix"] = form.suffix
    if form.index is not None and form.index != ("_healpix_29", 29):
        entries["hats_col_healpix"] = form.index[0]
        entries["hats_col_healpix_order"] = str(form.index[1])
    entries |= form.properties
    if form.file.endswith("json"):
        old = {"catalog_name": "made", "catalog_type": "object", "total_rows": n_rows}
        old |= {"epoch": "J2000", "ra_column": "ra", "dec_column": "dec"}
        (folder / form.file).write_text(json.dumps(old))
        return
    lines = [f"{key}={value}" for key, value in entries.items()]
    (folder / form.file).write_text("#HATS catalog\n" + "\n".join(lines) + "\n")


FORMS = {
    "plain": Form(),
    "suffix": Form(suffix=".snappy.parquet"),
    "odd suffix": Form(suffix=".parq"),
    "folders": Form(suffix="/"),
    "order 13": Form(index=("healpix13", 13)),
    "other name": Form(index=("hpx", 29)),
    "no index": Form(index=None),
    "unsigned index": Form(index_type="uint64"),
    "hive columns": Form(has_hive_columns=True),
    "old properties": Form(file="properties"),
    "no partition info": Form(has_partition_info=False),
    "no schema": Form(has_common_metadata=False),
    "hipscat": Form(index=None, file="catalog_info.json", dataset="", has_hive_columns=True),
}


Write = Callable[..., Path]
Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    """The rows of every catalog of `form`."""
    return make_rows()


@pytest.fixture(scope="session")
def forms(tmp_path_factory: pytest.TempPathFactory, rows: pa.Table) -> dict[str, Path]:
    """The same rows in every form; tests must not change them."""
    root = tmp_path_factory.mktemp("forms")
    found = {}
    for name, form in FORMS.items():
        folder = root / name.replace(" ", "_")
        folder.mkdir()
        found[name] = write_hats(folder, rows, form)
    return found


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest, forms: dict[str, Path]) -> Path:
    """A catalog in each of the forms."""
    return forms[request.param]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A small catalog to break."""
    folder = tmp_path / "made"
    folder.mkdir()
    return write_hats(folder, make_rows(200))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes rows in a form."""

    def write_it(rows: pa.Table, *, name: str = "own", **form: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        return write_hats(folder, rows, Form(**form))

    return write_it


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a read-only catalog, so that it can be broken."""

    def copy(source: Path) -> Path:
        target = tmp_path / source.name
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return target

    return copy


@pytest.fixture(scope="session")
def conformance(data: Path) -> Path:
    """The catalogs of the maintainers of HATS."""
    return need(data, "hats_conformance")


@pytest.fixture(scope="session")
def dp1(data: Path) -> Path:
    """Rows of Rubin's Data Preview 1."""
    return need(data, "rubin_dp1_hats")


def need(data: Path, name: str) -> Path:
    if not (data / name).is_dir():
        pytest.skip(f"`{name}` is not in UBSPARK_DATA.")
    return data / name


@pytest.fixture(scope="session")
def ask_peer() -> Ask:
    """Return a function that has hats and LSDB read catalogs, in their own environment."""
    root = Path(__file__).parents[3]
    python = root / ".peers" / "hats" / "bin" / "python"
    if not python.exists():
        pytest.skip("There is no `.peers/hats`; `make peer-hats` makes it.")

    def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        call = [str(python), str(Path(__file__).parent / "peer.py")]
        done = subprocess.run(
            call, input=json.dumps(requests), capture_output=True, text=True, check=True
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return answers

    return ask
