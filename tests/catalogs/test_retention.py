"""Until when a version can be read, by what the table says and by what Delta takes else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.retention import find_deadline, read_retention

FILES, LOG = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"


@pytest.mark.parametrize(
    ("properties", "kept"),
    [
        ({}, timedelta(days=7)),
        ({FILES: "interval 60 days"}, timedelta(days=30)),
        ({FILES: "interval 36 hours", LOG: "interval 3650 days"}, timedelta(hours=36)),
        ({FILES: "90 days", LOG: "INTERVAL 2 weeks 3 days"}, timedelta(days=17)),
        ({FILES: "interval 3650 days", LOG: "interval 3650 days"}, timedelta(days=3650)),
    ],
)
def test_the_shorter_interval_counts(properties: dict[str, str], kept: timedelta) -> None:
    assert read_retention(properties) == kept


def test_deadline_counts_from_the_commit_of_the_version(tmp_path: Path) -> None:
    place = str(tmp_path)
    write_deltalake(place, pa.table({"id": [1]}))
    write_deltalake(place, pa.table({"id": [2]}), mode="append")
    first, second = (find_deadline(open_table(place, version=version)) for version in (0, 1))
    made = [c.timestamp_ms / 1000 for c in sorted(read_history(place), key=lambda c: c.version)]
    assert first == datetime.fromtimestamp(made[0], UTC) + timedelta(days=7)
    assert second == datetime.fromtimestamp(made[1], UTC) + timedelta(days=7)
    assert first < second


def test_long_retention_has_no_deadline(tmp_path: Path) -> None:
    long = {FILES: "interval 3650 days", LOG: "interval 3650 days"}
    write_deltalake(str(tmp_path), pa.table({"id": [1]}), configuration=long)
    assert find_deadline(open_table(str(tmp_path))) is None
