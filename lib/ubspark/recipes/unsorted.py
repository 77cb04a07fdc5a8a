"""Files as inputs of a match: rows in any order, which Spark sorts on the sky for the run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from ubspark.catalogs.catalog import Catalog, CatalogLayout
from ubspark.catalogs.commit import prepare_folder
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableSchema
from ubspark.catalogs.sky_sort import PieceTask, SkyKey, count_parts, sort_on_sky
from ubspark.catalogs.sources import Source
from ubspark.catalogs.staging import StagedTable, stage_rows
from ubspark.catalogs.writers import RowTask
from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.plan import plan_cells
from ubspark.crossmatch.spark import create_task_frame
from ubspark.recipes.base import JobInput, OutputTable, Workspace
from ubspark.recipes.ingest import INGEST, IngestParams
from ubspark.recipes.pair_table import get_table
from ubspark.sky.healpix import N_PIXELS_29

__all__ = ["UnsortedTable", "open_unsorted", "stage_inputs"]


@dataclass(frozen=True, eq=False)
class UnsortedTable:
    """A file seen as the catalog that it will be; implements the protocol of catalogs.

    Until it is sorted nothing is known of its values.
    """

    source: Source
    params: IngestParams
    schema: TableSchema
    roles: CatalogRoles
    is_catalog: bool = True

    def __str__(self) -> str:
        """Return the path."""
        return f"{self.source.path} (to be sorted)"

    @property
    def uri(self) -> str:
        """The path."""
        return self.source.path

    @property
    def n_rows(self) -> int:
        """Number of rows, 0 where it is not known."""
        return self.source.n_rows or 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the files, 0 where they are not known."""
        return 0

    @property
    def n_files(self) -> int:
        """Number of the files."""
        return len(self.source.files)

    def read_bounds(self, column: str) -> tuple[float, float] | None:  # noqa: ARG002 - a protocol
        """Return None: nothing is known."""
        return None

    def scan_bounds(self, column: str) -> tuple[float, float]:  # noqa: ARG002 - a protocol
        """Return zeros: a plan cannot know."""
        return 0.0, 0.0

    def count_nulls(self, column: str) -> int:  # noqa: ARG002 - a protocol
        """Return 0: a plan cannot know."""
        return 0

    def to_dataset(self) -> ds.Dataset:
        """Refuse: the rows come through Spark."""
        raise NotImplementedError

    def read_layout(self) -> CatalogLayout:
        """Return one entry that may lie anywhere, for the planner."""
        return _Anywhere(self.schema, self.n_rows)


@dataclass(frozen=True, eq=False)
class _Anywhere:
    """Rows of which only the number is known."""

    schema: TableSchema
    rows: int

    @property
    def low(self) -> NDArray[np.int64]:
        return np.zeros(1, dtype=np.int64)

    @property
    def high(self) -> NDArray[np.int64]:
        return np.full(1, N_PIXELS_29 - 1)

    @property
    def n_rows(self) -> NDArray[np.int64]:
        return np.full(1, self.rows)

    @property
    def n_bytes(self) -> NDArray[np.int64]:
        return np.zeros(1, dtype=np.int64)

    def read(self, ranges: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        raise NotImplementedError

    def refine(self) -> "_Anywhere":
        return self

    def remember(self) -> "_Anywhere":
        return self

    def estimate_share(self, columns: Sequence[str]) -> float:  # noqa: ARG002 - a protocol
        return 1.0


def open_unsorted(
    source: Source,
    roles: Mapping[str, str],
    *,
    epoch: float | None = None,
    pm_includes_cos_dec: bool | None = None,
) -> UnsortedTable:
    """Return the catalog that a file will be.

    Raises
    ------
    UbsparkError
        For what `ubspark ingest` would refuse.
    """
    given = IngestParams(roles=dict(roles), epoch=epoch, pm_includes_cos_dec=pm_includes_cos_dec)
    inputs = {"source": JobInput("source", source=source)}
    params = INGEST.resolve(inputs, given)
    facts = INGEST.foresee(inputs, params)["table"]
    known = CatalogRoles.from_properties(facts.properties)
    return UnsortedTable(source, params, facts.schema, known)


def stage_inputs(inputs: Mapping[str, JobInput], workspace: Workspace) -> dict[str, JobInput]:
    """Sort the inputs that are files, and with the plan ``shuffle`` all of them.

    The rows pass through one shuffle of Spark into the scratch folder of the run; from there on
    every plan is one of sorted tables.
    """
    return {
        name: replace(given, table=_stage(given, workspace))
        if isinstance(given.table, UnsortedTable) or workspace.plan == "shuffle"
        else given
        for name, given in inputs.items()
    }


def _stage(given: JobInput, workspace: Workspace) -> StagedTable:
    table = get_table(given)
    if isinstance(table, UnsortedTable):
        inputs = {"source": JobInput(given.name, source=table.source)}
        made = INGEST.run(inputs, table.params, workspace).tables["table"]
        if not isinstance(made, OutputTable) or made.task is None:
            raise TypeError(made)
        pieces, task = made.frame, made.task
    else:
        pieces, task = _shuffle(table, given.roles, workspace)
    folder = f"{workspace.scratch}/sorted-{given.name}"
    prepare_folder(folder)
    return stage_rows(pieces, task, table.schema, table.roles, folder=folder, uri=table.uri)


def _shuffle(
    table: Catalog, roles: Mapping[str, str], workspace: Workspace
) -> tuple[DataFrame, RowTask]:
    """Return the rows of a table through a sort, as if it were in no order."""
    layout = table.read_layout()
    plan = plan_cells(layout, layout, keep_unplaced=True, parallelism=workspace.parallelism)
    names = table.schema.names

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for cell in plan.iterate_cells(batches):
            yield from layout.read(np.array([cell]), names).select(names).to_batches()

    plain = pa.schema([(field.name, field.type) for field in table.schema.to_arrow()])
    rows = create_task_frame(workspace.spark, plan).mapInArrow(read, from_arrow_schema(plain))
    key = SkyKey(table.roles.override(roles).get("id") or HEALPIX_29.name)
    n_parts = count_parts(table.n_bytes, table.n_rows, plain)
    pieces = sort_on_sky(rows, key, max(workspace.parallelism, n_parts), workspace.spark)
    return pieces, PieceTask(key)
