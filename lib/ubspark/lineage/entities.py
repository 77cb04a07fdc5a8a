"""What lineage links: table versions, folders and files, and the runs that made them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ubspark.lineage.spec import SPEC_VERSION

__all__ = ["Entity", "Kind", "Made", "is_whole", "list_used"]

Kind = Literal["delta", "folder", "files", "hats", "model"]


@dataclass(frozen=True)
class Entity:
    """Data at one state.

    Attributes
    ----------
    uri
        Where a run found or made it.
    identity
        Id of the Delta table, or digest of the files.
    version
        Of a Delta table.
    files
        SHA-256 of files, where the record lists them.
    read_by
        Id of the run that read it, where that is known: what was made later is not it.
    made_by
        Id of the run that exported it, where its reader saw that one did.
    content
        What the commit of a table version says of its rows, where that is known.
    """

    kind: Kind
    uri: str
    identity: str
    version: int | None = None
    files: tuple[str, ...] = field(default=(), compare=False)
    read_by: str = field(default="", compare=False)
    made_by: str = field(default="", compare=False)
    content: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """What is the same wherever the data lie."""
        return self.identity if self.version is None else f"{self.identity}@v{self.version}"

    def is_same(self, other: "Entity") -> bool:
        """Whether two are one; of copies of a table with one id, those with one content."""
        are_known = bool(self.content and other.content)
        return self.key == other.key and (not are_known or self.content == other.content)

    @property
    def place(self) -> str:
        """The place with the version, as a user would name it."""
        return self.uri if self.version is None else f"{self.uri}@v{self.version}"

    @property
    def name(self) -> str:
        """The last part of the place, with the version."""
        return self.place.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Made:
    """One commit of a table, or one folder with a manifest.

    Attributes
    ----------
    timestamp_ms
        When it was committed; None for a folder, whose manifest does not say.
    operation
        What Delta calls it.
    changed_data
        Whether rows may have changed.
    record
        What ubspark wrote into it; None for a commit of somebody else.
    """

    entity: Entity
    timestamp_ms: int | None
    operation: str
    changed_data: bool
    record: Mapping[str, Any] | None

    @property
    def run(self) -> str | None:
        """Id of the run that made it."""
        return None if self.record is None or "run" not in self.record else str(self.record["run"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """The frozen spec of that run."""
        spec: Mapping[str, Any] = (self.record or {}).get("spec", {})
        return spec

    @property
    def output(self) -> str:
        """Which output of the run it is."""
        return str((self.record or {}).get("output"))

    @property
    def adds_to_version(self) -> bool:
        """Whether the rows of the version before are still there."""
        if self.run is None:
            return self.operation not in ("CREATE TABLE", "CREATE TABLE AS SELECT")
        return bool(self.spec["outputs"][self.output]["mode"] == "append")


def list_used(spec: Mapping[str, Any], run: str | None = None) -> dict[str, Entity]:
    """Return what a run with this spec read, by role: its inputs, and the model it scored with."""
    used = {}
    for role, record in spec["inputs"].items():
        kind, uri = record["kind"], record["uri"]
        if kind == "delta":
            table_id, content = record["table_id"], str(record.get("content", ""))
            used[role] = Entity(kind, uri, table_id, int(record["version"]), content=content)
        else:
            files = tuple(str(file[2]) for file in record.get("files", ()))
            maker = str(record.get("made_by", ""))
            used[role] = Entity(
                kind, uri, record["digest"], files=files, read_by=run or "", made_by=maker
            )
    params = spec["params"]
    if params.get("model") and params.get("model_sha256"):
        sha256 = str(params["model_sha256"])
        used["model"] = Entity("model", str(params["model"]), sha256, files=(sha256,))
    return used


def is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a record says everything that lineage reads, in a form that is known here."""
    try:
        spec = record["spec"]
        list_used(spec)
        known = [record[key] for key in ("run", "key", "digest")]
        known += [spec["job"], spec["job_version"], spec["outputs"][record["output"]]["mode"]]
        parts = [record["code"], spec["params"], spec["run"], spec["resources"]]
        return (
            all(isinstance(fact, str) for fact in known)
            and all(isinstance(part, Mapping) for part in parts)
            and int(spec["spec_version"]) <= SPEC_VERSION
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return False
