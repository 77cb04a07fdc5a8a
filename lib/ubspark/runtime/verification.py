"""Whether what a run made is still what it committed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.export.verify import verify_export
from ubspark.errors import InputMissingError, UbsparkError
from ubspark.lineage.entities import Made
from ubspark.runtime.content import compute_made

__all__ = ["Finding", "check_outputs"]


@dataclass(frozen=True)
class Finding:
    """What is wrong with an output; one that was removed is not there, but not altered."""

    sentence: str
    is_altered: bool = True


def check_outputs(outputs: Mapping[str, Made], *, whole: bool) -> Iterator[Finding]:
    """Yield what is wrong with the outputs of a run.

    Parameters
    ----------
    whole
        Read all rows and files and compare their digests; else only the sizes of tables' files.
    """
    for name, made in outputs.items():
        found = _check_table(made, whole) if made.entity.kind == "delta" else _check_folder(made)
        # The folder in a bundle holds but what is compared.
        is_asked = made.entity.kind == "delta" or (whole and made.operation != "BUNDLE")
        for finding in found if is_asked else ():
            text = f"`outputs.{name}` of the original: {finding.sentence}"
            yield Finding(text, finding.is_altered)


def _check_table(made: Made, whole: bool) -> Iterator[Finding]:
    place, stated = made.entity.place, str((made.record or {}).get("digest"))
    compared = "The replay was compared with the digest of its commit."
    try:
        altered = open_table(made.entity.uri, version=made.entity.version).find_altered_file()
        if altered is not None:
            what = f"its file `{altered}` is not there with the size that the log states"
            yield Finding(f"`{place}` was altered; {what}. {compared}")
        elif whole and compute_made(made) != stated:
            what = f"its rows do not have the digest of their commit, {stated}"
            yield Finding(f"`{place}` was altered; {what}. {compared}")
    except UbsparkError as error:
        yield Finding(str(error), not isinstance(error, InputMissingError))


def _check_folder(made: Made) -> Iterator[Finding]:
    try:
        for finding in verify_export(Path(made.entity.uri)).findings:
            yield Finding(f"`{made.entity.uri}`: {finding.sentence}")
    except UbsparkError as error:
        yield Finding(str(error), not isinstance(error, InputMissingError))
