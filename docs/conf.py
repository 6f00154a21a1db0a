"""Settings of the Sphinx build: sphinx-build -W -b html docs docs/_build/html."""

from importlib.metadata import version as installed_version

project = "captum_influence"
author = "The captum_influence authors"
project_copyright = "2026, the captum_influence authors"
release = version = installed_version("captum-influence")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"captum_influence {release}"
html_static_path = ["_static"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

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
