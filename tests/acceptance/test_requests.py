"""The life of single requests, with a real worker: how else they end, and what is never run."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions, responses
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.exceptions import MalformedMessage, PoisonMessage
from harness import Environment, Worker, behave, calls, eventually

#: Seconds for one request to end.
PATIENCE = 45.0


def reason(app: Celery, id_: str) -> str | None:
    """The code for which a request has not succeeded."""
    status = tasks.status(id_, app)
    return None if status is None or status.reason is None else str(status.reason["code"])


def state(app: Celery, id_: str) -> str | None:
    """Where a request stands."""
    status = tasks.status(id_, app)
    return None if status is None else str(status.state)


def test_a_message_sent_by_name_is_a_request_too(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Its row is written when a worker receives it; from then on it is not lost."""
    result = app.send_task("sagemaker.invoke", ("echo", {"a": 1}))
    assert tasks.status(result.id, app) is None
    worker.start()
    assert responses.from_json(result.get(timeout=PATIENCE)).json() == {"a": 1}  # type: ignore[union-attr]
    eventually(lambda: tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1})
    assert calls(sagemaker_local, result.id) == {result.id: 1}


def test_a_message_that_nobody_can_read_is_kept_with_its_reason(
    app: Celery, worker: Worker
) -> None:
    """Malformed, newer, of an unknown task, or not JSON: it ends, on the dead-letter list."""
    newer = {"message": {"version": 99, "request": {}}}
    known = [
        app.send_task("sagemaker.invoke", kwargs={"message": "nonsense"}),
        app.send_task("sagemaker.invoke_async", kwargs=newer),
    ]
    unknown = app.send_task("sagemaker.of_tomorrow", kwargs=newer, queue="sagemaker.invoke")
    accepted = tasks.invoke.delay("echo", "x")
    worker.start()
    for result in known:
        with pytest.raises(MalformedMessage):
            result.get(timeout=PATIENCE)
    accepted.get(timeout=PATIENCE)
    ledger = deployment(app).ledger
    eventually(lambda: len(ledger.dead_letters()) == 3)
    letters = {letter["id"]: letter for letter in ledger.dead_letters()}
    assert set(letters) == {result.id for result in (*known, unknown)}
    assert {letter["code"] for letter in letters.values()} == {"MalformedMessage"}
    assert "of_tomorrow" in letters[unknown.id]["message"]
    assert "version 99" in letters[known[1].id]["message"]


def test_a_request_that_kills_its_workers_is_given_up(
    app: Celery, worker: Worker, tmp_path: Path, environment: Environment
) -> None:
    """After so many deaths it fails as poison, and is on the dead-letter list."""
    result = tasks.invoke.delay("echo", "poison")
    limit = deployment(app).settings.ledger.max_deliveries
    for _ in range(limit):
        once = tmp_path / "once"
        once.touch()
        worker.start(CRASH_AT="begun", CRASH_ACTION="kill", CRASH_ONCE=str(once))
        worker.wait_for_death()
    worker.start()
    with pytest.raises(PoisonMessage, match=f"{limit} runs"):
        result.get(timeout=PATIENCE)
    eventually(lambda: reason(app, result.id) == "PoisonMessage")
    (letter,) = deployment(app).ledger.dead_letters()
    assert (letter["id"], letter["code"]) == (result.id, "PoisonMessage")


def test_a_lost_message_is_sent_again(app: Celery, worker: Worker) -> None:
    """The broker forgets it before anybody had it: the row brings it back."""
    result = tasks.invoke.delay("echo", "x")
    ledger = deployment(app).ledger
    assert ledger.client.delete("sagemaker.invoke") == 1
    worker.start()
    assert result.get(timeout=PATIENCE)["body"] == {"text": "x"}


