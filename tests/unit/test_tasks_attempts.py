"""Attempts: what is called again, what is handed back, and who pays."""

from collections.abc import Callable

import pytest
from celery_sagemaker.config.retries import RetryPolicy
from celery_sagemaker.runtime.exceptions import (
    ModelError,
    ServiceUnavailable,
    ThrottlingException,
)
from celery_sagemaker.tasks.attempts import REFUSED, REFUSED_LIMIT, REFUSED_WAIT, Attempts, HandBack

AT_ONCE = RetryPolicy(attempts=3, wait_initial=0.0, wait_max=0.0, cost=14)
LATER = RetryPolicy(attempts=3, wait_initial=60.0, wait_max=60.0, cost=14)


class Budget:
    """A bucket that remembers what was asked of it."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def spend(self, cost: int) -> bool:
        """Pay, if there is enough."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True


def failing(*errors: Exception | None) -> Callable[[], str]:
    """A call that raises one error after the other; None is an answer."""
    left = list(errors)

    def call() -> str:
        error = left.pop(0)
        if error is not None:
            raise error
        return "answer"

    return call


def attempts(
    policy: RetryPolicy = AT_ONCE,
    *,
    tokens: int = 500,
    hold_limit: float = 2.0,
    counted: dict[str, int] | None = None,
    owed: int = 0,
) -> Attempts:
    """Attempts under one policy."""
    return Attempts(
        lambda _: policy,
        Budget(tokens).spend,
        hold_limit=hold_limit,
        counted=counted or {},
        owed=owed,
    )


def test_a_transient_error_is_tried_again() -> None:
    """The answer comes in the end, and the failures are counted by their codes."""
    tried = attempts()
    answer = tried.call(failing(ServiceUnavailable(), ThrottlingException(), None))
    assert answer == "answer"
    assert tried.counted == {"ServiceUnavailable": 1, "ThrottlingException": 1}


def test_the_last_error_is_raised() -> None:
    """After as many calls as the policy allows, of all runs together."""
    tried = attempts(counted={"ServiceUnavailable": 1})
    last = ServiceUnavailable("the last one")
    with pytest.raises(ServiceUnavailable, match="the last one"):
        tried.call(failing(ServiceUnavailable(), last))
    assert tried.counted["ServiceUnavailable"] == 3


def test_a_long_wait_is_handed_back() -> None:
    """No slot sleeps longer than the limit."""
    tried = attempts(LATER, hold_limit=0.0)
    with pytest.raises(HandBack) as later:
        tried.call(failing(ServiceUnavailable()))
    assert 0.0 < later.value.seconds <= 60.0


def test_the_services_own_wait_is_kept() -> None:
    """Retry-After is the least wait."""
    with pytest.raises(HandBack) as later:
        attempts(LATER).call(failing(ThrottlingException(None, {"retry_after": 59.5})))
    assert later.value.seconds >= 59.5


def test_what_is_not_an_inference_error_is_not_ours() -> None:
    """Celery's own exceptions, and bugs, pass."""
    with pytest.raises(ZeroDivisionError):
        attempts().call(failing(ZeroDivisionError()))


def test_a_dead_endpoint_is_not_called_until_the_budget_pays() -> None:
    """A refused retry waits without a slot, and is paid for before the next call."""
    tried = attempts(tokens=10)
    with pytest.raises(HandBack) as later:
        tried.call(failing(ServiceUnavailable()))
    assert REFUSED_WAIT / 2 <= later.value.seconds <= REFUSED_WAIT
    assert tried.owed == 14
    still_refused = attempts(tokens=10, counted=dict(tried.counted), owed=tried.owed)
    with pytest.raises(HandBack):
        still_refused.call(failing(AssertionError("it was called")))
    assert still_refused.counted == {"ServiceUnavailable": 1, REFUSED: 2}
    paid = attempts(tokens=14, counted=dict(still_refused.counted), owed=14)
    assert paid.call(failing(None)) == "answer"
    assert paid.owed == 0


def test_waiting_for_the_budget_ends() -> None:
    """After its turns the request is called once more, and what that says is final."""
    tried = attempts(tokens=0, counted={"ModelError": 1, REFUSED: REFUSED_LIMIT - 1}, owed=14)
    with pytest.raises(ModelError, match="still dead"):
        tried.call(failing(ModelError("still dead")))
