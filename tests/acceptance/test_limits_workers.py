"""Limits kept by real workers: calls at once at the endpoint, and calls that it is spared."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.limits import BreakerState
from harness import Environment, Worker, eventually

#: Calls at once that the settings allow; two workers of four threads would make eight.
MAXIMUM = 3

REQUESTS = 60

pytestmark = pytest.mark.timeout(120)


def behave(stack: LocalStack, name: str, **behaviour: object) -> None:
    """Give the emulator an endpoint."""
    request = urllib.request.Request(  # noqa: S310 - ours
        f"{stack.endpoint_url}/_admin/endpoints/{name}",
        json.dumps(behaviour).encode(),
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - ours
        assert answer.status == 200


def calls(stack: LocalStack, name: str) -> list[str]:
    """How each call of an endpoint ended, by error; `200` is an answer."""
    with urllib.request.urlopen(f"{stack.endpoint_url}/_admin/calls?endpoint={name}") as answer:  # noqa: S310
        return [call["error"] or "200" for call in json.load(answer)]


@pytest.fixture
def limited(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Limits of the endpoints `counted` and `broken`."""
    ours = {
        "ENDPOINTS__COUNTED__LIMITS__MAX_CONCURRENCY": str(MAXIMUM),
        "ENDPOINTS__BROKEN__LIMITS__BREAKER": "true",
        "ENDPOINTS__BROKEN__LIMITS__BREAKER_CALLS": "5",
        "ENDPOINTS__BROKEN__LIMITS__BREAKER_COOLDOWN": "3",
        "ENDPOINTS__BROKEN__LIMITS__BREAKER_PROBES": "2",
        "ENDPOINTS__BROKEN__RETRIES__INTERNALFAILURE__ATTEMPTS": "20",
        "ENDPOINTS__BROKEN__RETRIES__INTERNALFAILURE__WAIT_MAX": "0.5",
    }
    named = {f"CELERY_SAGEMAKER_{name}": value for name, value in ours.items()}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    return {**environment, **named}


@pytest.fixture
def workers(limited: Environment, app: Celery, tmp_path: Path) -> Iterator[list[Worker]]:
    """Two workers, killed at the end."""
    made = [Worker(limited, tmp_path / f"worker{n}.log", "crashing") for n in range(2)]
    for worker in made:
        worker.start()
    yield made
    for worker in made:
        worker.kill()


def succeeded(app: Celery) -> int:
    """How many requests have succeeded."""
    return tasks.counts(app).get("SUCCEEDED", 0)


def test_two_workers_keep_one_limit(
    sagemaker_local: LocalStack, limited: Environment, app: Celery, workers: list[Worker]
) -> None:
    """Never more calls at once than allowed; every request is answered; parking is no attempt."""
    behave(sagemaker_local, "counted", target="counting:count", throttle=15)
    sent = [tasks.invoke.delay("counted", {"n": n}) for n in range(REQUESTS)]
    eventually(lambda: succeeded(app) == REQUESTS, 90)
    bodies = [json.loads(result.get(timeout=10)["body"]["text"]) for result in sent]
    at_once = [body["in_flight"] for body in bodies]
    assert 1 < max(at_once) <= MAXIMUM
    ended = calls(sagemaker_local, "counted")
    assert ended.count("200") == REQUESTS
    rows = [tasks.status(result.id, app) for result in sent]
    counted = sum(sum(row.attempts.values()) for row in rows if row is not None)
    assert counted == len(ended) - REQUESTS
    parked = sum(row.deliveries - 1 for row in rows if row is not None)
    assert parked > 0
    limits = tasks.deployment(app).limits
    eventually(lambda: limits.state("counted").in_use == 0)


def test_an_endpoint_that_is_down_is_left_alone(
    sagemaker_local: LocalStack, limited: Environment, app: Celery, workers: list[Worker]
) -> None:
    """The breaker opens; nothing fails; when the endpoint is back, everything is answered."""
    behave(sagemaker_local, "broken", errors={"InternalFailure": 1.0})
    for n in range(20):
        tasks.invoke.delay("broken", {"n": n})
    limits = tasks.deployment(app).limits
    eventually(lambda: limits.state("broken").breaker is BreakerState.OPEN)
    behave(sagemaker_local, "broken")
    eventually(lambda: succeeded(app) == 20)
    assert limits.state("broken").breaker is BreakerState.CLOSED
    assert tasks.counts(app) == {"ACCEPTED": 20, "SUCCEEDED": 20}
    # Eight threads may have had a call each when it opened, and retried those at once.
    assert len(calls(sagemaker_local, "broken")) - 20 < 20
