"""The tables of docs/howto/streaming.md are what the code does."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from celery_sagemaker.config.sections import StreamSettings
from celery_sagemaker.runtime import framing, tokens
from celery_sagemaker.tasks.streamoptions import StreamOptions

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "streaming.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose heading begins so."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip(" ") for cell in line.split("|")[1:-1]] for line in table.split("\n")[2:]]


def named(cell: str) -> list[str]:
    """What is in backticks in a cell."""
    return re.findall(r"`([^`]*)`", cell)


def test_options_are_those_of_the_task() -> None:
    """In order."""
    assert [named(row[0])[0] for row in rows("option")] == [f.name for f in fields(StreamOptions)]


def test_content_types_are_cut_as_the_table_says() -> None:
    """And every type that is known is in it."""
    told = {type_: named(row[1])[0] for row in rows("content type") for type_ in named(row[0])}
    assert set(framing._BY_TYPE) <= set(told)
    found = {type_: framing.framing_for(type_.replace("…", "x")).name for type_ in told}
    assert found == told
    assert {named(row[1])[0] for row in rows("content type")} == set(framing.FRAMERS)


@pytest.mark.parametrize("row", rows("form"), ids=lambda row: str(row[0]))
def test_forms_have_the_text_that_the_table_says(row: list[str]) -> None:
    """As values, as lines, and as the data of an event."""
    (example,), text = named(row[1]), "".join(named(row[2]))
    assert tokens.text_of(tokens.JSON, example.encode()) == text
    assert tokens.text_of(tokens.JSON_LINES, f"{example}\n".encode()) == text


def test_settings_are_those_of_the_section() -> None:
    """With their defaults, in order."""
    told = {named(row[0])[0]: row[1] for row in rows("key")}
    assert told == {key: shown(value) for key, value in StreamSettings().model_dump().items()}


def shown(default: Any) -> str:
    """A default, as the table has it."""
    if not default:
        return "none"
    return f"{default:g}" if isinstance(default, float) else str(default)
