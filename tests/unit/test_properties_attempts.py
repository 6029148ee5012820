"""Attempts against a model: who is called how often, what is paid and owed, what is waited."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from unittest import mock

from celery_sagemaker.config.retries import RetryPolicy
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.runtime.exceptions import InferenceError
from celery_sagemaker.tasks import attempts as module
from celery_sagemaker.tasks.attempts import REFUSED, REFUSED_WAIT, Attempts, HandBack
from hypothesis import example, given
from hypothesis import strategies as st

#: Turns of waiting for the budget in these tests.
LIMIT = 4

ERRORS: Mapping[str, type[InferenceError]] = {
    "ModelError": exceptions.ModelError,
    "ServiceUnavailable": exceptions.ServiceUnavailable,
    "ThrottlingException": exceptions.ThrottlingException,
}

WAITS = st.sampled_from([0.0, 0.5, 3.0, 100.0])
POLICIES = st.fixed_dictionaries(
    {
        code: st.builds(
            RetryPolicy,
            attempts=st.integers(1, 4),
            wait_initial=WAITS,
            wait_max=WAITS,
            cost=st.sampled_from([0, 5, 14]),
        )
        for code in ERRORS
    }
)

#: What one call after the other says; None is an answer, and so is what comes after the last.
OUTCOMES = st.lists(st.sampled_from([*ERRORS, None]), max_size=14)

#: Whether the budget pays, each time it is asked; afterwards it does.
GRANTS = st.lists(st.booleans(), max_size=14)


@dataclass
class World:
    """What a request meets: answers and errors, and a budget."""

    outcomes: Iterator[str | None]
    grants: Iterator[bool]
    calls: Counter[str] = field(default_factory=Counter)
    paid: int = 0

    def call(self) -> str:
        """The call."""
        code = next(self.outcomes)
        self.calls[code or "answer"] += 1
        if code is None:
            return "answer"
        raise ERRORS[code]

    def spend(self, cost: int) -> bool:
        """The budget."""
        granted = next(self.grants)
        self.paid += cost if granted else 0
        return granted


def world(outcomes: list[str | None], grants: list[bool]) -> World:
    """The same world each time."""
    return World(
        itertools.chain(outcomes, itertools.repeat(None)),
        itertools.chain(grants, itertools.cycle([True])),
    )


@dataclass
class End:
    """How a request ends."""

    outcome: str
    counted: Counter[str]
    owed: int


def modelled(met: World, policies: Mapping[str, RetryPolicy]) -> End:
    """What becomes of a request: retried while its error's policy allows and the budget pays."""
    counted, owed = Counter[str](), 0
    while True:
        while owed:
            if met.spend(owed):
                owed = 0
                continue
            counted[REFUSED] += 1
            if counted[REFUSED] >= LIMIT:
                break
        try:
            return End(met.call(), counted, owed)
        except InferenceError as error:
            code = error.code
        policy = policies[code]
        counted[code] += 1
        if counted[code] >= policy.attempts:
            return End(code, counted, owed)
        owed = policy.cost if policy.cost and not met.spend(policy.cost) else 0
        if owed:
            counted[REFUSED] += 1
            if counted[REFUSED] >= LIMIT:
                return End(code, counted, owed)


def run(
    met: World, policies: Mapping[str, RetryPolicy], hold_limit: float, slept: list[float]
) -> End:
    """Let a request go through as many runs as it is handed back; each knows the last one's."""
    counted, owed = dict[str, int](), 0
    for _ in range(100):
        one = Attempts(
            lambda error: policies[error.code],
            met.spend,
            hold_limit=hold_limit,
            counted=counted,
            owed=owed,
        )
        try:
            outcome = one.call(met.call)
        except HandBack as later:
            least, most = hold_limit, max(policy.wait_max for policy in policies.values())
            if one.owed:
                least, most = REFUSED_WAIT / 2, REFUSED_WAIT
            assert (later.why == REFUSED) is bool(one.owed)  # noqa: PT017 - one of many
            assert least <= later.seconds <= most  # noqa: PT017
            counted, owed = dict(one.counted), one.owed
            continue
        except InferenceError as error:
            outcome = error.code
        assert all(0 <= seconds <= hold_limit for seconds in slept)
        return End(outcome, one.counted, one.owed)
    raise AssertionError("It is handed back for ever.")


@given(OUTCOMES, GRANTS, POLICIES, st.sampled_from([0.0, 2.0, float("inf")]))
@example(["ModelError"] * 4, [False] * 9, {}, 0.0)
@example(["ModelError", None], [False] * LIMIT, {}, 2.0)
def test_attempts_do_what_their_model_does(
    outcomes: list[str | None],
    grants: list[bool],
    policies: Mapping[str, RetryPolicy],
    hold_limit: float,
) -> None:
    """The same calls, end, counts, payments and debt, in however many runs."""
    default = RetryPolicy(attempts=9, wait_initial=1.0, wait_max=1.0, cost=14)
    policies = {code: policies.get(code, default) for code in ERRORS}
    slept, met, expected = list[float](), world(outcomes, grants), world(outcomes, grants)
    with (
        mock.patch.object(module, "REFUSED_LIMIT", LIMIT),
        mock.patch("time.sleep", slept.append),
    ):
        end = run(met, policies, hold_limit, slept)
    assert end == modelled(expected, policies)
    assert (met.calls, met.paid) == (expected.calls, expected.paid)
    for code in ERRORS:
        assert met.calls[code] <= policies[code].attempts
    assert end.counted[REFUSED] <= LIMIT + sum(met.calls.values())
