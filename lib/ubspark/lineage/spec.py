"""The frozen spec of a run, and the key by which equal computations are known."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["SPEC_VERSION", "CatalogInput", "FileInput", "FrozenSpec", "InputRecord", "TableInput"]

SPEC_VERSION = 1


@dataclass(frozen=True)
class TableInput:
    """A table at a version, as a run reads it."""

    uri: str
    table_id: str
    version: int
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Day until which Delta keeps the version, where that is less than a year.
    readable_until: str | None = None
    #: What its commit says of the rows; a copy of the table that went another way says another.
    content: str | None = None
    kind: Literal["delta"] = "delta"

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result, wherever the table lies."""
        known = {} if self.content is None else {"content": self.content}
        return {
            "table_id": self.table_id,
            "version": self.version,
            **known,
            "options": self.options,
        }

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        until = {"readable_until": self.readable_until} if self.readable_until else {}
        return {"kind": self.kind, "uri": self.uri, **self.identity, **until}


@dataclass(frozen=True)
class FileInput:
    """Files that a run reads, known by their content."""

    uri: str
    #: (path below the folder, bytes, sha256) of each file.
    files: Sequence[tuple[str, int, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Id of the run of ubspark that exported them, where one did.
    made_by: str | None = None
    kind: Literal["files"] = "files"

    @property
    def digest(self) -> str:
        """One digest of all files, whatever they are called."""
        listed = sorted(f"{sha256} {n_bytes}" for _, n_bytes, sha256 in self.files)
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result, wherever the files lie."""
        return {"digest": self.digest, "options": self.options}

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        files = [list(file) for file in self.files]
        facts = {"kind": self.kind, "uri": self.uri, "files": files}
        return {**facts, **_name_maker(self.made_by), **self.identity}


@dataclass(frozen=True)
class CatalogInput:
    """A catalog that keeps no versions, known by the manifest of its files."""

    uri: str
    #: Digest of the manifest: path, bytes and digest of each file.
    digest: str
    n_files: int
    n_bytes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Of what the digests are; that of footers stays where a byte changes inside a column.
    known_by: Literal["files", "footers"] = "files"
    #: Id of the run of ubspark that exported it, where one did.
    made_by: str | None = None
    kind: Literal["hats"] = "hats"

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result, wherever the catalog lies."""
        return {"digest": self.digest, "options": self.options}

    def to_json(self) -> dict[str, Any]:
        """Return all of it; the manifest itself may name a hundred thousand files."""
        size = {"n_files": self.n_files, "n_bytes": self.n_bytes}
        facts = {**size, "known_by": self.known_by, **_name_maker(self.made_by)}
        return {"kind": self.kind, "uri": self.uri, **facts, **self.identity}


def _name_maker(run: str | None) -> dict[str, str]:
    return {} if run is None else {"made_by": run}


InputRecord = TableInput | FileInput | CatalogInput


@dataclass(frozen=True)
class FrozenSpec:
    """A job with nothing left open: versions for `latest`, every default written out.

    Attributes
    ----------
    params
        Parameters as JSON.
    outputs
        Name to address and mode.
    resources, run
        What it may use and who runs it; not part of the key.
    submission
        Of an append: which of several equal ones, part of the key.
    """

    job: str
    job_version: str
    inputs: Mapping[str, InputRecord]
    params: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]
    resources: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    submission: str | None = None

    @property
    def is_append(self) -> bool:
        """Whether running it twice makes two results."""
        return any(output["mode"] == "append" for output in self.outputs.values())

    @property
    def key(self) -> str:
        """Hash of what decides the result: equal keys, equal tables."""
        return self._hash({name: record.identity for name, record in self.inputs.items()})

    @property
    def keys(self) -> frozenset[str]:
        """The key, and the one that commits carry from before inputs said their content."""
        identities = {name: dict(record.identity) for name, record in self.inputs.items()}
        for identity in identities.values():
            identity.pop("content", None)
        return frozenset((self.key, self._hash(identities)))

    def count_like(self, older: Mapping[str, Any]) -> "FrozenSpec":
        """Return the spec without the content of inputs of which an older spec, as JSON, has none.

        Files of an export name the key, and come out the same only under the same one.
        """
        told = {name for name, entry in older["inputs"].items() if "content" in entry}
        inputs = {
            name: replace(record, content=None)
            if isinstance(record, TableInput) and name not in told
            else record
            for name, record in self.inputs.items()
        }
        return replace(self, inputs=inputs)

    def _hash(self, inputs: Mapping[str, Any]) -> str:
        content = {
            "spec_version": SPEC_VERSION,
            "job": self.job,
            "job_version": self.job_version,
            "inputs": inputs,
            "params": self.params,
            "outputs": sorted(self.outputs),
        }
        if self.submission is not None:
            content["submission"] = self.submission
        return hashlib.sha256(to_canonical_json(content).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the spec as `spec.json` holds it."""
        return {
            "spec_version": SPEC_VERSION,
            "key": self.key,
            "job": self.job,
            "job_version": self.job_version,
            "inputs": {name: record.to_json() for name, record in self.inputs.items()},
            "params": dict(self.params),
            "outputs": {name: dict(output) for name, output in self.outputs.items()},
            "resources": dict(self.resources),
            "run": dict(self.run),
            "submission": self.submission,
        }


def to_canonical_json(content: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal content, equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
