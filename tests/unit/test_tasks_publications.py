"""What the ledger keeps of a publication means the same when it is sent again later."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks import publications
from celery_sagemaker.workers import create_app

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_countdown_and_expiry_become_moments() -> None:
    """Seconds from now would begin anew each time; moments stay where they are."""
    made = publications.as_moments({"countdown": 90, "expires": 3600.0, "queue": "q"}, NOW)
    assert made == {
        "eta": "2026-11-24T12:01:30+00:00",
        "expires": "2026-11-24T13:00:00+00:00",
        "queue": "q",
    }


@pytest.mark.parametrize("eta", [NOW + timedelta(hours=1), "2026-11-24T13:00:00+00:00"])
def test_moments_stay(eta: object) -> None:
    """In each of the forms that Celery takes."""
    made = publications.as_moments({"eta": eta, "countdown": None}, NOW)
    assert made == {"eta": "2026-11-24T13:00:00+00:00"}
    assert publications.as_moments(made, NOW) == made


def test_nothing_is_due_later_without_being_told() -> None:
    """Neither a countdown of 0 nor a moment that is past."""
    assert publications.as_moments({"countdown": 0}, NOW) == {}
    assert publications.seconds_until(None, NOW) == 0.0
    assert publications.seconds_until("2026-11-24T11:00:00+00:00", NOW) == 0.0
    assert publications.seconds_until("2026-11-24T12:00:05", NOW) == 5.0


def test_a_signature_is_whole_without_what_is_local() -> None:
    """Everything but what means something to the publishing process only."""
    kept = publications.signature(
        "sagemaker.invoke", (), {"message": {}}, "an-id",
        {"producer": object(), "priority": 3, "link": None, "chain": []},
    )  # fmt: skip
    assert json.loads(kept) == {
        "task": "sagemaker.invoke",
        "args": [],
        "kwargs": {"message": {}},
        "options": {"priority": 3, "chain": [], "task_id": "an-id"},
    }


@pytest.mark.parametrize(
    ("options", "lane"),
    [
        ({}, "sagemaker.invoke/0"),
        ({"priority": 7}, "sagemaker.invoke/7"),
        ({"queue": "gpu"}, "gpu/0"),
    ],
)
def test_a_lane_is_queue_and_priority(options: dict[str, object], lane: str) -> None:
    """Messages of one lane are begun in the order in which they were sent."""
    app = create_app(Settings())
    assert publications.lane_of(app, "sagemaker.invoke", options) == lane
