"""The documentation's site: `python -m sphinx -W -b html docs site`."""

project = "csc-git"
copyright = "the csc-git authors"  # noqa: A001  Sphinx's name
author = "the csc-git authors"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "csc-git"
html_show_sourcelink = False
html_static_path: list[str] = []
