"""Pages and pictures of a run."""

from ubspark.reports.page import write_report

__all__ = ["write_report"]
