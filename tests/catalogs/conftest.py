"""Writing small Delta tables the direct way."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.commit import TableCommit, WriteMode, commit_files, prepare_folder
from ubspark.catalogs.parquet_sink import Constraint, ParquetSink
from ubspark.catalogs.schema import TableColumn, TableSchema

Put = Callable[..., int]


@pytest.fixture(scope="session")
def put(spark: SparkSession) -> Put:
    """Return a function that writes rows here, without a Spark job, and commits them."""

    def put_it(
        folder: Path,
        *files: pa.Table,
        schema: TableSchema | None = None,
        mode: WriteMode = "error",
        base: int = -1,
        properties: Mapping[str, str] | None = None,
        constraints: tuple[Constraint, ...] = (),
        app_id: str = "ubspark:key:matches",
        metadata: Mapping[str, Any] | None = None,
        is_once: bool = False,
    ) -> int:
        found = schema or describe(files[0].schema)
        prepare_folder(str(folder))
        sink = ParquetSink(str(folder), found.to_arrow(), constraints)
        written = [file for rows in files for file, _ in sink.write([rows]) if file is not None]
        commit = TableCommit(
            uri=str(folder),
            mode=mode,
            base_version=base,
            schema=found,
            properties=properties or {},
            constraints=constraints,
            files=tuple(written),
            app_id=app_id,
            metadata=metadata or {"ubspark": 1, "key": "key", "output": "matches"},
            is_once=is_once,
        )
        return commit_files(spark, commit)

    return put_it


def describe(schema: pa.Schema) -> TableSchema:
    """Return the schema of a table as Arrow's, without units."""
    return TableSchema(tuple(TableColumn(f.name, f.type, f.nullable) for f in schema))
