"""How Sphinx builds the documentation: `make docs`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "celery-sagemaker"
author = "the celery-sagemaker authors"
release = version = version_of("celery-sagemaker")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "settings_reference",
]
exclude_patterns = ["_extensions"]
nitpicky = True
nitpick_ignore_regex = [
    # The settings have a page of their own.
    ("py:class", r"celery_sagemaker\.config\..*Settings"),
    # Ours, and nobody else's business.
    ("py:class", r"celery_sagemaker\.channels\.(server\.Server|wire\.Keys)"),
    # Other projects' names: their inventories would have to be fetched.
    (
        "py:.*",
        r"(celery|kombu|redis|pydantic|pydantic_settings|starlette|itsdangerous|_?pytest)\..*",
    ),
    ("py:.*", r"(collections|pathlib|datetime|typing|asyncio|json|os|enum)\..*"),
    ("py:.*", r"(Celery|Redis|Response|Request|ASGIApp|BlockingConnectionPool)"),
    ("py:class", r"(optional|Any|Path|Iterator|AsyncIterator|Callable|Mapping|Sequence)"),
    # Python's own.
    (
        "py:(class|exc)",
        r"(str|bytes|int|float|bool|dict|list|tuple|set|frozenset|object|type|None)",
    ),
    ("py:exc", r"[A-Z]\w*Error"),
]

# Two packages may have a class of one name.
suppress_warnings = ["ref.python"]

# Docstrings quote code in Markdown's way.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "separated"
python_maximum_signature_line_length = 88
add_module_names = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = "celery-sagemaker"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sphinx = False
