"""The emulator's log of calls."""

import pytest
from celery_sagemaker.local.calls import Calls, Entry
from celery_sagemaker.local.refusals import Drop, Refusal, model_error


def note(calls: Calls, raised: Exception | None = None, name: str = "echo") -> None:
    """Note one call with an end."""
    try:
        with calls.noting(Entry(name, "InvokeEndpoint", None), 200):
            if raised:
                raise raised
    except (Refusal, Drop):
        pass


def test_the_log_has_a_bound_and_the_counts_have_all() -> None:
    """Old calls leave the log, and stay counted."""
    calls = Calls(kept=3)
    for number in range(5):
        note(calls, name=f"e{number % 2}")
    assert [entry.endpoint for entry in calls.entries()] == ["e0", "e1", "e0"]
    assert [entry.endpoint for entry in calls.entries("e1")] == ["e1"]
    assert calls.counts()["e0"] == {"InvokeEndpoint": {"200": 3}}


@pytest.mark.parametrize(
    ("raised", "status", "error"),
    [
        (None, 200, None),
        (Refusal("ThrottlingException", ""), 400, "ThrottlingException"),
        (Refusal("502", ""), 502, "502"),
        (model_error("echo", 507, ""), 424, "ModelError:507"),
        (Drop("reset"), 0, "reset"),
    ],
)
def test_every_end_is_noted(raised: Exception | None, status: int, error: str | None) -> None:
    """With the status that was answered, and counted by error or status."""
    calls = Calls()
    note(calls, raised)
    (entry,) = calls.entries()
    assert (entry.status, entry.error) == (status, error)
    assert calls.counts() == {"echo": {"InvokeEndpoint": {error or "200": 1}}}


def test_a_call_under_way_is_in_the_log() -> None:
    """Without a status, and not counted yet."""
    calls = Calls()
    with calls.noting(Entry("echo", "InvokeEndpoint", "id"), 200):
        (entry,) = calls.entries()
        assert (entry.status, entry.inference_id, calls.counts()) == (None, "id", {})


def test_clear_forgets_all() -> None:
    """Calls and counts."""
    calls = Calls()
    note(calls)
    calls.clear()
    assert (calls.entries(), calls.counts()) == ([], {})
