"""The limit that adapts, without Redis."""

import math
from dataclasses import replace

import pytest
from celery_sagemaker.tasks.limits.aimd import BACKOFF, INTERVAL, Aimd
from celery_sagemaker.tasks.limits.outcomes import Tally
from hypothesis import given
from hypothesis import strategies as st

ANSWERED = Tally(calls=1, grow=1, up=1)
THROTTLED = Tally(calls=1, cut=1)


def test_throttling_halves_the_limit_once_per_interval() -> None:
    """A hundred calls that are throttled together are one piece of news."""
    aimd = Aimd(64, 64.0)
    for _ in range(100):
        aimd = aimd.after(THROTTLED, now=10.0, in_use=64)
    assert aimd.limit == 64 * BACKOFF
    assert aimd.after(THROTTLED, now=10.0 + INTERVAL, in_use=32).limit == 64 * BACKOFF**2


def test_an_interval_is_no_shorter_than_a_call() -> None:
    """Calls of five seconds that began before the cut end for five seconds."""
    aimd = Aimd(64, 64.0).after(THROTTLED, now=0.0, in_use=64)
    assert aimd.after(THROTTLED, now=4.9, in_use=64, seconds=5.0) == aimd
    assert aimd.after(ANSWERED, now=4.9, in_use=64, seconds=5.0) == aimd
    assert aimd.after(THROTTLED, now=5.0, in_use=64, seconds=5.0).limit == 16


def test_a_round_of_answers_raises_the_limit_by_one() -> None:
    """Additive: as many answers as the limit says."""
    aimd = Aimd(64, 8.0)
    for _ in range(8):
        aimd = aimd.after(ANSWERED, now=0.0, in_use=8)
    assert aimd.limit == pytest.approx(9.0, abs=0.1)


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    """Three calls at a time are no evidence that nine would be taken."""
    aimd = Aimd(64, 8.0)
    assert aimd.after(ANSWERED, now=0.0, in_use=3) == aimd


@given(
    limit=st.floats(1, 100),
    calls=st.integers(1, 10_000),
    cut=st.integers(0, 3),
    in_use=st.integers(0, 200),
)
def test_it_stays_between_one_and_the_maximum(
    limit: float, calls: int, cut: int, in_use: int
) -> None:
    """Whatever is reported."""
    after = Aimd(100, limit).after(Tally(calls, grow=calls, cut=cut), now=0.0, in_use=in_use)
    assert 1 <= after.limit <= 100


@given(first=st.integers(1, 1000), second=st.integers(1, 1000), limit=st.floats(1, 100))
def test_reports_may_be_put_together(first: int, second: int, limit: float) -> None:
    """A block's counts in one report do what its calls do one by one."""
    apart = Aimd(1000, limit)
    for calls in (first, second):
        apart = apart.after(Tally(calls, grow=calls), now=0.0, in_use=1000)
    together = Aimd(1000, limit).after(Tally(0, grow=first + second), now=0.0, in_use=1000)
    assert together.limit == pytest.approx(apart.limit)


def test_it_finds_what_an_endpoint_takes() -> None:
    """An endpoint that takes 20 calls a round: the limit comes down from 100 and stays near."""
    aimd, seen = Aimd(100, 100.0), []
    for second in range(200):
        in_use = math.floor(aimd.limit)
        taken, refused = min(in_use, 20), max(0, in_use - 20)
        aimd = aimd.after(Tally(in_use, grow=taken), now=float(second), in_use=in_use)
        aimd = aimd.after(Tally(refused, cut=refused), now=float(second), in_use=in_use)
        seen.append(aimd.limit)
    settled = seen[50:]
    assert max(settled) <= 22
    assert min(settled) >= 10
    assert sum(settled) / len(settled) > 14


def test_it_recovers_to_the_maximum() -> None:
    """When throttling is over, successes bring all of it back."""
    aimd = replace(Aimd(16, 1.0), cut_at=0.0)
    for second in range(1, 20):
        round_ = math.floor(aimd.limit)
        aimd = aimd.after(Tally(round_, grow=round_), now=float(second), in_use=round_)
    assert aimd.limit == 16
