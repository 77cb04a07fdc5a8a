"""Everything that was made in some places, read from commits and manifests alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ubspark.catalogs.delta import is_delta_table, open_table, read_history
from ubspark.catalogs.export.manifest import MANIFEST_FILE, is_export, read_manifest
from ubspark.catalogs.log_files import LOG_FOLDER
from ubspark.catalogs.walking import find_below
from ubspark.errors import InputMissingError, SourceError, UbsparkError
from ubspark.lineage.entities import Entity, Made, is_whole, list_used

__all__ = ["Ledger"]


class Ledger:
    """The commits of tables and the manifests of folders, looked up and scanned.

    Parameters
    ----------
    roots
        Folders below which everything is looked at; the links downward come from there. What a
        run names elsewhere is opened when it is asked for.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = tuple(dict.fromkeys(root.absolute() for root in roots))
        self._tables: dict[str, tuple[Made, ...]] = {}
        #: Id of a table whose log has a gap to what is wrong with it.
        self._gaps: dict[str, str] = {}
        #: Place and reason of what could not be read.
        self.damaged: dict[str, str] = {}

    @cached_property
    def all(self) -> Sequence[Made]:
        """Everything made below the roots, table by table, the oldest version first."""
        found: list[Made] = []
        for uri in sorted(set(self._find_tables())):
            try:
                found.extend(self.read_table(uri))
            # One table that is damaged does not hide the others.
            except Exception as error:
                self.damaged[uri] = str(error).strip().partition("\n")[0]
        for folder in sorted(set(self._find_folders())):
            made = self.read_folder(folder)
            found.extend([made] if made else [])
        return found

    def read_table(self, uri: str) -> tuple[Made, ...]:
        """Return the commits of a table, the oldest first.

        Raises
        ------
        InputMissingError
            If there is no table.
        SourceError
            If its log has a gap.
        """
        if uri not in self._tables:
            table_id = open_table(uri).table_id
            try:
                history = read_history(uri)
            except SourceError as error:
                self._gaps[table_id] = str(error)
                raise
            self._tables[uri] = tuple(
                Made(
                    Entity("delta", uri, table_id, commit.version, content=commit.content),
                    commit.timestamp_ms,
                    commit.operation,
                    commit.changed_data,
                    self._check(commit.record, f"{uri}@v{commit.version}"),
                )
                for commit in sorted(history, key=lambda commit: commit.version)
            )
        return self._tables[uri]

    def read_folder(self, folder: Path) -> Made | None:
        """Return what made an export or a model, None where it has no readable manifest."""
        try:
            manifest = read_manifest(folder)
        except UbsparkError as error:
            if is_export(folder):
                self.damaged[str(folder)] = str(error)
            return None
        files = tuple(file.sha256 for file in manifest.files)
        entity = Entity("folder", str(folder), manifest.digest, files=files)
        record = self._check(manifest.record, str(folder))
        return Made(entity, None, "EXPORT", changed_data=True, record=record)

    def find(self, entity: Entity) -> Made:
        """Return the commit or manifest of an entity, wherever its table lies now.

        Raises
        ------
        InputMissingError
            If no table or folder known here is it.
        """
        if entity.kind == "delta":
            return self._find_version(entity)
        made_folder = self._find_folder(entity)
        if made_folder is None and entity.kind == "model":
            msg = (
                f"The model of `{entity.uri}` (sha256 {entity.identity}) is in no place known here."
            )
            raise InputMissingError(msg)
        if made_folder is None:
            msg = f"`{entity.uri}` is no folder made by ubspark."
            if entity.made_by:
                msg = (
                    f"The export `{entity.uri}` of run {entity.made_by} is in no place known here."
                )
            raise InputMissingError(msg)
        return made_folder

    def identify(self, entity: Entity) -> Entity:
        """Return a table version with the content that its own log says, if it does."""
        here = (made.entity for made in self._read_here(entity.uri))
        return next((found for found in here if found.is_same(entity)), entity)

    def find_before(self, made: Made) -> Made | None:
        """Return the version before, None for the first."""
        earlier = [
            other
            for other in self._read_here(made.entity.uri)
            if (other.entity.version or 0) < (made.entity.version or 0)
        ]
        return earlier[-1] if earlier else None

    def is_foreign(self, uri: str) -> bool:
        """Whether no commit of a table is ours."""
        return all(made.run is None for made in self._read_here(uri))

    def find_uses(self, entity: Entity) -> Iterator[tuple[str, Made]]:
        """Yield what was made from an entity below the roots, with the role it had."""
        folders = [made for made in self.all if made.entity == entity and entity.kind == "folder"]
        for made in self.all:
            if made.run is None:
                continue
            for role, used in list_used(made.spec, made.run).items():
                if used.is_same(entity) or any(_is_in(used, folder) for folder in folders):
                    yield role, made

    def find_strays(self, entity: Entity) -> Iterator[Made]:
        """Yield what was made from other rows of the id and version of an entity, now gone."""
        for made in self.all if entity.content else ():
            for used in list_used(made.spec, made.run).values() if made.run else ():
                if used.key == entity.key and not used.is_same(entity) and not self._has(used):
                    yield made

    def find_next(self, entity: Entity) -> Made | None:
        """Return the version after, where it still holds the rows of this one."""
        for made in self._read_here(entity.uri):
            if made.entity.version == (entity.version or 0) + 1:
                return made if not made.changed_data or made.adds_to_version else None
        return None

    def find_runs(self, run: str) -> list[Made]:
        """Return everything that a run made below the roots."""
        return [made for made in self.all if made.run == run]

    def _find_version(self, entity: Entity) -> Made:
        other: Entity | None = None
        for made in self._iterate_versions(entity):
            if made.entity.is_same(entity):
                return made
            other = other or made.entity
        msg = f"`{entity.place}` (table id {entity.identity}) is in no place known here."
        if other is not None:
            msg = (
                f"`{other.place}` is not what was read as `{entity.place}`: a copy of the table, "
                f"with its id, went another way. Its commit says {other.content}, and the reader "
                f"found {entity.content}."
            )
        raise InputMissingError(self._gaps.get(entity.identity, msg))

    def _iterate_versions(self, entity: Entity) -> Iterator[Made]:
        """Yield what has the id and version of an entity; its own place comes before a scan."""
        yield from (m for m in self._read_here(entity.uri) if m.entity.key == entity.key)
        yield from (m for m in self.all if m.entity.key == entity.key)

    def _has(self, entity: Entity) -> bool:
        try:
            return bool(self.find(entity))
        except InputMissingError:
            return False

    def _check(self, record: Mapping[str, Any] | None, place: str) -> Mapping[str, Any] | None:
        """Return a record if it is whole; one that is not tells no more than none."""
        if record is None or is_whole(record):
            return record
        self.damaged[place] = "The record of its run is damaged, or of a newer ubspark."
        return None

    def _read_here(self, uri: str) -> tuple[Made, ...]:
        try:
            return self.read_table(uri) if is_delta_table(uri) else ()
        # A store that does not answer shows no table, whatever it says.
        except Exception:
            return ()

    def _find_folder(self, entity: Entity) -> Made | None:
        """Return the export that files or a catalog belong to."""
        place = Path(entity.uri)
        for folder in (place, place.parent):
            made = self.read_folder(folder) if is_export(folder) else None
            if made is not None and (made.entity == entity or _is_in(entity, made)):
                return made
        known = (made for made in self.all if made.entity.kind == "folder")
        return next((m for m in known if entity.files and _is_in(entity, m)), None)

    def _find_tables(self) -> Iterator[str]:
        for log in find_below(self._roots, LOG_FOLDER):
            if is_delta_table(str(log.parent)):
                yield str(log.parent)

    def _find_folders(self) -> Iterator[Path]:
        yield from (path.parent for path in find_below(self._roots, MANIFEST_FILE))


def _is_in(part: Entity, folder: Made) -> bool:
    """Whether files belong to a folder; a catalog without a list of files goes by place, time."""
    if part.files:
        return set(part.files) <= set(folder.entity.files)
    # Ids of runs sort by time: what was made after it was read is another catalog.
    is_older = not part.read_by or (folder.run or "") < part.read_by
    place = Path(folder.entity.uri)
    return part.kind == "hats" and is_older and place in (Path(part.uri), Path(part.uri).parent)
