"""The jobs that match, through the runner: their tables are those of loops over all pairs."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).parent.parent / "crossmatch"))
from reference import MemorySource, run_reference, to_rows

from ubspark.catalogs.delta import open_table
from ubspark.crossmatch.options import How, MatchOptions, Select
from ubspark.errors import InputMissingError, ParameterError, UbsparkError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job

pytestmark = pytest.mark.spark

RADIUS = 4.0
N = 300


def make_catalog(seed: int, first_id: int) -> pa.Table:
    """Clumps at a pole, at ra 0 and at a corner of base pixels, and rows without a position."""
    rng = np.random.default_rng(seed)
    centres = np.array([[10.0, 89.9999], [0.0, 12.0], [45.0, 0.0], [200.0, -60.0], [123.0, 41.8]])
    chosen = centres[np.arange(N) % len(centres)]
    dec = np.clip(chosen[:, 1] + rng.normal(0, 4 / 3600, N), -90, 90)
    ra = (chosen[:, 0] + rng.normal(0, 4 / 3600, N) / np.cos(np.radians(dec))) % 360
    ra[::50], dec[25::50] = np.nan, 91.0
    return pa.table(
        {
            "id": pa.array(rng.permutation(N) + first_id),
            "ra": ra,
            "dec": dec,
            "err": pa.array(rng.uniform(0.2, 1.5, N)),
            "mag": pa.array(rng.uniform(10, 20, N)),
            "colour": ["red"] * N,
        }
    )


@pytest.fixture(scope="module")
def matching_home(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Home:
    home = Home(tmp_path_factory.mktemp("matching"))
    for seed, name in enumerate(("ours", "theirs", "others")):
        path = home.path / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(make_catalog(seed, 1000 * seed), path)
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(path)}},
            "params": {"roles": {"id": "id"}, "units": {"err": "arcsec"}},
            "outputs": {"table": {"table": name}},
        }
        run_job(parse_job(content), home=home, spark=spark)
    return home


def read(home: Home, name: str) -> pa.Table:
    return open_table(str(home.warehouse / name)).to_dataset().to_table()


def run(
    home: Home,
    spark: SparkSession,
    job: str,
    output: str,
    inputs: Mapping[str, Any],
    params: Mapping[str, Any],
    cells: int | None = None,
) -> tuple[pa.Table, RunOutcome]:
    name = {"idjoin": "rows", "neighbors": "neighbors"}.get(job, "matches")
    content = {
        "job": job,
        "inputs": {
            key: {"table": value} if isinstance(value, str) else value
            for key, value in inputs.items()
        },
        "params": params,
        "outputs": {name: {"table": output}},
        "resources": {} if cells is None else {"cells": cells},
    }
    outcome = run_job(parse_job(content), home=home, spark=spark)
    return read(home, output), outcome


JOBS: list[tuple[Select, How]] = [
    ("nearest", "outer"),
    ("all", "right"),
    ("mutual", "left"),
    ("one_to_one", "outer"),
    ("k", "inner"),
    ("nearest", "semi"),
    ("mutual", "anti"),
]


@pytest.mark.parametrize(("select", "how"), JOBS)
def test_table_is_that_of_all_pairs(
    matching_home: Home, spark: SparkSession, select: Select, how: How
) -> None:
    params = {"radius": "4 arcsec", "select": select, "how": how} | (
        {"k": 3} if select == "k" else {}
    )
    inputs = {"left": "ours", "right": "theirs"}
    name = f"{select}_{how}"
    rows, outcome = run(matching_home, spark, "crossmatch", name, inputs, params, cells=23)
    options = MatchOptions(RADIUS, how=how, select=select, k=3)
    left, right = (MemorySource(read(matching_home, side)) for side in ("ours", "theirs"))
    expected = run_reference(left, right, options)
    found = to_rows(rows)
    assert set(found) == expected
    assert len(found) == len(expected) > 5
    schema = open_table(str(matching_home.warehouse / name)).schema
    assert schema["left_id"].nullable == (how in ("right", "outer"))
    assert outcome.record.metrics["left_rows_without_position"] == 12


def test_rows_bring_their_own_radius(matching_home: Home, spark: SparkSession) -> None:
    params = {
        "radius": "4 arcsec",
        "select": "all",
        "row_radius": {"left": "err", "right": "err", "combine": "sum", "n_sigma": 1.5},
    }
    inputs = {"left": "ours", "right": "theirs"}
    rows, _ = run(matching_home, spark, "crossmatch", "radii", inputs, params)
    left, right = (MemorySource(read(matching_home, side)) for side in inputs.values())
    limit = 1.5 * (left.table["err"].to_numpy()[:, None] + right.table["err"].to_numpy())
    expected = run_reference(left, right, MatchOptions(RADIUS, select="all"), limit)
    assert set(to_rows(rows)) == expected
    assert len(expected) > 50


def test_ellipse_is_the_normalised_separation(matching_home: Home, spark: SparkSession) -> None:
    roles = {"ra_error": "err", "dec_error": "err"}
    inputs = {
        "left": {"table": "ours", "roles": roles},
        "right": {"table": "theirs", "roles": roles},
    }
    params = {"radius": "4 arcsec", "select": "all", "ellipse": {"n_sigma": 2}}
    rows, _ = run(matching_home, spark, "crossmatch", "ellipses", inputs, params)
    left, right = (MemorySource(read(matching_home, side)) for side in ("ours", "theirs"))
    limit = 2 * np.hypot(left.table["err"].to_numpy()[:, None], right.table["err"].to_numpy())
    expected = run_reference(left, right, MatchOptions(RADIUS, select="all"), limit)
    assert {row[:2] for row in to_rows(rows)} == {row[:2] for row in expected}


SCORER = """
import numpy as np

