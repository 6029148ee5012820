"""What the doctor says of workers, queues, the ledger and beat, of what was seen of them."""

from dataclasses import replace
from typing import Any

import pytest
from celery_sagemaker.config import Settings
from celery_sagemaker.config.queues import ALL
from celery_sagemaker.workers.doctor import Severity, ledger, queues, schedules, workers
from celery_sagemaker.workers.doctor.fleet import Fleet, Worker
from celery_sagemaker.workers.inspection import longest_task

HERE = {"python": "3.11.7", "celery-sagemaker": "1.0", "celery": "5.7.0"}

REPORT: dict[str, Any] = {
    "versions": HERE,
    "time": 0.0,
    "prefix": "celery-sagemaker",
    "connections": 8,
    "visibility_timeout": 120,
    "renewing": True,
    "longest_task": None,
}

WORKER = Worker(
    name="w1@host",
    queues=ALL,
    report=REPORT,
    pool="celery.concurrency.thread:TaskPool",
    slots=8,
)

FOREIGN = Worker(
    name="theirs@host",
    queues=("celery",),
    pool="celery.concurrency.prefork:TaskPool",
    conf={"task_time_limit": 60},
)


def wrong(*fleet: Worker, visible: bool = True, twice: tuple[str, ...] = ()) -> dict[str, Severity]:
    """Return what is not well, by id."""
    found = workers.judge(Fleet(workers=fleet, twice=twice), Settings(), HERE, visible=visible)
    return {f.id: f.severity for f in found if not f.well}


def reporting(**changes: Any) -> Worker:
    """A worker that says something else."""
    return replace(WORKER, report=REPORT | changes)


def test_healthy_workers_have_no_findings() -> None:
    """Nor has another app's on the same broker, whose tasks are shorter than the timeout."""
    assert wrong(WORKER, replace(WORKER, name="w2@host"), FOREIGN) == {}


@pytest.mark.parametrize(
    ("worker", "id_", "severity"),
    [
        (reporting(versions=HERE | {"celery-sagemaker": "0.9"}), "workers.versions", "fault"),
        (reporting(versions=HERE | {"celery": "5.6.0"}), "workers.versions", "warning"),
        (reporting(versions=HERE | {"python": "3.12.1"}), "workers.versions", "warning"),
        (reporting(prefix="other"), "workers.prefix", "fault"),
        (reporting(connections=4), "workers.connections", "warning"),
        (replace(WORKER, skew=3.0), "workers.clock", "warning"),
        (replace(WORKER, skew=-70.0), "workers.clock", "fault"),
        (replace(WORKER, report=None, conf={"task_time_limit": 60}), "workers.known", "fault"),
        (replace(WORKER, pool="celery.concurrency.gevent:TaskPool"), "workers.pool", "warning"),
        (reporting(renewing=False), "workers.visibility", "fault"),
        (reporting(renewing=False, longest_task=200.0), "workers.visibility", "fault"),
    ],
)
def test_a_worker_shows_what_is_wrong(worker: Worker, id_: str, severity: str) -> None:
    """One cause, one finding."""
    assert wrong(worker) == {id_: severity}


@pytest.mark.parametrize(
    "worker",
    [
        reporting(versions=HERE | {"python": "3.11.9"}),
        reporting(renewing=False, longest_task=100.0),
        replace(WORKER, slots=4),
        replace(WORKER, pool="celery.concurrency.prefork:TaskPool", slots=64),
        replace(WORKER, skew=3.0, uncertain=2.0),
    ],
)
def test_a_worker_that_is_well(worker: Worker) -> None:
    """A patch of Python, a task within the timeout, and a slow answer are no findings."""
    assert wrong(worker) == {}


def test_the_shortest_visibility_timeout_of_all_counts() -> None:
    """A worker of ours with two minutes doubles the long tasks of another app."""
    long = replace(FOREIGN, conf={"task_time_limit": 1_800})
    assert wrong(long) == {}
    assert wrong(WORKER, long) == {"workers.visibility": "fault"}
    assert wrong(WORKER, replace(FOREIGN, conf={})) == {"workers.visibility": "warning"}
    assert wrong(WORKER, long, visible=False) == {}


def test_on_rabbitmq_greenlets_do_as_well() -> None:
    """The broker itself knows which messages a dead worker had."""
    green = replace(WORKER, pool="celery.concurrency.gevent:TaskPool")
    assert wrong(green, visible=False) == {}
    assert wrong(green, WORKER) == {}


def test_nobody_and_two_of_one_name_are_told() -> None:
    """Remote control takes names for what they say."""
    assert wrong() == {"workers.alive": "fault"}
    assert wrong(WORKER, twice=("w1@host",)) == {"workers.names": "warning"}


def test_a_broker_that_is_away_is_one_finding() -> None:
    """Of workers as of queues."""
    fleet = Fleet(away="refused")
    (asked,) = workers.judge(fleet, Settings(), HERE, visible=True)
    (reachable,) = queues.judge(fleet, [])
    assert (asked.id, reachable.id) == ("workers.asked", "queues.reachable")
    assert "refused" in asked.seen
    assert "refused" in reachable.seen


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (queues.Waiting(name="sagemaker.poll", depth=0), {}),
        (queues.Waiting(name="sagemaker.poll", depth=9, oldest=599.0), {}),
        (
            queues.Waiting(name="sagemaker.poll", depth=9, oldest=601.0),
            {"queues.waiting": "warning"},
        ),
        (queues.Waiting(name="sagemaker.other", depth=0), {"queues.consumed": "fault"}),
    ],
)
def test_queues(waiting: queues.Waiting, expected: dict[str, str]) -> None:
    """Each needs a worker, and is to be emptied."""
    found = queues.judge(Fleet(workers=(WORKER,)), [waiting])
    assert {f.id: f.severity for f in found if not f.well} == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (ledger.Seen(base="{p}:", ticking=True), {}),
        (ledger.Seen(base="{p}:"), {"ledger.clock": "fault"}),
        (ledger.Seen(base="{p}:", unread="away"), {"ledger.read": "fault"}),
        (
            ledger.Seen(base="{p}:", ticking=True, dead=2, newest={"id": "i", "code": "Poison"}),
            {"ledger.dead-letters": "warning"},
        ),
    ],
)
def test_the_ledger(seen: ledger.Seen, expected: dict[str, str]) -> None:
    """Somebody has to tick, and nothing to be buried."""
    assert {f.id: f.severity for f in ledger.judge(seen) if not f.well} == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (schedules.Seen(), {}),
        (schedules.Seen(entries=1, locked=True), {}),
        (schedules.Seen(entries=1), {"schedules.beat": "fault"}),
        (schedules.Seen(unread="away"), {"schedules.read": "warning"}),
    ],
)
def test_beat(seen: schedules.Seen, expected: dict[str, str]) -> None:
    """It has to run where something is scheduled."""
    assert {f.id: f.severity for f in schedules.judge(seen) if not f.well} == expected


def test_the_longest_task_of_a_deployment() -> None:
    """Without a limit of streams there is none; else the longer of a stream and a chunk."""
    assert longest_task(Settings()) is None
    long = Settings(streams={"total_timeout": 600})
    assert longest_task(long) == 600
    short = Settings(streams={"total_timeout": 1}, batch={"chunk_seconds": 30})
    assert longest_task(short) == 30 + short.longest_call
