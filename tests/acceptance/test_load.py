"""Many requests at once: killed workers lose none, and pending inferences hold no slot."""

import random
from typing import Any

import pytest
from celery import Celery, group
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.deployment import deployment
from harness import Worker, behave, calls, eventually

#: Requests of one group, published together.
GROUP = 100

#: Makes the moments of the kills the same in each run, as far as the machine allows.
SEED = 7


def send(app: Celery, task: str, endpoint: str, number: int) -> list[str]:
    """Send so many requests; returns their ids."""
    sent: list[str] = []
    for start in range(0, number, GROUP):
        members = range(start, min(start + GROUP, number))
        made = group([app.tasks[task].s(endpoint, {"n": n}) for n in members], app=app)
        result: Any = made.apply_async()
        sent += [child.id for child in result.results]
    return sent


def in_flight(app: Celery) -> int:
    """Requests that somebody is running, or was when it died."""
    ledger = deployment(app).ledger
    running = ledger.client.scan_iter(ledger.key("running", "*"))
    return sum(int(ledger.client.scard(key)) for key in running)


def finished(app: Celery) -> int:
    """Requests with a final state."""
    return sum(number for state, number in tasks.counts(app).items() if state != "ACCEPTED")


@pytest.mark.parametrize(
    ("requests", "kills"),
    [
        pytest.param(1_000, 6, marks=pytest.mark.timeout(240)),
        pytest.param(10_000, 60, marks=[pytest.mark.long, pytest.mark.timeout(1_200)]),
    ],
)
def test_killed_workers_lose_nothing(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, requests: int, kills: int
) -> None:
    """Each request ends once, and what is called twice was in flight at a kill."""
    draw = random.Random(SEED)
    ids = send(app, "sagemaker.invoke", "echo", requests)
    at_kills = 0
    for _ in range(kills):
        worker.start()
        goal = finished(app) + draw.randint(1, requests // kills)
        eventually(lambda goal=goal: finished(app) >= min(goal, requests))  # type: ignore[misc]
        worker.kill()
        at_kills += in_flight(app)
    worker.start()
    eventually(lambda: finished(app) == requests, seconds=200.0)
    assert tasks.counts(app) == {"ACCEPTED": requests, "SUCCEEDED": requests}
    called = calls(sagemaker_local, *ids)
    assert set(called) == set(ids)
    assert sum(called.values()) - requests <= at_kills


@pytest.mark.parametrize(
    "pending",
    [
        pytest.param(1_000, marks=pytest.mark.timeout(120)),
        pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1_200)]),
    ],
)
def test_pending_inferences_hold_no_slot(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, pending: int
) -> None:
    """While all of them are pending, the worker's slots are free, and a call is answered."""
    behave(sagemaker_local, "slow", kind="async", delay={"fixed": 3_600.0})
    send(app, "sagemaker.invoke_async", "slow", pending)
    worker.start()
    ledger = deployment(app).ledger
    awaited = ledger.key("pending", f"s3://{sagemaker_local.bucket}/outputs/*")

    def submitted() -> int:
        # The hour may change in between: every prefix counts.
        return sum(int(ledger.client.zcard(key)) for key in ledger.client.scan_iter(awaited))

    eventually(lambda: submitted() == pending, seconds=1_000.0)
    assert tasks.invoke.delay("echo", "now").get(timeout=30)["body"] == {"text": "now"}
    assert in_flight(app) <= 1
    assert submitted() == pending
    assert tasks.counts(app)["ACCEPTED"] == pending + 1
