"""The leases of a run on the tables that it writes in object stores."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from pyspark.sql import SparkSession

from ubspark.catalogs.hadoop_object import HadoopObject
from ubspark.catalogs.lease import LEASE_NAME, hold_lease
from ubspark.catalogs.object_store import is_object_store
from ubspark.runtime.freeze import PreparedJob

__all__ = ["Leases", "hold_leases", "uses_object_store"]


class _Renewable(Protocol):
    def renew(self) -> None:
        """Renew it, or raise where it passed on."""


@dataclass(frozen=True)
class Leases:
    """What a run holds, by output; outputs elsewhere need none."""

    held: dict[str, _Renewable]

    def renew(self, name: str) -> None:
        """Make sure, right before a commit, that the run is the only writer of an output.

        Raises
        ------
        TransientError
            If its lease passed on to another run.
        """
        if name in self.held:
            self.held[name].renew()


@contextmanager
def hold_leases(job: PreparedJob, run_id: str, spark: SparkSession) -> Iterator[Leases]:
    """Hold the leases of all outputs in object stores, always in one order, while the body runs.

    Raises
    ------
    TransientError
        If another run is writing one of the tables.
    """
    holder = {"run": run_id, "host": socket.gethostname()}
    with ExitStack() as stack:
        held: dict[str, _Renewable] = {}
        for name in sorted(job.spec.outputs, key=job.get_output_uri):
            uri = job.get_output_uri(name)
            if is_object_store(uri):
                found = HadoopObject(spark, f"{uri}/{LEASE_NAME}")
                held[name] = stack.enter_context(hold_lease(found, uri, holder=holder))
        yield Leases(held)


def uses_object_store(job: PreparedJob) -> bool:
    """Whether a job reads or writes a table in an object store."""
    inputs = (given.table.uri for given in job.inputs.values() if given.table is not None)
    outputs = (job.get_output_uri(name) for name in job.spec.outputs)
    return any(is_object_store(uri) for uri in (*inputs, *outputs))
