"""Settings of the Sphinx build: sphinx-build -W -b html docs docs/_build/html."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where the extension mathml is

project = "captum_influence"
author = "The captum_influence authors"
project_copyright = "2026, the captum_influence authors"
release = version = installed_version("captum-influence")

extensions = [
    "mathml",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_generated"]  # the tables are included in pages
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"captum_influence {release}"
html_static_path = ["_static"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False  # formulas become MathML

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Examples in pages and docstrings start from here, and are run by: sphinx-build -W -b doctest
doctest_global_setup = """
import torch
import captum_influence
from captum_influence import *
from captum_influence.attr import *
from captum_influence.demo import *
from captum_influence.explain import *
from captum_influence.metrics import *
from captum_influence.testing import *
from captum_influence.training import *

torch.manual_seed(0)
"""
