"""What Celery keeps of an exception that only says that a run has left its slot."""

import pickle
from typing import Any

import pytest
from celery.app import trace
from celery.exceptions import Ignore
from celery_sagemaker.tasks.base import HandedBack, Submitted
from celery_sagemaker.workers import leaving

EXCEPTION_INFO: Any = vars(trace)["ExceptionInfo"]


def caught(error: Exception) -> Any:
    """Return what is kept of an exception while it is handled."""
    try:
        raise error  # noqa: TRY301 - it has to be handled here
    except Exception:  # noqa: BLE001 - whatever it is
        return leaving.Leaving(internal=True)


@pytest.mark.parametrize("error", [Submitted(), HandedBack(2.5, "RetryBudget")])
def test_who_leaves_a_slot_leaves_no_traceback(error: Exception) -> None:
    """Its exception is kept as it is, also on the way out of a child process."""
    kept = pickle.loads(pickle.dumps(caught(error)))  # noqa: S301 - our own
    assert (type(kept.exception), kept.exception.args) == (type(error), error.args)
    assert (kept.traceback, kept.tb, kept.internal) == ("", None, True)


@pytest.mark.parametrize("error", [ValueError("x"), Ignore()])
def test_all_others_are_kept_as_ever(error: Exception) -> None:
    """Also an `Ignore` of somebody else's task."""
    kept = caught(error)
    assert type(error).__name__ in kept.traceback
    assert kept.tb is not None


def test_celery_is_told_once_and_only_where_it_has_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class of somebody else in its place stays."""
    monkeypatch.setitem(vars(trace), "ExceptionInfo", EXCEPTION_INFO)
    leaving._install()
    leaving._install()
    assert vars(trace)["ExceptionInfo"] is leaving.Leaving

    class Theirs(EXCEPTION_INFO):  # type: ignore[misc]
        pass

    monkeypatch.setitem(vars(trace), "ExceptionInfo", Theirs)
    leaving._install()
    assert vars(trace)["ExceptionInfo"] is Theirs
