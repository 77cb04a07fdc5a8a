"""Sphinx configuration; `make docs` builds with warnings as errors, and without the network."""

from ubspark import __version__

project = "ubspark"
author = "The ubspark developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"ubspark {release}"
html_copy_source = False

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

# Backticks in docstrings are names; one that is no object of ours is shown as code.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
numpydoc_show_class_members = False
