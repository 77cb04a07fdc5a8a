"""Where the rows of an export come from, as its files say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """The table of an export, and the run that made it.

    Attributes
    ----------
    table
        The table with its version, or the catalog.
    table_id
        Of a Delta table; None for a catalog that keeps none.
    selection
        ``region`` and ``where``, if only a part was taken.
    key
        Run key: equal exports have equal ones.
    run_id
        None in files that are written before the export is complete: another run may take it up.
    """

    table: str
    table_id: str | None = None
    selection: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    run_id: str | None = None

    def of_run(self, run_id: str) -> "Origin":
        """Return it with the run that completed the export."""
        return replace(self, run_id=run_id)

    def to_entries(self) -> dict[str, str]:
        """Return the facts by name, those that are known."""
        facts = {
            "table": self.table,
            "table_id": self.table_id,
            **self.selection,
            "run_key": self.key,
            "run_id": self.run_id,
        }
        return {f"ubspark_{name}": str(value) for name, value in facts.items() if value}

    def to_file_entries(self) -> dict[str, str]:
        """Return them for a file of rows, which is the same wherever its table lies."""
        return {**self.to_entries(), "ubspark_table": self.table.rstrip("/").rpartition("/")[2]}
