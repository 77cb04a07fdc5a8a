"""What the tracking store would know of a run, from its commits alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.export.manifest import read_manifest
from ubspark.errors import UbsparkError
from ubspark.lineage.entities import Made
from ubspark.lineage.tracking import FolderRecord, OutputRecord

__all__ = ["collect_tags", "describe_made", "rebuild_messages"]


def rebuild_messages(
    run_id: str,
    made: Sequence[Made],
    *,
    started_ms: int | None,
    metrics: Mapping[str, float],
    artifacts: Path,
) -> list[dict[str, Any]]:
    """Return the start and the end of a run as `Tracker` would have sent them.

    Parameters
    ----------
    made
        What the run made, one commit or manifest at least.
    started_ms
        When it began; that of its first commit where nobody knows.
    """
    spec, record = made[0].spec, made[0].record or {}
    outputs = {part.output: describe_made(part).to_json() for part in made}
    moments = [part.timestamp_ms for part in made if part.timestamp_ms is not None]
    counted = {
        "output_rows": float(sum(output["n_rows"] for output in outputs.values())),
        "output_bytes": float(sum(output["n_bytes"] for output in outputs.values())),
    }
    first = min(moments, default=None) if started_ms is None else started_ms
    tags = collect_tags(spec, record.get("code", {}))
    return [
        {"event": "start", "run": run_id, "spec": spec, "tags": tags, "time_ms": first},
        {
            "event": "finish",
            "run": run_id,
            "status": "FINISHED" if outputs.keys() == spec["outputs"].keys() else "FAILED",
            "time_ms": max(moments, default=None),
            "metrics": counted | dict(metrics),
            "outputs": outputs,
            "artifacts": str(artifacts),
        },
    ]


def describe_made(made: Made) -> OutputRecord | FolderRecord:
    """Return the record of an output; rows and bytes are 0 where they cannot be read any more."""
    entity, digest = made.entity, str((made.record or {}).get("digest"))
    if entity.kind != "delta":
        found = read_manifest(Path(entity.uri))
        n_files = len(found.files)
        return FolderRecord(
            entity.uri, found.kind, digest, found.n_rows, found.n_bytes, n_files=n_files
        )
    version = entity.version or 0
    try:
        table = open_table(entity.uri, version=version)
        n_rows, n_bytes = table.n_rows, table.n_bytes
    except UbsparkError:
        n_rows = n_bytes = 0
    return OutputRecord(entity.uri, entity.identity, version, digest, n_rows, n_bytes)


def collect_tags(spec: Mapping[str, Any], code: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a run whose record is made anew; its code may not be known."""
    run = spec["run"]
    tags = {str(key): str(value) for key, value in run.get("tags", {}).items()}
    tags |= {f"ubspark.{key}": str(value) for key, value in run.items() if key != "tags"}
    tags |= {"mlflow.user": str(run.get("user")), "mlflow.source.name": f"ubspark {spec['job']}"}
    tags["ubspark.rebuilt"] = "true"
    if "sha256" in code:
        tags["ubspark.code.sha256"] = str(code["sha256"])
    if "git" in code:
        tags["mlflow.source.git.commit"] = str(code["git"])
    return tags