def score(left, right, dist_arcsec):
    difference = np.abs(left["mag"].to_numpy() - right["mag"].to_numpy())
    return np.where(difference < 5, -difference, np.nan)
"""


def test_scorer_ranks_and_drops_pairs(
    matching_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "scorer.py"
    path.write_text(SCORER)
    scorer = {"path": str(path), "left": ["mag"], "right": ["mag"]}
    inputs = {"left": "ours", "right": "theirs"}
    params = {"radius": "4 arcsec", "scorer": scorer, "how": "left"}
    rows, outcome = run(matching_home, spark, "crossmatch", "scored", inputs, params)
    left, right = (read(matching_home, side) for side in inputs.values())
    pairs = run_reference(
        MemorySource(left), MemorySource(right), MatchOptions(RADIUS, select="all")
    )
    mags = [
        dict(zip(t["id"].to_pylist(), t["mag"].to_pylist(), strict=True)) for t in (left, right)
    ]
    best: dict[int, tuple[float, int]] = {}
    for here, there, *_ in pairs:
        difference = abs(mags[0][here] - mags[1][there])
        if difference < 5:
            best[here] = min(best.get(here, (9.0, -1)), (difference, there))
    matched = rows.filter(pc.is_valid(rows["right_id"]))
    found = dict(zip(matched["left_id"].to_pylist(), matched["right_id"].to_pylist(), strict=True))
    assert found == {here: there for here, (_, there) in best.items()}
    assert rows.num_rows == N
    # The frozen spec holds the text, so that the run can be repeated without the file.
    spec = json.loads((outcome.record.folder / "spec.json").read_text())
    assert spec["params"]["scorer"]["source"] == SCORER


PLANS: list[tuple[Select, How]] = [("nearest", "inner"), ("one_to_one", "outer"), ("all", "right")]


@pytest.mark.parametrize(("select", "how"), PLANS)
def test_every_plan_gives_one_answer(
    matching_home: Home, spark: SparkSession, select: Select, how: How
) -> None:
    digests = {}
    for plan in ("cells", "broadcast", "shuffle", "files"):
        sides: dict[str, Any] = {}
        for side, name in (("left", "ours"), ("right", "theirs")):
            path = str(matching_home.path / f"{name}.parquet")
            sides[side] = (
                {"path": path, "roles": {"id": "id"}} if plan == "files" else {"table": name}
            )
        content = {
            "job": "crossmatch",
            "inputs": sides,
            "params": {"radius": "4 arcsec", "select": select, "how": how},
            "outputs": {"matches": {"table": f"plan_{plan}_{select}_{how}"}},
            "resources": {"cells": 5} | ({} if plan == "files" else {"plan": plan}),
        }
        outcome = run_job(parse_job(content), home=matching_home, spark=spark)
        digests[plan] = outcome.outputs["matches"]["digest"]
    assert len(set(digests.values())) == 1


def test_small_right_side_spares_the_left_one(matching_home: Home, spark: SparkSession) -> None:
    """Held in memory, the right side tells where left rows matter at all."""
    inputs = {"left": "ours", "right": {"table": "theirs", "where": "dec > 80"}}
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "ours"}, "right": inputs["right"]},
        "params": {"radius": "4 arcsec"},
        "outputs": {"matches": {"table": "spared"}},
        "resources": {"plan": "broadcast"},
    }
    outcome = run_job(parse_job(content), home=matching_home, spark=spark)
    rows, _ = run(
        matching_home, spark, "crossmatch", "unspared", inputs, {"radius": "4 arcsec"}, cells=3
    )
    assert read(matching_home, "spared").equals(rows)
    assert 0 < outcome.record.metrics["left_rows_read"] < N / 3
    assert "match_fraction" not in outcome.record.metrics


def test_neighbors_keep_duplicates_and_leave_out_the_row_itself(
    matching_home: Home, spark: SparkSession
) -> None:
    rows, _ = run(
        matching_home, spark, "neighbors", "near", {"table": "ours"}, {"radius": "4 arcsec"}, 11
    )
    source = MemorySource(read(matching_home, "ours"))
    options = MatchOptions(RADIUS, select="all", excludes_same_id=True)
    assert set(to_rows(rows)) == run_reference(source, source, options)
    pairs = set(zip(rows["left_id"].to_pylist(), rows["right_id"].to_pylist(), strict=True))
    assert pairs == {(b, a) for a, b in pairs}
    assert len(pairs) > 100


def test_several_catalogs_are_matched_as_one_by_one(
    matching_home: Home, spark: SparkSession
) -> None:
    inputs = {"anchor": "ours", "theirs": "theirs", "others": "others"}
    params = {"radius": "4 arcsec", "radii": {"others": "2 arcsec"}}
    rows, outcome = run(matching_home, spark, "multimatch", "several", inputs, params, 9)
    assert rows.num_rows == N
    source = MemorySource(read(matching_home, "ours"))
    for name, radius in (("theirs", 4.0), ("others", 2.0)):
        other = MemorySource(read(matching_home, name))
        expected = run_reference(source, other, MatchOptions(radius, how="left"))
        columns = ["left_id", f"{name}_id", f"{name}_dist_arcsec", f"{name}_n_candidates"]
        found = set(zip(*(rows[column].to_pylist() for column in columns), strict=True))
        assert found == {(row[0], row[1], row[2], row[4]) for row in expected}
    n_matched = sum(
        rows[f"{n}_id"].is_valid().cast(pa.int32()).to_numpy() for n in ("theirs", "others")
    )
    assert np.array_equal(n_matched, rows["n_matched"].to_numpy())
    assert (
        outcome.record.metrics["theirs_matched_rows"]
        == pc.sum(rows["theirs_id"].is_valid()).as_py()
    )
    some, _ = run(matching_home, spark, "multimatch", "both", inputs, params | {"how": "inner"})
    assert some.num_rows == np.count_nonzero(n_matched == 2) > 5


def test_identifiers_come_in_the_order_of_the_list(
    matching_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    table = read(matching_home, "ours")
    ids = table["id"].to_pylist()
    wanted = [ids[5], 999_999, ids[0], ids[5], None, ids[250]]
    path = tmp_path / "list.csv"
    pyarrow.csv.write_csv(pa.table({"star": wanted, "note": list("abcdef")}), path)
    inputs = {"ids": {"path": str(path)}, "table": "ours"}
    rows, outcome = run(
        matching_home, spark, "idjoin", "listed", inputs, {"id_column": "star"}, cells=5
    )
    assert rows["list_row"].to_pylist() == list(range(6))
    assert rows["star"].to_pylist() == wanted
    assert rows["note"].to_pylist() == list("abcdef")
    assert rows["is_found"].to_pylist() == [True, False, True, True, False, True]
    mags = dict(zip(ids, table["mag"].to_pylist(), strict=True))
    assert rows["mag"].to_pylist() == [mags.get(star) for star in wanted]
    assert outcome.record.metrics["not_found"] == 2
    assert "999999" in " ".join(outcome.record.notes)


BAD: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "k": ("crossmatch", {}, {"k": 3}, r"^`params\.k` counts with `select: k`"),
    "prior": (
        "crossmatch",
        {},
        {"probability": {"left_error": "1 arcsec", "prior": 2}},
        r"^`params\.probability\.prior`: input should be less than 1, got 2\.$",
    ),
    "words": (
        "crossmatch",
        {},
        {"row_radius": {"left": "colour", "unit": "arcsec"}},
        "Column `colour` of .* must hold numbers, got string",
    ),
    "one": ("neighbors", {}, {"select": "one_to_one"}, "has no meaning within one catalog"),
    "unit": ("crossmatch", {}, {"row_radius": {"left": "mag"}}, "does not say its unit"),
    "column": ("crossmatch", {}, {"row_radius": {"left": "er"}}, "Did you mean `err`"),
    "none": ("crossmatch", {}, {"row_radius": {}}, "must name a column"),
    "both": (
        "crossmatch",
        {},
        {"row_radius": {"left": "err"}, "ellipse": {"n_sigma": 1}},
        "two ways to say the same",
    ),
    "errors": ("crossmatch", {}, {"probability": {}}, "needs positional errors"),
    "text": ("crossmatch", {}, {"scorer": {"source": "x = 1"}}, "defines no function `score`"),
    "negative": (
        "crossmatch",
        {},
        {"probability": {"left_error": "-1 arcsec"}},
        r"^`params\.probability\.left_error`: input should be greater than or equal to 0",
    ),
    "no number": (
        "crossmatch",
        {},
        {"probability": {"left_error": "nan arcsec"}},
        r"^`params\.probability\.left_error` must be a finite angle, got 'nan arcsec'\.$",
    ),
    "endless density": (
        "crossmatch",
        {},
        {"probability": {"left_error": "1 arcsec", "density_radius": "inf deg"}},
        r"^`params\.probability\.density_radius` must be a finite angle",
    ),
    "wide density": (
        "crossmatch",
        {},
        {"probability": {"left_error": "1 arcsec", "density_radius": "50 deg"}},
        r"^`params\.probability\.density_radius` must be .* at most 18000 arcsec",
    ),
    "endless sigma": (
        "crossmatch",
        {},
        {"row_radius": {"left": "err", "n_sigma": float("inf")}},
        r"^`params\.row_radius\.n_sigma`: input should be a finite number, got inf\.$",
    ),
    "other unit": (
        "crossmatch",
        {},
        {"row_radius": {"left": "err", "unit": "mas"}},
        r"^Column `err` of .* is in `arcsec`, but `params\.row_radius\.unit` is `mas`\.",
    ),
    "no unit": (
        "crossmatch",
        {},
        {"row_radius": {"left": "err", "unit": "banana"}},
        r"^`params\.row_radius\.unit` must be a unit of angles such as arcsec, got 'banana'\.$",
    ),
    "suffix": (
        "crossmatch",
        {},
        {"suffixes": ["_a", " b"]},
        r"^`params\.suffixes` must hold no space, none of ,;\{\}\(\)=\.` and no line end, got ' b'",
    ),
    "leaving": (
        "crossmatch",
        {},
        {"scorer": {"source": "import sys\nsys.exit(3)"}},
        r"source of the scorer cannot be read: SystemExit: 3\.$",
    ),
    "arguments": (
        "crossmatch",
        {},
        {"scorer": {"source": "def score(left, right):\n    return 1"}},
        r"must take three arguments, .*, got `score\(left, right\)`\.$",
    ),
    "spelling": (
        "crossmatch",
        {},
        {"radius": None, "radiuss": "1 arcsec"},
        r"^`params\.radiuss` is not a key\. Did you mean `radius`\?",
    ),
    "minimum": ("crossmatch", {}, {"min_radius": "5 arcsec"}, "`min_radius` must be between"),
    "name": ("multimatch", {"theirs": "theirs"}, {"radii": {"x": "1 arcsec"}}, "names no input"),
    "alone": ("multimatch", {}, {}, "at least one input beside anchor"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_get_one_sentence(matching_home: Home, case: str) -> None:
    job, further, params, sentence = BAD[case]
    inputs = {
        "crossmatch": {"left": "ours", "right": "theirs"},
        "neighbors": {"table": "ours"},
        "multimatch": {"anchor": "ours"},
    }[job] | further
    content = {
        "job": job,
        "inputs": {name: {"table": table} for name, table in inputs.items()},
        "params": {
            name: value
            for name, value in ({"radius": "4 arcsec"} | params).items()
            if value is not None
        },
        "outputs": {"neighbors" if job == "neighbors" else "matches": {"table": "bad"}},
    }
    with pytest.raises(UbsparkError, match=sentence) as caught:
        plan_job(parse_job(content), home=matching_home)
    assert str(caught.value).count("\n") == 0


def test_scorer_that_is_no_text_is_refused(matching_home: Home, tmp_path: Path) -> None:
    path = tmp_path / "scorer.py"
    path.write_bytes("# größer\ndef score(left, right, dist):\n    return dist".encode("latin-1"))
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "ours"}, "right": {"table": "theirs"}},
        "params": {"radius": "4 arcsec", "scorer": {"path": str(path)}},
        "outputs": {"matches": {"table": "bad"}},
    }
    with pytest.raises(ParameterError, match=r"scorer\.py` cannot be read as UTF-8 text: .*\.$"):
        plan_job(parse_job(content), home=matching_home)


def test_scorer_that_leaves_fails_with_a_sentence(matching_home: Home, spark: SparkSession) -> None:
    source = "import sys\n\n\ndef score(left, right, dist):\n    sys.exit(0)"
    params = {"radius": "4 arcsec", "scorer": {"source": source}}
    with pytest.raises(UbsparkError, match="The scorer `score` failed: SystemExit: 0"):
        run(matching_home, spark, "crossmatch", "left", {"left": "ours", "right": "theirs"}, params)


def test_a_table_and_a_file_are_not_one_input(matching_home: Home) -> None:
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "ours", "path": "ours.csv"}, "right": {"table": "theirs"}},
        "params": {"radius": "4 arcsec"},
        "outputs": {"matches": {"table": "bad"}},
    }
    with pytest.raises(
        ParameterError, match=r"^`inputs\.left` must name a `table` or a `path`, got"
    ):
        plan_job(parse_job(content), home=matching_home)


def test_missing_scorer_is_named(matching_home: Home) -> None:
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "ours"}, "right": {"table": "theirs"}},
        "params": {"radius": "4 arcsec", "scorer": {"path": "nowhere.py"}},
        "outputs": {"matches": {"table": "bad"}},
    }
    with pytest.raises(InputMissingError, match=r"`nowhere\.py`, which is no file"):
        plan_job(parse_job(content), home=matching_home)


def test_rows_of_one_identifier_keep_their_own_matches(
    home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    """Two rows of one star at one place, with and without motion: neither gets the other's."""
    stars = {"id": [1, 1], "ra": [10.0, 10.0], "dec": [0.0, 0.0]}
    tables = {
        "stars": pa.table({**stars, "pmra": [0.0, 1000.0], "pmdec": [0.0, 0.0]}),
        "near": pa.table({"id": [100], "ra": [10.0], "dec": [0.0]}),
        "far": pa.table({"id": [200], "ra": [10.0 + 16 / 3600], "dec": [0.0]}),
    }
    for name, rows in tables.items():
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    motion = {"pm_includes_cos_dec": True, "epoch": 2000.0}
    roles = {"id": "id", "pmra": "pmra", "pmdec": "pmdec"}
    ingest = {
        "job": "ingest",
        "inputs": {"source": {"path": str(tmp_path / "stars.parquet")}},
        "params": {"roles": roles, "units": {"pmra": "mas/yr", "pmdec": "mas/yr"}, **motion},
        "outputs": {"table": {"table": "stars"}},
    }
    run_job(parse_job(ingest), home=home, spark=spark)
    files = {
        name: {"path": str(tmp_path / f"{name}.parquet"), "roles": {"id": "id"}}
        for name in ("near", "far")
    }
    content = {
        "job": "multimatch",
        "inputs": {"anchor": {"table": "stars", "columns": ["pmra"]}, **files},
        "params": {"radius": "1 arcsec", "epoch": 2016.0},
        "outputs": {"matches": {"table": "glued"}},
    }
    run_job(parse_job(content), home=home, spark=spark)
    rows = read(home, "glued")
    found = zip(*(rows[c].to_pylist() for c in ("pmra", "near_id", "far_id")), strict=True)
    assert set(found) == {(0.0, 100, None), (1000.0, None, 200)}


def test_identifiers_that_the_key_cannot_hold_are_not_found(
    matching_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    known = read(matching_home, "ours")["id"][0].as_py()
    path = tmp_path / "long.csv"
    path.write_text(f"id\n{known}\n99999999999999999999\n")
    inputs = {"ids": {"path": str(path)}, "table": "ours"}
    rows, outcome = run(matching_home, spark, "idjoin", "long_ids", inputs, {})
    assert rows["is_found"].to_pylist() == [True, False]
    assert outcome.record.metrics["not_found"] == 1
