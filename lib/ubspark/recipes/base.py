"""What a job is to the runner: its name, its parameters, what it plans and what it makes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.digests import ContentDigest
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.filters import Condition
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.schema import TableSchema
from ubspark.catalogs.sources import Source
from ubspark.catalogs.writers import RowTask, WrittenRows
from ubspark.figures import Figure, Table
from ubspark.sky.regions import Region

__all__ = [
    "ANY_NAME",
    "Fact",
    "JobInput",
    "JobResult",
    "OutputFolder",
    "OutputTable",
    "Params",
    "Recipe",
    "Summary",
    "TableUpdate",
    "Workspace",
    "count_pieces",
    "is_one_machine",
]


#: The name of an input that stands for inputs of any name.
ANY_NAME = "*"


class Params(BaseModel):
    """Base of the parameters of a job: frozen, and no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class JobInput:
    """An input, opened: a catalog at one state, or a file to ingest; one of the two is set."""

    name: str
    table: Catalog | None = None
    source: Source | None = None
    #: Rows that count: those in the region that meet the condition; None for all.
    region: Region | None = None
    where: Condition | None = None
    #: Payload columns asked for; None where the file does not say.
    columns: tuple[str, ...] | None = None
    #: Column roles that override those of the table.
    roles: Mapping[str, str] = field(default_factory=dict)
    #: Short name, for suffixes.
    short_name: str = ""


@dataclass(frozen=True)
class Workspace:
    """What a recipe may use while it runs."""

    spark: SparkSession
    #: A folder, by path or URI, that all workers see; of this run alone, removed at its end.
    scratch: str
    #: How to cut the work; never part of the run key.
    n_cells: int | None = None
    #: Outputs whose own files are replaced where they change, and nowhere else.
    updates: frozenset[str] = frozenset()
    #: How to bring the rows of a match together.
    plan: Literal["auto", "cells", "broadcast", "shuffle"] = "auto"

    @property
    def parallelism(self) -> int:
        """Pieces of work to make at least: two for each task that can run at once."""
        return count_pieces(self.spark.sparkContext.defaultParallelism)

    @property
    def is_local(self) -> bool:
        """Whether tasks run on this very machine."""
        return is_one_machine(self.spark.sparkContext.master or "")


def is_one_machine(master: str) -> bool:
    """Whether tasks run on the machine of the driver."""
    return master.startswith("local")


def count_pieces(n_slots: int) -> int:
    """Return how many pieces of work to make at least for tasks that can run at once."""
    return 2 * n_slots


class TableUpdate(Protocol):
    """What written rows replace of the table that they go to; known once they are written."""

    def find_removed(self, written: WrittenRows) -> tuple[str, ...]:
        """Return the files, by path or URI, that are no part of the new version."""

    def find_digest(self, written: WrittenRows) -> ContentDigest:
        """Return the digest of all rows of the new version."""


@dataclass(frozen=True)
class OutputTable:
    """A table that a job makes, not yet computed.

    Attributes
    ----------
    frame, task
        The tasks and what each of them does (``catalogs.writers.write_rows``).
    properties
        Table properties, roles among them.
    update
        Of an output in the mode update: what its rows replace.
    """

    frame: DataFrame
    schema: TableSchema
    properties: Mapping[str, str]
    constraints: tuple[Constraint, ...] = ()
    task: RowTask | None = None
    update: TableUpdate | None = None


@dataclass(frozen=True)
class OutputFolder:
    """A folder of files that a job makes, not yet written.

    Attributes
    ----------
    kind
        Format of the files.
    write
        Writes them where no reader sees them yet.
    """

    kind: str
    write: Callable[[StagingFolder], WrittenFolder]


@dataclass(frozen=True)
class Summary:
    """What there is to say about a run once its rows are written."""

    metrics: Mapping[str, float]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    #: Sentences for the user: what was done to the data, what looks wrong.
    notes: Sequence[str] = ()
    #: Shown on the page of the run, below the pictures.
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class JobResult:
    """The outputs of a job, and how to sum them up when they are written."""

    tables: Mapping[str, OutputTable | OutputFolder]
    #: Called with what was written: `WrittenRows` of a table, `WrittenFolder` of a folder.
    summarise: Callable[[Mapping[str, Any]], Summary]


@dataclass(frozen=True)
class Fact:
    """One line of a plan."""

    name: str
    value: float | str
    unit: str = ""


class Recipe(Protocol):
    """A job.

    ``validate`` looks at parameters and schemas only and raises what the user must hear;
    ``plan`` reads metadata only; ``run`` returns tables that are not yet computed.
    """

    name: str
    version: str
    #: Names of the inputs, and what each is: a ``table``, a ``file``, ``rows``, either of the
    #: two, or a ``catalog``, a table or a file that is sorted for the run. ``?`` after it marks
    #: one that may be left out; the name ``*`` is any further name.
    inputs: Mapping[str, str]
    #: Model of the parameters, a subclass of `Params`.
    params: Any

    @property
    def outputs(self) -> Sequence[str] | Mapping[str, str]:
        """Names of the outputs; a mapping says which of them is a ``folder``, not a table."""

    def resolve(self, inputs: Mapping[str, JobInput], params: Any) -> Any:
        """Return the parameters with everything automatic made explicit; check them."""

    def plan(
        self, inputs: Mapping[str, JobInput], params: Any, *, n_cells: int | None, parallelism: int
    ) -> list[Fact]:
        """Return what the job would read and do, in how many pieces at least."""

    def run(self, inputs: Mapping[str, JobInput], params: Any, workspace: Workspace) -> JobResult:
        """Return what the job makes."""
