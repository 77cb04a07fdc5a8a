"""The lightcurves job: epochs to rows of light curves, night by night, and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import TableVersion, open_table
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.errors import ConflictError, ParameterError, SchemaError, TransientError
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.outputs import write_output
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job

pytestmark = pytest.mark.spark

BANDS = ["g", "r"]
N = 60
ROLES = {"id": "star", "time": "mjd", "flux": "mag", "flux_error": "err", "band": "filter"}
PARAMS = {"bands": BANDS, "bad_flags": {"quality": 4, "is_cut": True}}
OBJECTS = {"roles": {"id": "objectId"}, "columns": ["teff"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects, and two nights of their epochs in no order; some epochs belong to no object."""
    place = tmp_path_factory.mktemp("lightcurves")
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(0, 360, N), np.degrees(np.arcsin(rng.uniform(-1, 1, N)))
    ra[0], dec[1] = 359.9999999, 89.9999999
    objects = pa.table(
        {"objectId": np.arange(N) + 100, "ra": ra, "dec": dec, "teff": rng.uniform(4e3, 8e3, N)}
    )
    pq.write_table(objects, place / "objects.parquet")
    for night, (n, span) in {"one": (3000, (0, N - 5)), "two": (200, (40, 52))}.items():
        pq.write_table(make_epochs(rng, n, span, night, ra, dec), place / f"{night}.parquet")
    return place


