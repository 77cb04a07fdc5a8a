"""The properties that a catalog of ours states."""

import re
import time
from collections.abc import Mapping
from typing import Any

from ubspark import __version__

__all__ = ["format_properties", "is_computed", "select_inherited", "state_common"]

_FORMAT_VERSION = "v1.0"
_FORMAT_DATE = "2025-08-22"
#: What a provider says of the data, which stays true of a copy.
_INHERITED_PREFIXES = ("obs_", "bib_", "t_", "em_", "s_", "hats_col_survey", "hats_copyright")
_INHERITED = frozenset(
    {
        "hats_cols_default",
        "hats_cols_survey_id",
        "hats_coordinate_epoch",
        "hats_creator",
        "hats_data_semver",
        "creator_did",
        "publisher_id",
        "addendum_description",
    }
)
#: What follows from the rows and the run.
_COMPUTED = frozenset({"dataproduct_type", "moc_sky_fraction"})
_COMPUTED_PREFIXES = ("hats_", "prov_", "ubspark_")
_WORD = re.compile(r"[\r\n]+")


def select_inherited(entries: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of a catalog that stay true of a copy of its rows."""
    return {key: value for key, value in entries.items() if _is_inherited(key)}


def is_computed(key: str) -> bool:
    """Whether a property follows from the rows and the run, so that nobody else can state it."""
    if key in _COMPUTED:
        return True
    return key.startswith(_COMPUTED_PREFIXES) and not _is_inherited(key)


def _is_inherited(key: str) -> bool:
    return key in _INHERITED or key.startswith(_INHERITED_PREFIXES)


def state_common(kind: str, name: str, n_rows: int, n_bytes: int) -> dict[str, Any]:
    """Return what catalogs of every type say first and last."""
    moment = time.strftime("%Y-%m-%dT%H:%MUTC", time.gmtime())
    return {
        "obs_collection": name,
        "dataproduct_type": kind,
        "hats_nrows": n_rows,
        "hats_npix_suffix": ".parquet",
        "hats_builder": f"ubspark v{__version__}",
        "hats_creation_date": moment,
        "hats_estsize": -(-n_bytes // 1024),
        "hats_release_date": _FORMAT_DATE,
        "hats_version": _FORMAT_VERSION,
    }


def format_properties(entries: Mapping[str, Any], title: str) -> str:
    """Return the text of a property file; entries without a value are left out."""
    lines = [
        f"{key}={_escape(str(value))}"
        for key, value in entries.items()
        if value is not None and str(value) != ""
    ]
    return "\n".join([f"#{title}", *lines]) + "\n"


def _escape(text: str) -> str:
    """Return a value on one line; readers take a backslash for an escape."""
    return _WORD.sub(" ", text).replace("\\", "\\\\")
