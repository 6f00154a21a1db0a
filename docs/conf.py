"""Settings of the Sphinx build: sphinx-build -W -b html docs docs/_build/html."""

import os
import sys
from pathlib import Path

import captum_influence

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))  # where the extensions mathml, notebooks and options are

project = "captum_influence"
author = "The captum_influence authors"
project_copyright = "2026, the captum_influence authors"
release = version = captum_influence.__version__

extensions = [
    "mathml",
    "myst_nb",
    "notebooks",
    "options",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_generated", "_pypi.md"]  # the tables are included in pages
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"captum_influence {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

# Notebooks run here, each in a fresh kernel: a claim that no longer holds, a warning on stderr or a
# cell that hangs fails the build. Where a network's weights aren't at hand, what the notebook
# showed last (docs/_ext/store.py) is shown.
nb_execution_mode = "force"
nb_execution_excludepatterns = (
    [] if "CAPTUM_INFLUENCE_DATA" in os.environ else ["tutorials/Photographs_*"]
)
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "warn"

# A public name that is mentioned and isn't in the reference is a mistake. Names of other packages
# can't be followed without a network; private ones, as in annotations, have no page.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!captum_influence).*|captum_influence(\.\w+){3,}")]

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
from captum_influence.data import *
from captum_influence.demo import *
from captum_influence.experts import *
from captum_influence.explanations import *
from captum_influence.methods import *
from captum_influence.metrics import *
from captum_influence.network import *
from captum_influence.testing import *
from captum_influence.training import *
from captum_influence.units import *

torch.manual_seed(0)
"""
