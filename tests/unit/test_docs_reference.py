"""The reference is whole, and links of pages outside it lead somewhere."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from celery_sagemaker.config import Settings
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")

#: Whose public names are in the API's reference.
PACKAGES = ("channels", "config", "runtime", "tasks", "tasks.batch", "tasks.schedules", "workers")

#: Tasks that only tasks send, and settings, which have a page of their own.
ELSEWHERE = {
    "EndpointSettings",
    "RetryOverride",
    "batch",
    "batch_chunk",
    "batch_finalize",
    "batch_plan",
    "collect",
    "deployment",
    "exceptions",
    "poll",
    "schedule",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    """By itself, or in a module that is shown with all its members."""
    module = importlib.import_module(f"celery_sagemaker.{package}")
    shown = set(re.findall(r"^\.\. automodule:: (\S+)\n   :members:", API, re.MULTILINE))
    for name in set(module.__all__) - ELSEWHERE:
        home = getattr(getattr(module, name), "__module__", "")
        assert home in shown or re.search(rf"\b{name}\b", API), name


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model, and those that its fields are made of."""
    yield model
    for field in model.model_fields.values():
        for inner in inside(field.annotation):
            yield from sections(inner)


def inside(annotation: Any) -> Iterator[type[BaseModel]]:
    """Find the models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from inside(argument)


def test_every_setting_says_what_it_is() -> None:
    """The settings' reference is made of these words."""
    silent = [
        f"{model.__name__}.{name}"
        for model in sections(Settings)
        for name, field in model.model_fields.items()
        if not field.description and not list(inside(field.annotation))
    ]
    assert silent == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Sphinx checks those of docs/; these are read where the checkout is."""
    page = ROOT / name
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
