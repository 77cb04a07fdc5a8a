"""Credentials come from the environment and stay there."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket import BUCKET, Store, describe_match, start
from pyspark.sql import SparkSession

from ubspark.runtime.home import Home

pytestmark = [pytest.mark.s3, pytest.mark.spark]


@pytest.fixture(scope="module")
def traces(home_with_tables: Home, tmp_path_factory: pytest.TempPathFactory, store: Store) -> Path:
    """The folder of a run's event log and output; everything else is in the home and the bucket."""
    folder = tmp_path_factory.mktemp("traces")
    (folder / "events").mkdir()
    job = describe_match(f"s3a://{BUCKET}/stars", f"s3a://{BUCKET}/moved", f"s3a://{BUCKET}/secret")
    job["resources"]["spark"] = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").as_uri(),
        "spark.eventLog.compress": "false",
    }
    process = start(job, home_with_tables, folder / "job.yaml")
    out, err = process.communicate()
    assert process.returncode == 0, err
    (folder / "said").write_text(out + err)
    return folder


def read_files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield path, gzip.decompress(content) if path.suffix == ".gz" else content


def test_no_secret_is_in_event_log_record_commit_or_output(
    traces: Path, home_with_tables: Home, store: Store
) -> None:
    searched = 0
    for folder in (traces, home_with_tables.path, store.folder / "objects"):
        for path, content in read_files(folder):
            searched += 1
            for secret in store.secrets:
                assert secret.encode() not in content, path
    assert searched > 20


def test_the_search_would_find_them(traces: Path, store: Store) -> None:
    """The event log is there, of a run on this store, and tells the settings of hadoop-aws."""
    events = b"".join(content for _, content in read_files(traces / "events"))
    assert b"SparkListenerEnvironmentUpdate" in events
    assert store.endpoint.encode() in events
    assert b"fs.s3a.access.key" in events


def test_no_secret_is_in_the_settings_of_spark(spark: SparkSession, store: Store) -> None:
    settings = str(spark.sparkContext.getConf().getAll()) + str(spark.sql("SET -v").collect())
    assert "fs.s3a.endpoint.region" in settings
    for secret in store.secrets:
        assert secret not in settings
        assert secret in os.environ.values()
