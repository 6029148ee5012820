"""A chunk's permits: blocks of the fleet's limits, given back when others should have them."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.batch.permits import Answers, FleetPermits
from celery_sagemaker.tasks.limits import Limits


@pytest.fixture
def client(sagemaker_redis_url: str) -> Iterator[redis.Redis]:
    """A client."""
    made = redis.Redis.from_url(sagemaker_redis_url)
    yield made
    made.close()


def limits(client: redis.Redis, **options: Any) -> Limits:
    """Limits with keys of their own."""
    name = f"test-{uuid.uuid4().hex}"
    return Limits(client, name, Settings(prefix=name, limits=options))


def answers(succeeded: int = 0, in_flight: int = 0, **failed: int) -> Answers:
    """What an endpoint answered."""
    return Answers(succeeded, failed, in_flight)


def test_an_endpoint_without_limits_grants_what_is_wanted(client: redis.Redis) -> None:
    """And nothing is counted."""
    fleet = FleetPermits(limits(client), "churn")
    assert fleet.renew(32, answers()) == 32
    assert fleet.renew(8, answers(succeeded=5, in_flight=4)) == 8
    fleet.release()


def test_two_runs_share_the_limit(client: redis.Redis) -> None:
    """Never more than it together; what one gives back the other gets."""
    shared = limits(client, max_concurrency=8)
    one, two = FleetPermits(shared, "churn"), FleetPermits(shared, "churn")
    held = [one.renew(8, answers()), two.renew(8, answers())]
    for _ in range(8):
        held = [one.renew(8, answers(succeeded=8)), two.renew(8, answers(succeeded=8))]
        assert 0 < sum(held) <= 8
    assert min(held) >= 1
    one.release()
    for _ in range(8):
        got = two.renew(8, answers(succeeded=8))
    assert got == 8
    two.release()
    assert shared.state("churn").in_use == 0


def test_calls_in_flight_keep_their_permits(client: redis.Redis) -> None:
    """Whoever wants fewer gives back only what is not in use."""
    shared = limits(client, max_concurrency=8)
    one = FleetPermits(shared, "churn")
    held = 0
    for _ in range(8):
        held = one.renew(8, answers())
    assert one.renew(1, answers(in_flight=held)) == held
    assert one.renew(1, answers(succeeded=held - 2, in_flight=2)) == 2
    one.release()


def test_a_dead_endpoint_grants_nothing(client: redis.Redis) -> None:
    """Once its breaker is open, a run has no permits, and gives back those it has."""
    shared = limits(client, breaker=True, breaker_calls=4, max_concurrency=8)
    one = FleetPermits(shared, "churn")
    assert one.renew(8, answers()) > 0
    one.renew(8, answers(InternalFailure=20))
    assert one.renew(8, answers()) == 0
    assert shared.state("churn").breaker == "open"
