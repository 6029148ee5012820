"""The rules of the semaphore, without Redis."""

import random

import pytest
from celery_sagemaker.config import Settings, SettingsError
from celery_sagemaker.tasks.limits.semaphore import (
    JITTER,
    MAX_WAIT,
    MIN_WAIT,
    asked_back,
    grant,
    spread,
    wait_seconds,
)
from hypothesis import given
from hypothesis import strategies as st

limits = st.floats(1, 100)
counts = st.integers(0, 200)


@given(want=st.integers(1, 100), limit=limits, in_use=counts, waiting=counts)
def test_no_more_than_is_free_or_wanted(want: int, limit: float, in_use: int, waiting: int) -> None:
    """Whatever the others do."""
    granted = grant(want, limit, in_use, waiting)
    assert 0 <= granted <= want
    assert granted + in_use <= max(limit, in_use)


@given(limit=limits, in_use=counts, waiting=counts)
def test_one_permit_is_given_whenever_one_is_free(limit: float, in_use: int, waiting: int) -> None:
    """No permit idles because somebody else might come."""
    assert grant(1, limit, in_use, waiting) == (in_use + 1 <= limit)


@given(want=st.integers(2, 100), limit=st.floats(1, 100), waiting=counts)
def test_a_block_leaves_room(want: int, limit: float, waiting: int) -> None:
    """At least half of a semaphore that is free stays so; a block always gets something."""
    granted = grant(want, limit, 0, waiting)
    assert 1 <= granted <= max(1, int(limit) // 2)


def test_blocks_share_with_those_who_wait() -> None:
    """In proportion to what each of them wants; two blocks never refuse each other for ever."""
    assert grant(50, 100, 40, waiting=0) == 30
    assert grant(10, 100, 40, waiting=20) == 10
    assert grant(50, 100, 40, waiting=100) == 20
    assert grant(50, 100, 99, waiting=1000) == 1


def test_a_block_is_asked_for_its_part_of_what_is_missing() -> None:
    """Half of the limit at most for those who wait, all that a cut has left over it."""
    assert asked_back(50, 100, in_use=100, waiting=0) == 0
    assert asked_back(50, 100, in_use=100, waiting=10) == 5
    assert asked_back(50, 100, in_use=100, waiting=1000) == 25
    assert asked_back(50, 50, in_use=100, waiting=0) == 25


@given(held=st.integers(0, 200), limit=limits, others=counts, waiting=counts)
def test_a_block_is_never_asked_for_its_last_permit(
    held: int, limit: float, others: int, waiting: int
) -> None:
    """Whoever has begun goes on."""
    assert 0 <= asked_back(held, limit, held + others, waiting) <= max(0, held - 1)


@given(waiting=st.integers(0, 10_000), limit=limits, seconds=st.floats(0, 100))
def test_waits_are_bounded_and_grow(waiting: int, limit: float, seconds: float) -> None:
    """Whoever comes later waits no shorter."""
    wait = wait_seconds(waiting, limit, seconds)
    assert MIN_WAIT <= wait <= MAX_WAIT
    assert wait <= wait_seconds(waiting + 1, limit, seconds)


def test_those_refused_together_come_back_apart() -> None:
    """Around the expected wait, on both sides."""
    rng = random.Random(1)
    drawn = [spread(10.0, rng) for _ in range(200)]
    assert min(drawn) >= 10 * JITTER[0]
    assert max(drawn) <= 10 * JITTER[1]
    assert len(set(drawn)) == 200


def test_by_default_nothing_is_limited() -> None:
    """A small user gets no limit and no breaker."""
    assert not Settings().limits_of("churn").limiting


def test_limits_are_joined_key_by_key() -> None:
    """For every endpoint, then for one, then for a component of it."""
    settings = Settings(
        limits={"max_concurrency": 100, "breaker_calls": 7},
        endpoints={
            "LLM": {"limits": {"max_concurrency": 8, "breaker": True}},
            "llm/adapter": {"limits": {"max_concurrency": 2}},
        },
    )
    adapter, other = settings.limits_of("llm/Adapter"), settings.limits_of("llm/other")
    assert (adapter.max_concurrency, adapter.breaker, adapter.breaker_calls) == (2, True, 7)
    assert (other.max_concurrency, other.breaker) == (8, True)
    assert settings.limits_of("churn").max_concurrency == 100


@pytest.mark.parametrize(
    ("values", "key", "part"),
    [
        ({"limits": {"max_concurency": 1}}, "limits.max_concurency", "mean max_concurrency?"),
        (
            {"endpoints": {"a": {"limits": {"braker": True}}}},
            "endpoints.a.limits.braker",
            "mean breaker?",
        ),
        ({"limits": {"max_concurrency": 0}}, "limits.max_concurrency", "greater than or equal to"),
        ({"limits": {"breaker_share": 1.0}}, "limits.breaker_share", "less than 1"),
    ],
)
def test_wrong_limits_are_named(values: dict[str, object], key: str, part: str) -> None:
    """By their dotted keys, with what was probably meant."""
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    assert part in caught.value.problems[key]
