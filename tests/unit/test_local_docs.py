"""The tables and figures of docs/howto/local.md are what the code does."""

import re
from pathlib import Path
from typing import get_args

from celery_sagemaker.local import behaviours, refusals
from celery_sagemaker.local.behaviours import Behaviour, Stream
from celery_sagemaker.local.calling import ASYNC_CALLS, CALLS
from celery_sagemaker.local.calls import KEPT
from celery_sagemaker.local.stack import LocalStack

PAGE = Path(__file__).parents[2] / "docs/howto/local.md"
TEXT = PAGE.read_text("utf-8")


def rows(heading: str) -> set[str]:
    """The first column of the table whose heading begins so."""
    table = TEXT.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


def test_every_key_is_in_a_table() -> None:
    """And no other."""
    tables = TEXT.split("| key |")
    found = [
        set(re.findall(r"^\| `(\w+)`", t.partition("\n\n")[0], re.MULTILINE)) for t in tables[1:]
    ]
    assert found == [set(Behaviour.model_fields), set(Stream.model_fields)]


def test_every_fault_of_streams_is_in_a_table() -> None:
    """As the type has them."""
    assert rows("fault") == set(get_args(behaviours.StreamFault))


def test_every_error_is_named() -> None:
    """Those of the service, and silence and reset."""
    named = set(re.findall(r"`(\w+)`", TEXT.partition("**Errors.**")[2].partition("\n\n")[0]))
    assert named == {*refusals.STATUS, *refusals.DROPS}


def test_numbers_are_those_of_the_code() -> None:
    """Bounds of threads and of the log."""
    for number in (CALLS, ASYNC_CALLS, KEPT):
        assert re.search(rf"\b{number:,}\b", TEXT), number


def test_every_attribute_shown_is_there() -> None:
    """Of the stack in the first example."""
    for name in re.findall(r"stack\.(\w+)", TEXT.partition("## The model")[0]):
        assert hasattr(LocalStack, name), name
