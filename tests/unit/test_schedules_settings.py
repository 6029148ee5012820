"""The settings of schedules, and the names in their templates."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery_sagemaker.config import Settings, SettingsError, templates
from celery_sagemaker.config.schedules import ScheduleSettings
from celery_sagemaker.tasks.exceptions import InvalidSchedule
from celery_sagemaker.tasks.schedules import reading
from celery_sagemaker.tasks.schedules.api import validated
from hypothesis import given
from hypothesis import strategies as st

BATCH = {"cron": "0 2 * * *", "run": "batch", "endpoint": "churn"}
PLACES = {"input": "s3://b/in/{date}.jsonl", "output": "s3://b/out"}

TOML = """
[schedules.nightly]
cron = "0 2 * * *"
timezone = "Europe/Berlin"
run = "batch"
endpoint = "churn"
input = "s3://b/in/{date}.jsonl"
output = "s3://b/out/{date}/"
options = { split_type = "Line" }
overlap = "queue"
until = 2027-01-01T00:00:00Z
prewarm = 300
prewarm_payload = { instances = [1] }

[schedules.Often]
every = 900
endpoint = "churn"
payload = { at = "{due}" }
"""


def test_a_file_s_schedules_are_read(tmp_path: Path) -> None:
    """Every field, under the name as it is written."""
    path = tmp_path / "celery-sagemaker.toml"
    path.write_text(TOML)
    found = Settings.load(path).schedules
    assert set(found) == {"nightly", "Often"}
    assert found["nightly"].prewarm_payload == {"instances": [1]}
    assert found["nightly"].options == {"split_type": "Line"}
    assert found["Often"].run == "invoke"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"cron": "0 25 * * *"}, "cron"),
        ({"cron": None}, "cron"),
        ({"every": 5}, "cron"),
        ({"timezone": "Nowhere"}, "timezone"),
        ({"output": None}, "run"),
        ({"payload": "x"}, "run"),
        ({"run": "invoke"}, "run"),
        ({"run": "transform"}, "run"),
        ({"input": "/tmp/in.jsonl"}, "input"),  # noqa: S108 - refused
        ({"input": "s3://b/{day}"}, "input"),
        ({"output": "s3://b/{date!r}"}, "output"),
        ({"output": "s3://b/{due:%H}"}, "output"),
        ({"output": "s3://b/{run.x}"}, "output"),
        ({"output": "s3://b/{"}, "output"),
        ({"options": {"endpoint": "other"}}, "options"),
        ({"options": {"metadata": {"at": "{now}"}}}, "options"),
        ({"prewarm": 60}, "prewarm"),
        ({"prewarm": 60, "prewarm_payload": b"x"}, "prewarm_payload"),
        ({"misfire": "twice"}, "misfire"),
        ({"overlap": "kill"}, "overlap"),
        ({"endpoint": "not a name"}, "endpoint"),
        ({"cron": None, "every": 60, "jitter": 60}, "jitter"),
        ({"latitude": 1.0}, "solar"),
        ({"crom": "0 2 * * *"}, "crom"),
    ],
)
def test_what_cannot_be_right_is_refused(changes: dict[str, Any], key: str) -> None:
    """By `add` and from a file alike, with the key that is wrong."""
    given_ = {**BATCH, **PLACES, **changes}
    with pytest.raises(InvalidSchedule) as added:
        validated("nightly", given_)
    with pytest.raises(SettingsError) as filed:
        Settings(schedules={"nightly": given_})
    assert set(added.value.members["violations"]) == {key}
    assert set(filed.value.problems) == {f"schedules.nightly.{key}"}


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "a:b", "x" * 65, "nightly\n"])
def test_a_name_is_a_name(name: str) -> None:
    """It becomes part of keys and of a channel's id."""
    with pytest.raises(InvalidSchedule, match="name"):
        validated(name, {**BATCH, **PLACES})
    with pytest.raises(SettingsError):
        Settings(schedules={name: {**BATCH, **PLACES}})


def test_settings_survive_redis() -> None:
    """What is written is read as the same, and equal settings are equal text."""
    settings = ScheduleSettings(**BATCH, **PLACES, until="2027-01-01T00:00:00", jitter=5)  # type: ignore[arg-type]
    text = reading.to_text(settings)
    read = ScheduleSettings.model_validate_json(text)
    assert read == settings
    assert reading.to_text(read) == text
    assert "misfire" not in text


def test_templates_are_filled() -> None:
    """At any depth; keys, numbers and doubled braces stay."""
    due = datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    names = templates.values(due, "r1")
    given_ = {"{date}": ["{date}", 1, {"a": "{time}-{run}"}], "due": "{due}", "raw": "{{x}}"}
    assert templates.fill(given_, names) == {
        "{date}": ["2026-03-29", 1, {"a": "033000-r1"}],
        "due": "2026-03-29T03:30:00+02:00",
        "raw": "{x}",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_accepted_can_be_filled(value: Any) -> None:
    """Whatever `check` lets pass, `fill` fills."""
    try:
        templates.check(value)
    except ValueError:
        return
    templates.fill(value, templates.values(datetime.now(ZoneInfo("UTC")), "r"))
