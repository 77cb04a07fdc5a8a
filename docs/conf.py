"""Sphinx configuration; `make docs` builds with warnings as errors, and without the network."""

from typing import Any

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

from ubspark import __version__
from ubspark.sky import BoolArray, FloatArray, IntArray

project = "ubspark"
author = "The ubspark developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"ubspark {release}"
html_copy_source = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# Backticks in docstrings are names; one that is no object of ours is shown as code.
default_role = "py:obj"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

_ALIASES = {
    stringify_annotation(kind, "smart"): name
    for name, kind in {
        "ArrayLike": ArrayLike,
        "FloatArray": FloatArray,
        "IntArray": IntArray,
        "BoolArray": BoolArray,
    }.items()
}


def _shorten_types(*event: Any) -> tuple[str | None, str | None]:
    """Write the types of arrays by their short names, as the code does."""
    signature, returned = event[-2:]
    for long, short in _ALIASES.items():
        signature = signature and signature.replace(long, short)
        returned = returned and returned.replace(long, short)
    return signature, returned


def setup(app: Sphinx) -> None:
    """Hook in."""
    app.connect("autodoc-process-signature", _shorten_types)
