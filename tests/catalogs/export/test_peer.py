"""hats finds our catalogs valid; LSDB reads, cuts, looks up and matches them like its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from ubspark.sky.vectors import compute_separation_arcsec, to_unit_vectors

pytestmark = [pytest.mark.peer, pytest.mark.spark]

Place = Any
RADIUS_ARCSEC = 40.0
CONES = [(56.75, 24.1, 1200.0), (359.99, 0.0, 300.0), (10.0, 90.0, 600.0), (200.0, -30.0, 1.0)]


def make_moved(stars: pa.Table) -> pa.Table:
    """The stars half a radius away, on all sides, over pixel edges, RA 0 and the pole."""
    rng = np.random.default_rng(7)
    angle = rng.uniform(0, 2 * np.pi, stars.num_rows)
    step = RADIUS_ARCSEC / 2 / 3600
    dec = stars["dec"].to_numpy() + step * np.sin(angle)
    over = dec > 90
    dec = np.where(over, 180 - dec, dec)
    ra = stars["ra"].to_numpy() + step * np.cos(angle) / np.cos(np.radians(dec)).clip(1e-3)
    return pa.table({"id": stars["id"], "ra": (ra + 180 * over) % 360, "dec": dec})


def to_vectors(rows: pa.Table) -> NDArray[np.float64]:
    return to_unit_vectors(rows["ra"].to_numpy(), rows["dec"].to_numpy())


@pytest.fixture(scope="module")
def answer(
    workplace: Place, expected: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the peer says of two exports."""
    python = Path(__file__).parents[3] / ".peers" / "hats" / "bin" / "python"
    if not python.exists():
        pytest.skip("There is no `.peers/hats`; `make peer-hats` makes it.")
    folder = tmp_path_factory.mktemp("peer")
    stars = expected.filter(pc.is_finite(expected["dec"])).select(["id", "ra", "dec"])
    moved = make_moved(stars)
    pq.write_table(stars, folder / "stars.parquet")
    pq.write_table(moved, folder / "moved.parquet")
    workplace.ingest(folder / "moved.parquet", "moved", roles={"id": "id"})
    wanted = {"format": "hats", "max_rows": 100, "margins": [f"{2 * RADIUS_ARCSEC} arcsec"]}
    workplace.export(folder / "left", indexes=["id"], **wanted)
    workplace.export(folder / "right", table="moved", **(wanted | {"max_rows": 40}))
    request = {
        "left": str(folder / "left"),
        "right": str(folder / "right"),
        "left_rows": str(folder / "stars.parquet"),
        "right_rows": str(folder / "moved.parquet"),
        "cones": CONES,
        "ids": stars["id"].to_pylist()[:5],
        "radius_arcsec": RADIUS_ARCSEC,
        "n_neighbors": 300,
    }
    call = [str(python), str(Path(__file__).with_name("peer.py"))]
    done = subprocess.run(call, input=json.dumps(request), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"stars": stars, "moved": moved, "ids": request["ids"]}


def test_hats_finds_both_valid(answer: dict[str, Any]) -> None:
    assert answer["is_valid"] == [True, True]
    assert answer["kind"] == "Catalog"
    assert answer["has_moc"]
    assert answer["n_stated"] == answer["stars"].num_rows
    assert answer["columns"][:3] == ["id", "ra", "dec"]


def test_lsdb_reads_every_row(answer: dict[str, Any]) -> None:
    assert answer["rows"] == sorted(answer["stars"]["id"].to_pylist())
    assert answer["found"] == sorted(answer["ids"])


def test_cones_hold_the_rows_within_them(answer: dict[str, Any]) -> None:
    stars = answer["stars"]
    ids = stars["id"].to_numpy()
    for (ra, dec, radius), found in zip(CONES, answer["cones"], strict=True):
        centre = to_unit_vectors(np.array([ra]), np.array([dec]))[0]
        distance = compute_separation_arcsec(to_vectors(stars), centre)
        assert found == sorted(ids[distance <= radius].tolist())
        assert len(found) > 50


def test_matches_are_those_of_catalogs_that_lsdb_made(answer: dict[str, Any]) -> None:
    """And those of every pair compared: the margins lack nothing."""
    stars, moved = answer["stars"], answer["moved"]
    ids, vectors = stars["id"].to_numpy(), to_vectors(stars)
    wanted = []
    for own, there in zip(moved["id"].to_pylist(), to_vectors(moved), strict=True):
        near = ids[compute_separation_arcsec(vectors, there) <= RADIUS_ARCSEC]
        wanted += [[int(i), own] for i in near]
    assert answer["theirs"] == sorted(wanted)
    assert answer["ours"] == answer["theirs"]
    assert len(wanted) > stars.num_rows
