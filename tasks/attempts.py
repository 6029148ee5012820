"""Calling until an answer comes or the error's policy says enough.

A short wait is slept here; a longer one is handed back to the broker's side by raising `HandBack`,
so that no worker slot waits. What was counted travels with the request and goes on counting.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import tenacity

from ..config.retries import RetryPolicy, wait_seconds
from ..runtime.exceptions import InferenceError

T = TypeVar("T")

#: Counted beside the error codes: retries that the endpoint's budget refused.
REFUSED = "RetryBudget"

#: Seconds a refused retry waits, at most, and how often it may: ten minutes of a dead endpoint.
REFUSED_WAIT = 30.0
REFUSED_LIMIT = 20

_RANDOM = random.Random()


class HandBack(Exception):
    """The next attempt is `seconds` away: too long to hold a slot.

    Args:
        seconds: until then.
        why: an error's code, or what does not admit the call now.
    """

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(seconds, why)
        self.seconds = seconds
        self.why = why


class PolicyFor(Protocol):
    """Gives an error its policy."""

    def __call__(self, error: InferenceError) -> RetryPolicy: ...  # noqa: D102


class Told(Protocol):
    """Told of each retry: the error's code, calls that failed with it, seconds of waiting."""

    def __call__(self, code: str, calls: int, wait: float) -> None: ...  # noqa: D102


def _untold(code: str, calls: int, wait: float) -> None:
    """Nobody is told."""


class Attempts:
    """The attempts of one request.

    Args:
        policy_for: gives an error its policy.
        spend: pays a retry's cost from the endpoint's budget; False refuses it.
        hold_limit: the longest wait, in seconds, that is slept here.
        counted: failed calls of earlier runs, by error code.
        owed: cost of a retry that the budget refused; to be paid before the next call.
        told: hears of each retry.
    """

    def __init__(
        self,
        policy_for: PolicyFor,
        spend: Callable[[int], bool],
        *,
        hold_limit: float,
        counted: Mapping[str, int],
        owed: int = 0,
        told: Told = _untold,
    ) -> None:
        self._policy_for = policy_for
        self._spend = spend
        self._hold_limit = hold_limit
        self._told = told
        self._wait = 0.0
        self._code = ""
        self.counted = Counter(counted)
        self.owed = owed

    def call(self, function: Callable[[], T]) -> T:
        """Return what `function` returns.

        Raises:
            HandBack: the next attempt is due later than a slot may be held.
            InferenceError: the last error, when its policy allows no further attempt.
        """
        if not self._pay(self.owed) and self._may_wait():
            raise self._postponed()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._again),
            wait=lambda _: self._wait,
            sleep=self._hold,
            reraise=True,
        )
        return retrying(function)

    def _again(self, error: BaseException) -> bool:
        if not isinstance(error, InferenceError):
            return False
        policy = self._policy_for(error)
        self._code = error.code
        self.counted[error.code] += 1
        if self.counted[error.code] >= policy.attempts:
            return False
        if not self._pay(policy.cost):
            if self._may_wait():
                raise self._postponed() from error
            return False
        after = getattr(error, "retry_after", None)
        calls = self.counted[error.code]
        self._wait = wait_seconds(policy, calls, _RANDOM, retry_after=after)
        self._told(error.code, calls, self._wait)
        return True

    def _pay(self, cost: int) -> bool:
        paid = not cost or self._spend(cost)
        self.owed = 0 if paid else cost
        return paid

    def _may_wait(self) -> bool:
        self.counted[REFUSED] += 1
        return self.counted[REFUSED] < REFUSED_LIMIT

    def _postponed(self) -> HandBack:
        """Spread what waits for the budget, so that it does not come back all at once."""
        return HandBack(_RANDOM.uniform(REFUSED_WAIT / 2, REFUSED_WAIT), REFUSED)

    def _hold(self, seconds: float) -> None:
        if seconds > self._hold_limit:
            raise HandBack(seconds, self._code)
        time.sleep(seconds)
