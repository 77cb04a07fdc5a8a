"""One way to open a source, whatever its format."""

from collections.abc import Mapping
from pathlib import Path

from ubspark.catalogs.sources.base import Source
from ubspark.catalogs.sources.delimited import open_delimited
from ubspark.catalogs.sources.files import find_files
from ubspark.catalogs.sources.fits import open_fits
from ubspark.catalogs.sources.memory import MAX_MEMORY_BYTES, open_in_memory
from ubspark.catalogs.sources.parquet import open_parquet
from ubspark.errors import ParameterError

__all__ = ["FORMATS", "open_source"]

#: Formats and the extensions by which they are known; all but Parquet may end in ``.gz``.
FORMATS: Mapping[str, tuple[str, ...]] = {
    "parquet": (".parquet", ".parq"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "ecsv": (".ecsv",),
    "fits": (".fits", ".fit"),
    "votable": (".vot", ".votable", ".xml"),
    "hats": (),
}
_OPTIONS = {
    "csv": {"delimiter", "encoding", "types"},
    "tsv": {"delimiter", "encoding", "types"},
    "fits": {"hdu"},
}


def open_source(
    path: str,
    *,
    format: str | None = None,  # noqa: A002 - the word users know from Spark and astropy
    options: Mapping[str, str] | None = None,
    scratch: Path,
    max_memory_bytes: int = MAX_MEMORY_BYTES,
) -> Source:
    """Open a file, or the files of a folder, and say what they hold, without Spark.

    Parameters
    ----------
    path
        A file, a folder of files of one format, or a HATS catalog or collection. In a folder of
        files, names that begin with ``_`` or ``.`` do not count.
    format
        One of `FORMATS`; by the extension if None.
    options
        CSV and TSV: ``delimiter``, ``encoding``, ``types`` (``id=string,flux=double``).
        FITS: ``hdu``, name or number of the table.
    scratch
        Folder for what must be unpacked or converted; Spark's workers must see it.
    max_memory_bytes
        Largest memory that a format read in memory (ECSV, VOTable) may need.

    Returns
    -------
    Source
        Columns, declared frame and epoch, number of rows; rows come by `Source.to_dataframe`.

    Raises
    ------
    InputMissingError
        If there is no such file.
    SourceError
        If a file is empty, cut short, damaged, or not of its format.
    SchemaError
        If a table cannot hold the columns.
    ParameterError
        If the format or an option is unknown.
    """
    if format is not None and format not in FORMATS:
        msg = f"`format` must be one of {', '.join(FORMATS)}, got {format!r}."
        raise ParameterError(msg)
    # Here and not above: the reader of HATS imports from this package.
    from ubspark.catalogs.hats.properties import is_hats_folder

    if format == "hats" or (format is None and Path(path).is_dir() and is_hats_folder(path)):
        from ubspark.catalogs.sources.hats import open_hats_source

        _validate_options("hats", options or {})
        return open_hats_source(path)
    if format is None:
        format = _find_format(path)  # noqa: A001
    _validate_options(format, options or {})
    files = find_files(path, _extensions(format))
    if format == "parquet":
        return open_parquet(path, files)
    if format == "fits":
        return open_fits(path, files, options=options or {}, scratch=scratch)
    if format in ("csv", "tsv"):
        return open_delimited(path, files, format=format, options=options or {}, scratch=scratch)
    return open_in_memory(
        path, files, format=format, scratch=scratch, max_memory_bytes=max_memory_bytes
    )


def _extensions(format: str) -> tuple[str, ...]:  # noqa: A002 - as above
    """Return the endings of file names that mean a format."""
    plain = FORMATS[format]
    packed = () if format == "parquet" else tuple(f"{extension}.gz" for extension in plain)
    return (*plain, *packed)


def _find_format(path: str) -> str:
    """Return the format that the name of a file, or the files of a folder, tell."""
    every = {extension: name for name in FORMATS for extension in _extensions(name)}
    found: set[str | None] = set()
    for file in find_files(path, every):
        matching = [name for extension, name in every.items() if _ends_in(file, path, extension)]
        found.update(matching or [None])
    if len(found) > 1:
        names = ", ".join(sorted(str(name) for name in found))
        msg = f"Folder `{path}` holds files of several formats ({names}). Set `format`."
        raise ParameterError(msg)
    result = found.pop()
    if result is None:
        msg = (
            f"The name of `{path}` does not tell its format. "
            f"Set `format` to one of {', '.join(FORMATS)}."
        )
        raise ParameterError(msg)
    return result


def _ends_in(file: Path, path: str, extension: str) -> bool:
    """Tell whether a file is named for a format, by its own name or that of a link to it."""
    return file.name.lower().endswith(extension) or path.lower().endswith(extension)


def _validate_options(format: str, options: Mapping[str, str]) -> None:  # noqa: A002 - as above
    """Raise a `ParameterError` for an option that the format does not have."""
    known = _OPTIONS.get(format, set())
    for name in options:
        if name not in known:
            choices = ", ".join(sorted(known)) or "none"
            msg = f"`options.{name}` is unknown for format {format}. Options: {choices}."
            raise ParameterError(msg)
