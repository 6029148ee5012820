"""What the outcomes of calls say about an endpoint."""

from collections import Counter

import pytest
from celery_sagemaker.config import retries
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.tasks.limits.outcomes import (
    _SAYS,
    SUCCESS,
    UNKNOWN,
    Says,
    Tally,
    outcome_of,
    says,
)


def test_every_outcome_is_a_line_of_the_retry_table() -> None:
    """A misspelt code would say nothing, and nobody would notice."""
    assert set(_SAYS) - {SUCCESS} <= set(retries.DEFAULTS)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ValidationError(),
        exceptions.ModelError(None, {"original_status_code": 400}),
        exceptions.RequestTooLarge(),
        exceptions.AccessDeniedException(),
        exceptions.EndpointNotFound(),
        exceptions.WrongEndpointKind(),
        exceptions.InvalidRequest(),
        exceptions.CredentialsUnavailable(),
        exceptions.S3AccessDenied(),
        exceptions.UnknownServiceError(None, {"http_status": 404}),
    ],
    ids=lambda error: error.code,
)
def test_the_caller_s_mistakes_never_open_the_breaker(error: exceptions.InferenceError) -> None:
    """Nor do they lower the limit."""
    said = says(outcome_of(error))
    assert Says.DOWN not in said
    assert Says.CUT not in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (exceptions.ThrottlingException(), Says.CUT),
        (exceptions.ModelError(None, {"original_status_code": 429}), Says.CUT | Says.UP),
        (exceptions.ModelError(None, {"original_status_code": 500}), Says.UP),
        (exceptions.ModelError(None, {"original_status_code": 0}), Says.CUT | Says.DOWN),
        (exceptions.ServiceUnavailable(), Says.CUT | Says.DOWN),
        (exceptions.ModelNotReadyException(), Says.NOTHING),
        (exceptions.EndpointUnreachable(), Says.DOWN),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_load_and_health_are_told_apart(error: exceptions.InferenceError, said: Says) -> None:
    """What lowers the limit need not open the breaker, and the other way round."""
    assert says(outcome_of(error)) == said


def test_an_error_of_python_says_nothing() -> None:
    """Not even one that has a `code`, as SystemExit does."""
    assert outcome_of(SystemExit(1)) == UNKNOWN
    assert says(UNKNOWN) == Says.NOTHING


def test_outcomes_are_tallied() -> None:
    """Each call counts for everything that its outcome says."""
    outcomes = Counter({SUCCESS: 5, "ThrottlingException": 2, "ServiceUnavailable": 1, UNKNOWN: 3})
    assert Tally.of(outcomes) == Tally(calls=11, grow=5, cut=3, up=5, down=1)
