"""From any table version to its sources and back, by the commits alone."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from ubspark.errors import InputMissingError
from ubspark.lineage.audit import audit
from ubspark.lineage.formats import to_dot, to_json, to_tree
from ubspark.lineage.graph import LineageGraph, trace_down, trace_up
from ubspark.lineage.page import to_html
from ubspark.lineage.prov import to_prov
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, list_roots, open_ledger
from ubspark.runtime.records import iterate_records
from ubspark.runtime.run_job import run_job
from ubspark.runtime.sync import rebuild_tracking

pytestmark = pytest.mark.spark


@pytest.fixture
def no_mlflow(chain_home: Home) -> Iterator[Home]:
    """The chain without the database of MLflow."""
    database = chain_home.path / "mlflow.db"
    hidden = database.rename(chain_home.path / "hidden.db")
    yield chain_home
    database.unlink(missing_ok=True)
    hidden.rename(database)


def trace(home: Home, what: str, *, down: bool = False) -> LineageGraph:
    ledger = open_ledger(home)
    graph = LineageGraph(find_entity(what, home, ledger))
    return trace_down(ledger, graph) if down else trace_up(ledger, graph)


def names(graph: LineageGraph) -> set[str]:
    return {entity.name for entity in graph.entities.values()}


def jobs(graph: LineageGraph) -> list[str]:
    return sorted(made.spec["job"] for made in graph.runs.values())


def test_match_comes_from_the_files_that_were_ingested(no_mlflow: Home) -> None:
    graph = trace(no_mlflow, "pairs@v0")
    assert graph.is_closed
    assert jobs(graph) == ["crossmatch", "ingest", "ingest"]
    assert names(graph) == {"pairs@v0", "stars@v0", "moved@v0", "stars.csv", "moved.csv"}
    (source,) = (entity for entity in graph.entities.values() if entity.name == "stars.csv")
    assert len(source.files) == 1
    assert not (no_mlflow.path / "mlflow.db").exists()


def test_append_holds_what_was_there_before(no_mlflow: Home) -> None:
    graph = trace(no_mlflow, "pairs@v1")
    assert "pairs@v0" in names(graph)
    assert jobs(graph) == ["crossmatch", "crossmatch", "ingest", "ingest"]


def test_everything_made_of_a_table_is_found(no_mlflow: Home) -> None:
    graph = trace(no_mlflow, "stars@v0", down=True)
    assert jobs(graph) == ["crossmatch", "crossmatch", "export"]
    assert {"pairs@v0", "pairs@v1", "pairs"} <= names(graph)


def test_folder_made_outside_the_home_is_found_and_traced(no_mlflow: Home) -> None:
    folder = no_mlflow.path.parent / "outside" / "pairs"
    assert folder in list_roots(no_mlflow)
    graph = trace(no_mlflow, str(folder))
    assert graph.is_closed
    assert {"pairs@v0", "stars.csv"} <= names(graph)


def test_every_output_resolves(no_mlflow: Home) -> None:
    found = audit(open_ledger(no_mlflow))
    assert (found.n_outputs, found.closed_percent) == (5, 100.0)
    assert found.damaged == {}


def test_table_that_is_gone_is_an_open_end(no_mlflow: Home) -> None:
    stars = no_mlflow.warehouse / "stars"
    hidden = stars.rename(no_mlflow.path / "hidden")
    try:
        graph = trace(no_mlflow, "pairs@v0")
        (reason,) = graph.unresolved.values()
        assert "stars@v0" in reason
        assert audit(open_ledger(no_mlflow)).closed_percent == pytest.approx(25.0)
    finally:
        hidden.rename(stars)


def test_export_that_was_read_and_is_gone_is_an_open_end(
    chain_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    """Unlike files from elsewhere, whose digest is all that there is to know."""
    home = Home(tmp_path / "home")
    shutil.copytree(chain_home.path, home.path, ignore=shutil.ignore_patterns("ml*"))
    for form in ("hats", "parquet"):
        folder = tmp_path / form
        export = {
            "job": "export",
            "inputs": {"table": {"table": "stars"}},
            "params": {"format": form},
            "outputs": {"folder": {"path": str(folder)}},
        }
        run_job(parse_job(export), home=home, spark=spark)
        back = {
            "job": "ingest",
            "inputs": {"source": {"path": str(folder)}},
            "params": {"roles": {"id": "id"}},
            "outputs": {"table": {"table": f"back_{form}"}},
        }
        made = run_job(parse_job(back), home=home, spark=spark)
        assert trace(home, f"back_{form}").is_closed
        assert made.record.run_id not in trace(home, f"back_{form}").unresolved
        shutil.rmtree(folder)
        (reason,) = trace(home, f"back_{form}").unresolved.values()
        assert re.search(rf"The export `.*/{form}` of run .* is in no place known here", reason)
    assert {Path(place).name for place in audit(open_ledger(home)).open_ends} == {
        "back_hats@v0",
        "back_parquet@v0",
    }


def test_table_that_was_moved_is_known_by_its_id(no_mlflow: Home) -> None:
    stars = no_mlflow.warehouse / "stars"
    moved = stars.rename(no_mlflow.warehouse / "suns")
    try:
        assert trace(no_mlflow, "pairs@v0").is_closed
    finally:
        moved.rename(stars)


def test_commit_of_another_program_is_an_open_end(
    no_mlflow: Home, spark: SparkSession, tmp_path: Path
) -> None:
    (no_mlflow.path / "config.yaml").write_text(f"roots: [{tmp_path}]\n")
    place = str(tmp_path / "foreign")
    spark.range(3).write.format("delta").save(place)
    try:
        graph = trace(no_mlflow, place)
        assert list(graph.foreign) == [graph.root.key]
        found = audit(open_ledger(no_mlflow))
        assert list(found.open_ends) == [f"{place}@v0"]
        assert found.n_outputs == 6
    finally:
        (no_mlflow.path / "config.yaml").unlink()


def test_version_that_is_not_there_is_named(chain_home: Home) -> None:
    with pytest.raises(InputMissingError, match="has no version 7; the latest is 1"):
        find_entity("pairs@v7", chain_home, open_ledger(chain_home))


def test_forms_say_the_same(no_mlflow: Home) -> None:
    graph = trace(no_mlflow, "pairs@v0")
    content = json.loads(json.dumps(to_json(graph)))
    assert content["closed"] is True
    assert len(content["runs"]) == 3
    tree = to_tree(graph, down=False)
    assert tree.count("run ") == 3
    assert "left: " in tree
    dot = to_dot(graph)
    assert dot.count("->") == len(graph.links)


def test_prov_has_every_relation(no_mlflow: Home) -> None:
    graph = trace(no_mlflow, "pairs@v1")
    document = json.loads(json.dumps(to_prov(graph)))
    assert len(document["activity"]) == 4
    assert len(document["wasGeneratedBy"]) == 4
    assert len(document["wasDerivedFrom"]) == 1
    nodes = {*document["entity"], *document["activity"], *document["agent"]}
    for relation in ("used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith"):
        for link in document[relation].values():
            ends = {v for k, v in link.items() if k != "prov:role"}
            assert ends <= nodes


def test_prov_is_read_by_the_library_of_the_field(no_mlflow: Home) -> None:
    model = pytest.importorskip("prov.model", reason="`prov` is in the group dev.")
    text = json.dumps(to_prov(trace(no_mlflow, "pairs@v1")))
    document = model.ProvDocument.deserialize(content=text, format="json")
    counts = {
        kind: len(list(document.get_records(getattr(model, kind))))
        for kind in ("ProvActivity", "ProvGeneration", "ProvUsage", "ProvDerivation", "ProvAgent")
    }
    assert counts == {
        "ProvActivity": 4,
        "ProvGeneration": 4,
        "ProvUsage": 6,
        "ProvDerivation": 1,
        "ProvAgent": 1,
    }
    again = model.ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document
    (person,) = document.get_records(model.ProvAgent)
    assert str(person.get_asserted_types().pop()) == "prov:Person"
    classes = {
        str(value)
        for record in document.get_records(model.ProvActivity)
        for name, value in record.attributes
        if str(name) == "voprov:type"
    }
    assert classes == {"Activity"}


def test_page_shows_every_box_and_arrow_and_needs_nothing_else(no_mlflow: Home) -> None:
    graph = trace(no_mlflow, "pairs@v1")
    page = to_html(graph)
    (drawing,) = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    root = ElementTree.fromstring(drawing)
    space = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{space}g/{space}rect")
    assert len(boxes) == len(graph.entities) + len(graph.runs)
    assert len(root.findall(f"{space}path")) == len(graph.links)
    # No box lies on another, and every arrow leads to the right.
    corners = {(float(box.get("x", 0)), float(box.get("y", 0))) for box in boxes}
    assert len(corners) == len(boxes)
    for path in root.findall(f"{space}path"):
        x = re.findall(r"[MC ]([\d.]+) [\d.]+", path.get("d", ""))
        assert float(x[0]) < float(x[-1])
    outside = set(re.findall(r'(?:href|src)="|url\(([^)#]+)\)|@import', page))
    assert outside == set()
    for name in (*names(graph), "ingest", "crossmatch"):
        assert name in page
    assert "Everything resolves" in page


def test_page_marks_what_does_not_resolve_and_escapes_names(no_mlflow: Home) -> None:
    stars = no_mlflow.warehouse / "stars"
    hidden = stars.rename(no_mlflow.path / "hidden")
    try:
        graph = trace(no_mlflow, "pairs@v0")
    finally:
        hidden.rename(stars)
    (key,) = graph.unresolved
    graph.entities[key] = replace(graph.entities[key], uri="/data/<script>&stars")
    page = to_html(graph)
    assert "1 open ends" in page
    assert "<script>" not in page
    assert "&lt;script&gt;&amp;stars" in page


def test_tracking_is_made_anew_from_commits(chain_home: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(chain_home.path, home.path, ignore=shutil.ignore_patterns("ml*"))
    n_runs = len(list(iterate_records(home.runs)))
    assert rebuild_tracking(home) == {"rebuilt": n_runs, "known": 0}
    assert rebuild_tracking(home) == {"rebuilt": 0, "known": n_runs}
    client = MlflowClient(home.tracking_uri)
    experiment = client.get_experiment_by_name("crossmatch")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "datasets.name = 'stars@v0'")
    assert len(runs) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.params["association_only"] for run in runs} == {"true"}
    outputs = {run.data.tags["ubspark.output.matches"].rsplit("/", 1)[-1][:8] for run in runs}
    assert outputs == {"pairs@v0", "pairs@v1"}
    for run in runs:
        folder = chain_home.runs / run.data.tags["ubspark.run_id"]
        known = json.loads((folder / "record.json").read_text())
        assert run.info.start_time == int(known["started"] * 1000)
        assert run.data.metrics["seconds"] == known["metrics"]["seconds"]


def test_runs_whose_tables_are_gone_are_told_by_their_records(
    chain_home: Home, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(chain_home.path, home.path, ignore=shutil.ignore_patterns("ml*"))
    shutil.rmtree(home.warehouse / "stars")
    records = {record.run_id: record for record in iterate_records(home.runs)}
    lost = next(r for r in records.values() if r.job == "ingest" and "stars" in str(r.outputs))
    broken = next(r for r in records.values() if r.job == "ingest" and r is not lost)
    shutil.rmtree(home.warehouse / "moved")
    (broken.folder / "spec.json").write_text("{")
    with pytest.warns(UserWarning, match=f"Run {broken.run_id} cannot be told"):
        counts = rebuild_tracking(home)
    assert counts == {"rebuilt": len(records) - 1, "known": 0, "broken": 1}
    client = MlflowClient(home.tracking_uri)
    experiment = client.get_experiment_by_name("ingest")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["ubspark.run_id"] == lost.run_id
    assert run.info.status == "FINISHED"
    assert run.data.metrics["output_rows"] == lost.metrics["output_rows"]
    assert "stars@v0" in run.data.tags["ubspark.output.table"]