def make_epochs(
    rng: np.random.Generator, n: int, span: tuple[int, int], night: str, ra: Any, dec: Any
) -> pa.Table:
    star = rng.integers(*span, n)
    star[: n // 3] = span[0]
    mag = rng.normal(16, 0.5, n)
    mag[rng.integers(0, n, n // 50)] = np.nan
    begin = {"one": 59_000, "two": 59_400}[night]
    rows = {
        "star": np.where(rng.random(n) < 0.01, 9999, star + 100),
        "mjd": rng.choice(np.linspace(begin, begin + 300, 97), n),
        "mag": mag.astype(np.float32),
        "err": rng.uniform(-0.002, 0.05, n).astype(np.float32),
        "filter": rng.choice(["g", "r", "H"], n, p=[0.5, 0.45, 0.05]),
        "quality": rng.integers(0, 6, n).astype(np.int16),
        "is_cut": rng.random(n) < 0.02,
        "visit": np.arange(n) // 3,
        "ra": (ra[star] + rng.normal(0, 2e-5, n) / np.maximum(np.cos(np.radians(dec[star])), 1e-4))
        % 360,
        "dec": np.clip(dec[star] + rng.normal(0, 2e-5, n), -90, 90),
    }
    table = pa.table(rows)
    # Some rows come twice.
    return pa.concat_tables([table, table.slice(5, 20)])


@pytest.fixture(scope="module")
def curves_home(
    folder: Path, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Home:
    home = Home(tmp_path_factory.mktemp("lightcurves_home"))
    home.validate_writable()
    for name, id_column in (("objects", "objectId"), ("one", "star"), ("two", "star")):
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(folder / f"{name}.parquet")}},
            "params": {"roles": {"id": id_column}},
            "outputs": {"table": {"table": name}},
            "resources": {"cells": 4},
        }
        run_job(parse_job(content), home=home, spark=spark)
    run(home, spark, "curves", nest(folder, "one"), cells=5)
    return home


def nest(folder: Path, night: str) -> dict[str, Any]:
    return {
        "sources": {
            "path": str(folder / f"{night}.parquet"),
            "roles": ROLES,
            "columns": ["visit", "quality"],
        },
        "objects": {"path": str(folder / "objects.parquet"), **OBJECTS},
    }


def run(
    home: Home,
    spark: SparkSession,
    output: str,
    inputs: dict[str, Any],
    params: dict[str, Any] | None = None,
    *,
    mode: str = "error",
    cells: int = 3,
    plan: str = "auto",
) -> RunOutcome:
    content = {
        "job": "lightcurves",
        "inputs": inputs,
        "params": PARAMS if params is None else params,
        "outputs": {"lightcurves": {"table": output, "mode": mode}},
        "resources": {"cells": cells, "plan": plan},
    }
    return run_job(parse_job(content), home=home, spark=spark)


def open_output(home: Home, name: str) -> TableVersion:
    return open_table(str(home.warehouse / name))


def read(home: Home, name: str) -> list[dict[str, Any]]:
    return list(open_output(home, name).to_dataset().to_table().to_pylist())


def compute_plainly(*tables: pa.Table, objects: pa.Table) -> dict[int, dict[str, Any]]:
    """Return the light curves of the first object table by a loop over rows."""
    known = {row["objectId"]: row for row in objects.to_pylist()}
    epochs: dict[int, set[Any]] = {}
    n_bad: dict[int, int] = {}
    for row in pa.concat_tables(tables).to_pylist():
        if row["star"] not in known:
            continue
        listed = epochs.setdefault(row["star"], set())
        is_bad = (
            not np.isfinite(row["mag"])
            or not row["err"] > 0
            or row["filter"] not in BANDS
            or row["quality"] & 4 != 0
            or row["is_cut"]
        )
        n_bad[row["star"]] = n_bad.get(row["star"], 0) + is_bad
        if not is_bad:
            names = ("mjd", "mag", "err", "filter", "visit", "quality")
            listed.add(tuple(row[name] for name in names))
    found = {}
    for star, listed in epochs.items():
        lists = sorted(listed)
        columns = list(zip(*lists, strict=True)) if lists else [()] * 6
        names = ("mjd", "mag", "err", "filter", "visit", "quality")
        found[star] = {name: list(c) for name, c in zip(names, columns, strict=True)} | {
            **{key: known[star][key] for key in ("objectId", "ra", "dec", "teff")},
            "n_epochs": len(lists),
            "n_bad_epochs": n_bad[star],
            **{f"n_epochs_{b}": sum(e[3] == b for e in lists) for b in BANDS},
        }
    return found


def read_sources(folder: Path, *names: str) -> list[pa.Table]:
    return [pq.read_table(folder / f"{name}.parquet") for name in names]


def check(rows: list[dict[str, Any]], expected: dict[int, dict[str, Any]]) -> None:
    assert {row["objectId"] for row in rows} == set(expected)
    for row in rows:
        wanted = expected[row["objectId"]]
        assert {name: row[name] for name in wanted} == wanted


def test_rows_are_those_of_a_plain_loop(folder: Path, curves_home: Home) -> None:
    one, objects = read_sources(folder, "one", "objects")
    check(read(curves_home, "curves"), compute_plainly(one, objects=objects))


def test_rows_lie_in_the_order_of_the_sky(curves_home: Home) -> None:
    table = open_output(curves_home, "curves")
    layout = table.read_layout()
    assert len(layout.paths) > 2
    assert np.all(layout.low[1:] > layout.high[:-1])
    assert table.roles.columns["time"] == "mjd"
    assert table.properties["ubspark.bands"] == "g,r"
    assert "codes 0: g, 1: r" in str(table.schema["filter"].description)


def test_epochs_are_counted_in_the_run(
    folder: Path, curves_home: Home, spark: SparkSession
) -> None:
    outcome = run(curves_home, spark, "curves", nest(folder, "one"))
    assert outcome.already_made
    metrics = outcome.record.metrics
    rows = read_sources(folder, "one")[0]
    counted = [v for k, v in metrics.items() if k.startswith("epochs")]
    assert sum(counted) == rows.num_rows
    assert metrics["epochs_without_object"] == sum(v == 9999 for v in rows["star"].to_pylist())
    assert metrics["epochs_repeated"] > 0
    assert metrics["epochs_bad_flags"] > 0
    assert metrics["objects_without_epochs"] == 5


@pytest.mark.parametrize(
    ("source", "plan"), [("file", "auto"), ("table", "auto"), ("table", "shuffle")]
)
@pytest.mark.parametrize("cells", [1, 7])
def test_inputs_cells_and_plans_do_not_decide(
    folder: Path, curves_home: Home, spark: SparkSession, source: str, plan: str, cells: int
) -> None:
    """Within reach, sorted tables are read cell by cell, and files are shuffled."""
    inputs = nest(folder, "one")
    if source == "table":
        inputs["sources"] = {"table": "one", "roles": ROLES, "columns": ["visit", "quality"]}
        inputs["objects"] = {"table": "objects", "columns": ["teff"]}
    outcome = run(
        curves_home,
        spark,
        f"reach_{source}_{plan}_{cells}",
        inputs,
        PARAMS | {"reach": "5 arcsec"},
        cells=cells,
        plan=plan,
    )
    table = open_output(curves_home, "curves")
    digest = next(iter(outcome.outputs.values()))["digest"]
    assert ContentDigest.parse(digest) == table.read_digest()
    first = outcome.record.metrics
    assert (
        first["epochs_without_object"]
        == run(curves_home, spark, "curves", nest(folder, "one")).record.metrics[
            "epochs_without_object"
        ]
    )


def test_epochs_out_of_reach_belong_to_none(
    folder: Path, curves_home: Home, spark: SparkSession
) -> None:
    metrics = []
    for plan in ("auto", "shuffle"):
        inputs = {
            "sources": {"table": "one", "roles": ROLES},
            "objects": {"table": "objects"},
        }
        outcome = run(
            curves_home,
            spark,
            f"near_{plan}",
            inputs,
            PARAMS | {"reach": "0.08 arcsec", "how": "left"},
            plan=plan,
        )
        assert outcome.record.metrics["objects"] == N
        metrics.append({k: v for k, v in outcome.record.metrics.items() if k.startswith("epochs")})
    assert metrics[0] == metrics[1]
    assert metrics[0]["epochs_without_object"] > 1000
    tables = [
        open_output(curves_home, f"near_{plan}").read_digest() for plan in ("auto", "shuffle")
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("position", ["mean", "first"])
def test_sources_alone_give_positions(
    folder: Path, curves_home: Home, spark: SparkSession, position: str
) -> None:
    digests = set()
    for cells in (1, 4):
        inputs = {"sources": nest(folder, "one")["sources"]}
        name = f"alone_{position}_{cells}"
        run(curves_home, spark, name, inputs, PARAMS | {"position": position}, cells=cells)
        digests.add(str(open_output(curves_home, name).read_digest()))
    assert len(digests) == 1
    objects = {row["objectId"]: row for row in read_sources(folder, "objects")[0].to_pylist()}
    for row in read(curves_home, f"alone_{position}_4"):
        if row["star"] in objects and abs(row["dec"]) < 80:
            assert row["dec"] == pytest.approx(objects[row["star"]]["dec"], abs=2e-4)


def test_long_form_and_back_is_the_same(curves_home: Home, spark: SparkSession) -> None:
    outcome = run(
        curves_home, spark, "long", {"lightcurves": {"table": "curves"}}, {"layout": "long"}
    )
    before = open_output(curves_home, "curves")
    n_epochs = sum(row["n_epochs"] for row in read(curves_home, "curves"))
    assert open_output(curves_home, "long").n_rows == n_epochs
    assert outcome.record.metrics["epochs"] == n_epochs
    inputs = {
        "sources": {"table": "long", "columns": ["visit", "quality"]},
        "objects": {"table": "objects", "columns": ["teff"]},
    }
    run(curves_home, spark, "again", inputs, {"bands": BANDS})
    rows = {row["objectId"]: row for row in read(curves_home, "again")}
    for row in read(curves_home, "curves"):
        # Bad epochs are gone for good, and so are objects that had no other.
        assert rows[row["objectId"]] == row | {"n_bad_epochs": 0}
    assert before.schema["mjd"].unit == open_output(curves_home, "again").schema["mjd"].unit


class TestNights:
    """A second night is added to the table."""

    @pytest.fixture
    def grown(self, folder: Path, curves_home: Home, spark: SparkSession, tmp_path: Path) -> Home:
        home = Home(tmp_path / "grown")
        home.validate_writable()
        run(home, spark, "curves", nest(folder, "one"), cells=8)
        return home

    def add(self, home: Home, spark: SparkSession, folder: Path, night: str) -> RunOutcome:
        inputs = nest(folder, night) | {"lightcurves": {"table": "curves"}}
        return run(home, spark, "curves", inputs, mode="update")

    def test_only_touched_files_are_rewritten(
        self, grown: Home, spark: SparkSession, folder: Path
    ) -> None:
        before = open_output(grown, "curves")
        old = {path: Path(path).stat().st_mtime_ns for path in before.read_layout().paths}
        outcome = self.add(grown, spark, folder, "two")
        after = open_output(grown, "curves")
        assert after.version == 1
        kept = set(old) & set(after.read_layout().paths)
        metrics = outcome.record.metrics
        assert metrics["files_rewritten"] == len(old) - len(kept) > 0
        assert metrics["files_kept"] == len(kept) > 0
        assert {path: Path(path).stat().st_mtime_ns for path in kept} == {p: old[p] for p in kept}
        touched = {100 + i for i in range(40, 52)}
        for path in kept:
            assert not touched & set(pq.read_table(path)["objectId"].to_pylist())
        for path in set(after.read_layout().paths) - kept:
            index = pq.read_table(path)["_healpix_29"].to_numpy()
            assert np.all(np.diff(index) >= 0)
        one, two, objects = read_sources(folder, "one", "two", "objects")
        check(read(grown, "curves"), compute_plainly(one, two, objects=objects))

    def test_digest_is_that_of_all_rows(
        self, grown: Home, spark: SparkSession, folder: Path
    ) -> None:
        self.add(grown, spark, folder, "two")
        table = open_output(grown, "curves")
        rows = table.to_dataset().to_table()
        assert table.read_digest() == compute_digest(rows.cast(table.schema.to_arrow()))

    def test_new_objects_lie_in_narrow_files(
        self, grown: Home, spark: SparkSession, folder: Path, tmp_path: Path
    ) -> None:
        """Five objects had no epoch in the first night."""
        rows = read_sources(folder, "two")[0].slice(0, 60)
        rows = rows.set_column(0, "star", pa.array(100 + N - 1 - np.arange(60) % 5))
        pq.write_table(rows, tmp_path / "new.parquet")
        before = open_output(grown, "curves").read_layout()
        inputs = nest(folder, "one") | {"lightcurves": {"table": "curves"}}
        inputs["sources"] |= {"path": str(tmp_path / "new.parquet")}
        outcome = run(grown, spark, "curves", inputs, mode="update")
        assert outcome.record.metrics["objects_new"] == 5
        assert outcome.record.metrics["objects_touched"] == 0
        assert outcome.record.metrics["files_rewritten"] == 0
        after = open_output(grown, "curves").read_layout()
        assert set(before.paths) < set(after.paths)
        slot = np.searchsorted(before.low, after.low, side="right")
        assert np.array_equal(slot, np.searchsorted(before.low, after.high, side="right"))

    def test_same_night_again_changes_nothing(
        self, grown: Home, spark: SparkSession, folder: Path, tmp_path: Path
    ) -> None:
        first = self.add(grown, spark, folder, "two")
        again = self.add(grown, spark, folder, "two")
        assert again.already_made
        assert again.record.run_id == first.record.run_id
        # Under another name and in another order it is another run, which finds nothing new.
        rows = read_sources(folder, "two")[0]
        good = rows.take(pa.array(np.argsort(rows["visit"].to_numpy())[::-1]))
        pq.write_table(good, tmp_path / "renamed.parquet")
        inputs = nest(folder, "one") | {"lightcurves": {"table": "curves"}}
        inputs["sources"] |= {"path": str(tmp_path / "renamed.parquet")}
        other = run(grown, spark, "curves", inputs, mode="update")
        assert not other.already_made
        assert other.record.metrics["files_written"] == 0
        assert "Nothing is new: every epoch is in" in other.record.notes[-1]
        good_epochs = other.record.metrics["epochs"]
        assert other.record.metrics["epochs_already_there"] == good_epochs > 100
        assert open_output(grown, "curves").version == 1
        assert next(iter(other.outputs.values()))["version"] == 1

    @pytest.mark.parametrize("n_rows", [0, 20])
    def test_night_of_no_object_changes_nothing(
        self, grown: Home, spark: SparkSession, folder: Path, tmp_path: Path, n_rows: int
    ) -> None:
        rows = read_sources(folder, "two")[0].slice(0, n_rows)
        nobody = pa.array(np.full(n_rows, 10**6), rows.schema.field("star").type)
        rows = rows.set_column(0, "star", nobody)
        pq.write_table(rows, tmp_path / "nobody.parquet")
        inputs = nest(folder, "one") | {"lightcurves": {"table": "curves"}}
        inputs["sources"] |= {"path": str(tmp_path / "nobody.parquet")}
        outcome = run(grown, spark, "curves", inputs, mode="update")
        assert outcome.record.phase == "COMPLETED"
        assert "no epoch of the sources is that of an object" in outcome.record.notes[-1]
        assert outcome.record.metrics["epochs_without_object"] == n_rows
        assert open_output(grown, "curves").version == 0

    def test_bad_epochs_that_are_kept_count_once(
        self, home: Home, spark: SparkSession, folder: Path, tmp_path: Path
    ) -> None:
        params = {"bands": BANDS, "bad_flags": {"quality": 4}, "keep_bad": True}
        one, two = read_sources(folder, "one", "two")
        both = pa.concat_tables([one, two])
        pq.write_table(both, tmp_path / "both.parquet")
        run(home, spark, "curves", nest(folder, "one"), params)
        whole = nest(folder, "one")
        whole["sources"] |= {"path": str(tmp_path / "both.parquet")}
        run(home, spark, "wanted", whole, params)
        grown = whole | {"lightcurves": {"table": "curves"}}
        run(home, spark, "curves", grown, params, mode="update")
        # NaN is no NaN, but prints like one.
        assert repr(read(home, "curves")) == repr(read(home, "wanted"))
        assert sum(row["n_bad_epochs"] for row in read(home, "curves")) > 0
        with pytest.raises(ParameterError, match=r"`params\.bad_flags` and `keep_bad` must be"):
            run(home, spark, "curves", grown, params | {"keep_bad": False}, mode="update")

    @pytest.mark.parametrize("key", [{"where": "teff > 5000"}, {"region": "cone 1 2 3 deg"}])
    def test_a_night_is_added_to_all_rows(
        self, grown: Home, spark: SparkSession, folder: Path, key: dict[str, str]
    ) -> None:
        inputs = nest(folder, "two") | {"lightcurves": {"table": "curves", **key}}
        with pytest.raises(ParameterError, match=rf"`inputs\.lightcurves\.{next(iter(key))}` has"):
            run(grown, spark, "other", inputs)

    def test_lineage_names_both_inputs(
        self, grown: Home, spark: SparkSession, folder: Path
    ) -> None:
        outcome = self.add(grown, spark, folder, "two")
        ledger = open_ledger(grown)
        graph = trace_up(ledger, LineageGraph(find_entity("curves@v1", grown, ledger)))
        assert graph.is_closed
        spec = graph.runs[f"run:{outcome.record.run_id}"].spec
        assert spec["inputs"]["lightcurves"]["version"] == 0
        assert spec["inputs"]["sources"]["uri"].endswith("two.parquet")
        assert len(graph.runs) == 2

    def test_replay_is_exact(self, grown: Home, spark: SparkSession, folder: Path) -> None:
        self.add(grown, spark, folder, "two")
        ledger = open_ledger(grown)
        original = find_original("curves@v1", grown, ledger)
        sandbox = create_sandbox(grown)
        config, changes = prepare_replay(
            original, grown, ledger, sandbox=sandbox, resources={"cells": 2}
        )
        done = replay(original, config, changes, home=grown, spark=spark)
        assert (done.verdict, changes) == ("EXACT", [])

    def test_old_versions_are_not_updated(
        self, grown: Home, spark: SparkSession, folder: Path
    ) -> None:
        self.add(grown, spark, folder, "two")
        inputs = nest(folder, "one") | {"lightcurves": {"table": "curves@v0"}}
        with pytest.raises(ConflictError, match="the newest version of that table"):
            run(grown, spark, "curves", inputs, mode="update")

    def test_other_columns_and_bands_do_not_fit(
        self, grown: Home, spark: SparkSession, folder: Path
    ) -> None:
        inputs = nest(folder, "two") | {"lightcurves": {"table": "curves"}}
        with pytest.raises(SchemaError, match="they have no column `n_epochs_g`"):
            run(grown, spark, "curves", inputs, PARAMS | {"bands": ["r"]}, mode="update")
        inputs["sources"]["columns"] = ["visit"]
        with pytest.raises(SchemaError, match="they have no column `quality`"):
            run(grown, spark, "curves", inputs, mode="update")

    def test_another_writer_meanwhile_is_told(
        self, grown: Home, spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The night is written, and then somebody else is first to commit."""
        place = grown.warehouse / "curves"

        def write_late(*args: Any) -> Any:
            written = write_output(*args)
            spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ('checked_by' = 'ana')")
            return written

        monkeypatch.setattr("ubspark.runtime.run_job.write_output", write_late)
        before = set(open_output(grown, "curves").read_layout().paths)
        with pytest.raises(TransientError, match="Another writer changed table"):
            self.add(grown, spark, folder, "two")
        after = open_output(grown, "curves")
        assert after.version == 1
        assert set(after.read_layout().paths) == before
        assert {str(path) for path in place.glob("*.parquet")} == before

    def test_update_needs_the_table_itself(
        self, grown: Home, spark: SparkSession, folder: Path
    ) -> None:
        with pytest.raises(ParameterError, match=r"`inputs\.lightcurves` must be the table"):
            run(grown, spark, "curves", nest(folder, "two"), mode="update")


def test_light_curves_feed_the_other_jobs(curves_home: Home, spark: SparkSession) -> None:
    for job, output, params in (
        ("periodograms", "periods", {"fmin": 0.5, "fmax": 1.0}),
        ("features", "features", {}),
    ):
        content = {
            "job": job,
            "inputs": {"lightcurves": {"table": "curves"}},
            "params": {"bands": BANDS, "is_magnitude": True, **params},
            "outputs": {output: {"table": output}},
        }
        run_job(parse_job(content), home=curves_home, spark=spark)
        assert open_output(curves_home, output).n_rows == open_output(curves_home, "curves").n_rows
    rows = {row["objectId"]: row for row in read(curves_home, "periods")}
    assert rows[100]["n_obs"] == next(
        row["n_epochs"] for row in read(curves_home, "curves") if row["objectId"] == 100
    )


def test_objects_of_one_epoch_and_of_very_many(spark: SparkSession, tmp_path: Path) -> None:
    home = Home(tmp_path / "many")
    home.validate_writable()
    n = 100_000
    star = np.concatenate([np.zeros(n, np.int64), np.arange(1, 500)])
    t = np.random.default_rng(2).permutation(len(star)).astype(np.float64)
    rows = {"star": star, "time": t, "flux": np.ones(len(star)), "ra": star / 10.0}
    pq.write_table(pa.table(rows | {"dec": np.zeros(len(star))}), tmp_path / "many.parquet")
    inputs = {"sources": {"path": str(tmp_path / "many.parquet"), "roles": {"id": "star"}}}
    outcome = run(home, spark, "curves", inputs, {})
    assert outcome.record.metrics["epochs"] == len(star)
    found = {row["star"]: row for row in read(home, "curves")}
    assert found[0]["n_epochs"] == n
    assert found[0]["time"] == sorted(t[:n].tolist())
    assert {found[i]["n_epochs"] for i in range(1, 500)} == {1}


def test_plan_names_the_way(folder: Path, curves_home: Home) -> None:
    inputs = {"sources": {"table": "one", "roles": ROLES}, "objects": {"table": "objects"}}
    plans = []
    for params in (PARAMS, PARAMS | {"reach": "5 arcsec"}):
        content = {
            "job": "lightcurves",
            "inputs": inputs,
            "params": params,
            "outputs": {"lightcurves": {"table": "new"}},
        }
        facts = {
            fact.name: fact.value for fact in plan_job(parse_job(content), home=curves_home)[1]
        }
        plans.append(str(facts["plan"]))
    assert "two shuffles" in plans[0]
    assert "no shuffle" in plans[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": None}, r"`params\.bands` must name the bands of `filter`"),
        ({"position": "mean"}, r"`params\.position` is mean"),
        ({"bad_flags": {"qualty": 1}}, "Did you mean `quality`"),
        ({"bad_flags": {"mag": 1}}, "must hold bits or booleans"),
        ({"bad_flags": {"is_cut": 2}}, r"`params\.bad_flags\.is_cut` must be true: the column is"),
        ({"bad_flags": {"quality": 2**63}}, r"`params\.bad_flags\.quality"),
        ({"bands": ["g", "g"]}, "`params.bands` must differ, also without case, got 'g' twice"),
        ({"bands": ["g", "G"]}, "`params.bands` must differ"),
        ({"bands": ["Johnson V"]}, "`params.bands` must be names without blanks"),
        ({"nested": "lc"}, r"`params\.nested` is for"),
        ({"fields": {"time": "t"}}, r"set `params\.nested`"),
        ({"reach": 5}, "must be an angle with a unit"),
    ],
)
def test_wrong_parameters_are_told(
    folder: Path, curves_home: Home, change: dict[str, Any], message: str
) -> None:
    params = {k: v for k, v in (PARAMS | change).items() if v is not None}
    content = {
        "job": "lightcurves",
        "inputs": nest(folder, "one"),
        "params": params,
        "outputs": {"lightcurves": {"table": "new"}},
    }
    with pytest.raises((ParameterError, SchemaError), match=message):
        plan_job(parse_job(content), home=curves_home)


def test_more_bands_than_codes_are_refused(folder: Path, curves_home: Home) -> None:
    content = {
        "job": "lightcurves",
        "inputs": nest(folder, "one"),
        "params": PARAMS | {"bands": [f"b{i}" for i in range(128)]},
        "outputs": {"lightcurves": {"table": "new"}},
    }
    with pytest.raises(ParameterError, match=r"`params.bands` must be at most 127 bands, got 128"):
        plan_job(parse_job(content), home=curves_home)


@pytest.mark.parametrize("plan", ["auto", "shuffle"])
@pytest.mark.parametrize("how", ["inner", "left"])
def test_two_objects_of_one_id_are_refused_wherever_they_lie(
    home: Home, spark: SparkSession, tmp_path: Path, plan: str, how: str
) -> None:
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 40), rng.uniform(-80, 80, 40)
    ids = np.arange(40)
    ids[20], ra[20], dec[20] = 7, (ra[7] + 180) % 360, -dec[7]
    objects = {"objectId": ids, "ra": ra, "dec": dec}
    epochs = {"objectId": ids, "ra": ra, "dec": dec, "mjd": ra, "mag": dec, "err": ra / 1e4 + 1}
    for name, columns in {"objects": objects, "epochs": epochs}.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(tmp_path / f"{name}.parquet")}},
            "params": {"roles": {"id": "objectId"}},
            "outputs": {"table": {"table": name}},
        }
        run_job(parse_job(content), home=home, spark=spark)
    roles = {"id": "objectId", "time": "mjd", "flux": "mag", "flux_error": "err"}
    inputs = {"sources": {"table": "epochs", "roles": roles}, "objects": {"table": "objects"}}
    params = {"reach": "2 arcsec", "how": how}
    with pytest.raises(SchemaError, match="Two objects have the `objectId` 7"):
        run(home, spark, "twice", inputs, params, cells=6, plan=plan)


@pytest.mark.parametrize(
    ("nested", "says"),
    [("ligthcurve", "Did you mean"), ("ra", "must name a struct of lists, got `ra`, which is")],
)
def test_column_that_holds_no_light_curves_is_told(
    home: Home, spark: SparkSession, tmp_path: Path, nested: str, says: str
) -> None:
    lists = pa.StructArray.from_arrays([pa.array([[1.0, 2.0]])] * 2, ["t", "f"])
    rows = pa.table({"id": [1], "ra": [10.0], "dec": [0.0], "lightcurve": lists})
    pq.write_table(rows, tmp_path / "nested.parquet")
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(tmp_path / "nested.parquet")}},
        "outputs": {"table": {"table": "nested"}},
        "params": {"roles": {"id": "id"}},
    }
    run_job(parse_job(content), home=home, spark=spark)
    content = {
        "job": "lightcurves",
        "inputs": {"lightcurves": {"table": "nested"}},
        "params": {"nested": nested, "fields": {"time": "t", "flux": "f"}},
        "outputs": {"lightcurves": {"table": "new"}},
    }
    with pytest.raises((ParameterError, SchemaError), match=says):
        plan_job(parse_job(content), home=home)


def test_epochs_of_sources_are_not_taken_apart(folder: Path, curves_home: Home) -> None:
    content = {
        "job": "lightcurves",
        "inputs": nest(folder, "one"),
        "params": PARAMS | {"layout": "long"},
        "outputs": {"lightcurves": {"table": "new"}},
    }
    with pytest.raises(ParameterError, match=r"`params.layout: long` takes light curves apart"):
        plan_job(parse_job(content), home=curves_home)


def test_no_further_column_of_a_file_is_a_choice_too(
    folder: Path, curves_home: Home, spark: SparkSession
) -> None:
    inputs = nest(folder, "one")
    inputs["sources"] |= {"columns": []}
    params = {"bands": BANDS}
    outcome = run(curves_home, spark, "bare", inputs, params)
    assert outcome.record.phase == "COMPLETED"
    assert "visit" not in open_output(curves_home, "bare").schema


@pytest.mark.parametrize("kinds", [("int32", "int64"), ("uint64", "int64"), ("int64", "int32")])
@pytest.mark.parametrize("reach", [None, "1 arcsec"])
def test_identifiers_of_several_widths_are_compared(
    home: Home, spark: SparkSession, tmp_path: Path, kinds: tuple[str, str], reach: str | None
) -> None:
    """One of either side is too large for the type of the other, and has no partner there."""
    large = {"int32": 7, "int64": 2**32 + 1, "uint64": 2**64 - 1}
    sources, objects = (np.array([1, 2, large[kind]], dtype=kind) for kind in kinds)
    places = {"ra": [10.0, 20.0, 30.0], "dec": [1.0, 2.0, 3.0]}
    for name, ids, more in (
        ("sources", sources, {"time": [1.0, 2, 3], "flux": [1.0, 2, 3], **places}),
        ("objects", objects, places),
    ):
        pq.write_table(pa.table({"id": ids, **more}), tmp_path / f"{name}.parquet")
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(tmp_path / f"{name}.parquet")}},
            "params": {"roles": {"id": "id"}},
            "outputs": {"table": {"table": name}},
        }
        run_job(parse_job(content), home=home, spark=spark)
    inputs = {name: {"table": name} for name in ("sources", "objects")}
    params = {} if reach is None else {"reach": reach}
    outcome = run(home, spark, "curves", inputs, params)
    assert sorted(row["id"] for row in read(home, "curves")) == [1, 2]
    assert outcome.record.metrics["epochs_without_object"] == 1


def test_times_beyond_the_digits_of_a_double_keep_theirs(
    home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    time = 1_700_000_000_000_000_001 + np.arange(5)[::-1]
    rows = {"id": [1] * 5, "ra": [1.0] * 5, "dec": [2.0] * 5, "time": time, "flux": [1.0] * 5}
    pq.write_table(pa.table(rows), tmp_path / "fine.parquet")
    run(home, spark, "curves", {"sources": {"path": str(tmp_path / "fine.parquet")}}, {})
    assert read(home, "curves")[0]["time"] == sorted(time.tolist())


def test_bands_that_are_left_out_leave_no_counts(curves_home: Home, spark: SparkSession) -> None:
    inputs = {"lightcurves": {"table": "curves"}}
    run(curves_home, spark, "green", inputs, {"bands": ["g"]})
    rows = read(curves_home, "green")
    assert "n_epochs_r" not in rows[0]
    assert all(row["n_epochs"] == row["n_epochs_g"] for row in rows)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        (
            pa.string(),
            ("sources", "objects"),
            r"Column `star` of the sources is string, .* `objectId` of the objects is int64; id",
        ),
        (pa.float64(), ("sources",), "Column `star` of the sources is double; identifiers must"),
    ],
)
def test_identifiers_that_cannot_be_compared_are_told(
    folder: Path, curves_home: Home, tmp_path: Path, kind: Any, inputs: Any, message: str
) -> None:
    rows = pq.read_table(folder / "one.parquet")
    place = rows.schema.get_field_index("star")
    pq.write_table(
        rows.set_column(place, "star", rows["star"].cast(kind)), tmp_path / "odd.parquet"
    )
    given = nest(folder, "one")
    given["sources"]["path"] = str(tmp_path / "odd.parquet")
    content = {
        "job": "lightcurves",
        "inputs": {name: given[name] for name in inputs},
        "params": PARAMS,
        "outputs": {"lightcurves": {"table": "new"}},
    }
    with pytest.raises(SchemaError, match=message):
        plan_job(parse_job(content), home=curves_home)


def test_missing_inputs_and_roles_are_told(folder: Path, curves_home: Home) -> None:
    def plan(inputs: dict[str, Any], **params: Any) -> None:
        content = {
            "job": "lightcurves",
            "inputs": inputs,
            "params": PARAMS | params,
            "outputs": {"lightcurves": {"table": "new"}},
        }
        plan_job(parse_job(content), home=curves_home)

    with pytest.raises(ParameterError, match=r"needs `inputs\.sources`"):
        plan({})
    inputs = nest(folder, "one")
    inputs["sources"]["roles"] = {k: v for k, v in ROLES.items() if k != "flux"}
    with pytest.raises(SchemaError, match=r"`inputs\.sources` does not say its `flux`"):
        plan(inputs)
    inputs = nest(folder, "one")
    inputs["objects"]["columns"] = ["teff", "nothing"]
    with pytest.raises(SchemaError, match="Column `nothing` is not in table"):
        plan(inputs)
    with pytest.raises(ParameterError, match="left` keeps objects"):
        plan({"sources": nest(folder, "one")["sources"]}, how="left")


def test_updates_are_of_this_job_alone(folder: Path, curves_home: Home) -> None:
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(folder / "objects.parquet")}},
        "params": {"roles": {"id": "objectId"}},
        "outputs": {"table": {"table": "objects", "mode": "update"}},
    }
    with pytest.raises(ParameterError, match="cannot be update: the job ingest"):
        plan_job(parse_job(content), home=curves_home)


def test_history_names_what_was_replaced(folder: Path, spark: SparkSession, tmp_path: Path) -> None:
    home = Home(tmp_path / "log")
    home.validate_writable()
    run(home, spark, "curves", nest(folder, "one"), cells=6)
    inputs = nest(folder, "two") | {"lightcurves": {"table": "curves"}}
    metrics = run(home, spark, "curves", inputs, mode="update").record.metrics
    log = home.warehouse / "curves" / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum("remove" in action for action in actions) == metrics["files_rewritten"]
    assert sum("add" in action for action in actions) == metrics["files_written"]
    assert not any("metaData" in action for action in actions)