def test_a_pending_inference_can_be_revoked(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """By its id, from any process; its output is not awaited any more."""
    behave(sagemaker_local, "slow", kind="async", delay={"fixed": 3_600.0})
    worker.start()
    result = tasks.invoke_async.delay("slow", "x")
    eventually(lambda: state(app, result.id) == "SUBMITTED")
    assert str(result.state) == "SUBMITTED"
    assert tasks.revoke(result.id, app)
    assert not tasks.revoke(result.id, app)
    assert state(app, result.id) == "REVOKED"
    with pytest.raises(TaskRevokedError):
        result.get(timeout=PATIENCE)
    ledger = deployment(app).ledger
    assert not list(ledger.client.scan_iter(ledger.key("pending", "*")))


def test_celerys_own_revoke_ends_a_pending_inference(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """What every worker was told, the clock does."""
    behave(sagemaker_local, "slow", kind="async", delay={"fixed": 3_600.0})
    worker.start()
    result = tasks.invoke_async.delay("slow", "x")
    eventually(lambda: state(app, result.id) == "SUBMITTED")
    result.revoke()
    eventually(lambda: state(app, result.id) == "REVOKED")


def test_a_queued_request_can_be_revoked(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Its message finds a row that has ended, and the endpoint is not called."""
    revoked, kept = tasks.invoke.delay("echo", "a"), tasks.invoke.delay("echo", "b")
    assert tasks.revoke(revoked.id, app)
    worker.start()
    kept.get(timeout=PATIENCE)
    assert calls(sagemaker_local, revoked.id, kept.id) == {kept.id: 1}
    assert state(app, revoked.id) == "REVOKED"


def test_an_expired_request_is_not_run(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Celery drops its message; the ledger says so."""
    gone = datetime.now(UTC) + timedelta(milliseconds=1)
    result = tasks.invoke.apply_async(("echo", "x"), expires=gone)
    worker.start()
    eventually(lambda: state(app, result.id) == "EXPIRED")
    assert calls(sagemaker_local, result.id) == {}


def test_an_inference_past_its_deadline_expires(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, environment: Environment
) -> None:
    """Neither output nor failure came in time: EXPIRED, and the error says how long it waited."""
    behave(sagemaker_local, "silent", kind="async", missing_rate=1.0)
    worker.start(CELERY_SAGEMAKER_POLLING__DEADLINE_MARGIN="0")
    result = tasks.invoke_async.delay(
        "silent", "x", request_ttl_seconds=60, invocation_timeout_seconds=1
    )
    eventually(lambda: state(app, result.id) == "SUBMITTED")
    status = tasks.status(result.id, app)
    assert status is not None
    assert status.deadline is not None
    row = deployment(app).ledger.key("row", result.id)
    deployment(app).ledger.client.hset(row, "deadline", status.deadline - 61)
    with pytest.raises(exceptions.AsyncDeadlinePassed, match="Neither output nor failure"):
        result.get(timeout=PATIENCE)
    eventually(lambda: state(app, result.id) == "EXPIRED")


def test_a_request_for_later_waits_as_a_row(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Neither the broker nor a worker has its message before its time has come."""
    later = datetime.now(UTC) + timedelta(seconds=6)
    result = tasks.invoke.apply_async(("echo", "x"), eta=later)
    assert deployment(app).ledger.client.llen("sagemaker.invoke") == 0
    worker.start()
    result.get(timeout=PATIENCE)
    assert datetime.now(UTC) >= later
    assert calls(sagemaker_local, result.id) == {result.id: 1}


def test_a_status_outlives_its_result(app: Celery, worker: Worker) -> None:
    """The ledger knows a request whose result Celery has forgotten."""
    worker.start()
    result = tasks.invoke.delay("absent", "x")
    with pytest.raises(exceptions.EndpointNotFound):
        result.get(timeout=PATIENCE)
    result.forget()
    assert result.state == "PENDING"
    eventually(lambda: reason(app, result.id) == "EndpointNotFound")


def test_a_failed_call_is_repeated_without_a_slot(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """A model that is being loaded: every call is counted, and the answer comes in the end."""
    behave(sagemaker_local, "cold", kind="both", cold_start=2.0)
    worker.start()
    result = tasks.invoke.delay("cold", "x")
    assert result.get(timeout=PATIENCE)["body"] == {"text": "x"}
    eventually(lambda: state(app, result.id) == "SUCCEEDED")
    status = tasks.status(result.id, app)
    assert status is not None
    assert status.attempts["ModelNotReadyException"] >= 1
    assert calls(sagemaker_local, result.id)[result.id] == 1 + sum(status.attempts.values())


def test_large_payloads_travel_by_s3(app: Celery, worker: Worker) -> None:
    """Both ways: neither the broker nor the result carries them, and a chain goes on from there."""
    payload = b"\xff" * 2_000_000
    worker.start()
    output = tasks.invoke_async.delay("echo", payload).get(timeout=PATIENCE)
    assert (output["size"], "body" in output) == (len(payload), False)
    answer: Any = responses.from_json(tasks.invoke.delay("echo", output).get(timeout=PATIENCE))
    assert answer.body == payload
    sent = deployment(app).ledger.client.info("memory")["used_memory"]
    assert sent < 100_000_000


def test_called_directly_a_task_needs_no_worker(app: Celery) -> None:
    """As Celery's tasks do: in this process, with the answer as the value."""
    assert tasks.invoke("echo", "now")["body"] == {"text": "now"}
    assert tasks.invoke_async("echo", {"a": 1})["body"] == {"text": json.dumps({"a": 1})}
    app.conf.task_always_eager = True
    assert tasks.invoke.delay("echo", "eager").get()["body"] == {"text": "eager"}
