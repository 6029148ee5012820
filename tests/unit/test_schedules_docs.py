"""The tables of docs/howto/schedules.md are what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from celery_sagemaker.channels import feed
from celery_sagemaker.config.schedules import LOCK_LOOKS, BeatSettings, ScheduleSettings
from celery_sagemaker.config.templates import NAMES
from celery_sagemaker.tasks.schedules import Run, RunState
from celery_sagemaker.workers.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "schedules.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose heading begins so."""
    rows = PAGE.partition(f"\n| {heading} |")[2].partition("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def named(cell: str) -> list[str]:
    """What is in backticks."""
    return re.findall(r"`([^`]*)`", cell)


def test_every_key_is_there() -> None:
    """With its default, where it has one that is worth a word."""
    rows = table("key")
    keys = [key for row in rows for key in named(row[0])]
    assert sorted(keys) == sorted(ScheduleSettings.model_fields)
    said = {named(key)[0]: default.strip("`") for key, default, _ in rows if default}
    made = ScheduleSettings(every=1, endpoint="e", payload="x").model_dump(mode="json")
    assert said == {key: str(made[key]).replace("True", "true") for key in said}


def test_every_state_is_there() -> None:
    """In the order of the code."""
    assert [named(row[0])[0] for row in table("state")] == list(RunState)


def test_every_member_of_an_event_is_there() -> None:
    """All that a run is."""
    members = [member for row in table("member") for member in named(row[0])]
    run = {field.name for field in fields(Run)}
    assert set(members) == run | {"seconds"}


@pytest.mark.parametrize("name", NAMES)
def test_every_template_is_there(name: str) -> None:
    """What may stand in braces."""
    assert f"`{{{name}}}`" in PAGE


def test_every_command_is_there() -> None:
    """Of `schedule`."""
    commands = typer.main.get_command(app)
    group = commands.get_command(typer.Context(commands), "schedule")  # type: ignore[attr-defined]
    shown = set(re.findall(r"^celery-sagemaker schedule ([a-z-]+)", PAGE, re.MULTILINE))
    assert shown == set(group.commands)


def test_figures_are_those_of_the_code() -> None:
    """Of the channel, and of how soon another beat takes over."""
    assert f"The newest {feed.KEEP:,} events are kept" in PAGE
    assert LOCK_LOOKS == 5
    assert f"five times `beat.interval` ({LOCK_LOOKS * BeatSettings().interval} s)" in PAGE
