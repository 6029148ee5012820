"""Many requests at once, against a real Redis: what is written, what is sent, and what is left."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.local import redis_server
from celery_sagemaker.local.processes import Child, free_port
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.ledger import PAGE
from celery_sagemaker.workers import create_app


@pytest.fixture
def messages(sagemaker_environment: dict[str, str]) -> Iterator[str]:
    """Where messages and results go: a database that no worker reads."""
    url = sagemaker_environment["CELERY_SAGEMAKER_BROKER_URL"].replace("/0", "/901")
    yield url
    with redis.Redis.from_url(url) as client:
        client.delete("sagemaker.invoke")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Child]:
    """The Redis of the ledger, which can be stopped."""
    made = redis_server.start(tmp_path)
    yield made
    made.stop()


def app_on(state: Child, messages: str, broker: str) -> Celery:
    """Make an app whose broker may be somewhere else."""
    settings = Settings(
        broker_url=broker,
        result_url=messages,
        state_url=f"redis://127.0.0.1:{state.port}/0",
        prefix=f"test-{uuid.uuid4().hex}",
    )
    made = create_app(settings)
    made.set_current()
    return made


def close(app: Celery) -> None:
    """Close all connections of an app."""
    deployment(app).close()
    backend: Any = app.backend
    backend.result_consumer.stop()
    backend.client.connection_pool.disconnect()
    app.close()


@pytest.fixture
def app(state: Child, messages: str) -> Iterator[Celery]:
    """An app without workers."""
    made = app_on(state, messages, messages)
    yield made
    close(made)


def partly(number: int) -> Mapping[str, Any]:
    """Apply so many; return what the error says. The error itself would keep results alive."""
    try:
        tasks.apply_many([tasks.invoke.s("churn", {}) for _ in range(number)])
    except tasks.PartlyAccepted as error:
        return error.members
    raise AssertionError("All were accepted.")


def sent(messages: str) -> list[str]:
    """Return the ids of the messages that wait, in the order of their delivery."""
    with redis.Redis.from_url(messages) as client:
        found: Any = client.lrange("sagemaker.invoke", 0, -1)
    return [json.loads(message)["headers"]["id"] for message in reversed(found)]


def test_many_are_accepted_and_sent_in_order(app: Celery, messages: str) -> None:
    """More than a page: each has a row and one message, like those of `apply_async`."""
    results = tasks.apply_many(tasks.invoke.s("churn", {"n": n}) for n in range(PAGE + 10))
    ids = [result.id for result in results]
    assert sent(messages) == ids
    assert tasks.counts(app) == {"ACCEPTED": PAGE + 10}
    single = tasks.invoke.delay("churn", {"n": 0})
    rows = [deployment(app).ledger.signature(id_) for id_ in (ids[0], single.id)]
    assert rows[0] == (rows[1] or "").replace(single.id, ids[0])


def test_the_rows_are_there_before_the_messages(
    app: Celery, messages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the rows cannot be written, nothing is sent."""

    def refuse(_: Mapping[str, Any]) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(deployment(app).ledger, "accept_all", refuse)
    assert partly(1) == {"accepted": [], "unknown": []}
    assert sent(messages) == []


def test_a_request_that_waits_has_no_message(app: Celery, messages: str) -> None:
    """Options are those of `apply_async`."""
    later = tasks.invoke.s("churn", {}).set(countdown=60)
    _, at_once = tasks.apply_many([later, tasks.invoke.s("churn", {})])
    assert sent(messages) == [at_once.id]
    assert tasks.counts(app) == {"ACCEPTED": 2}


@pytest.mark.parametrize("wrong", ["request", "task"])
def test_one_that_cannot_be_right_stops_all(app: Celery, messages: str, wrong: str) -> None:
    """It is refused before anything is written."""
    right = tasks.invoke.s("churn", {})
    bad = tasks.invoke.s("no endpoint!", {}) if wrong == "request" else chain(right, right)
    with pytest.raises(InvalidRequest):
        tasks.apply_many([right, bad])
    assert sent(messages) == []
    assert tasks.counts(app) == {}


def test_what_has_a_row_is_accepted_though_the_broker_is_away(state: Child, messages: str) -> None:
    """Its id is named, and the clock finds its row due."""
    app = app_on(state, messages, f"redis://127.0.0.1:{free_port()}/0")
    app.conf.update(task_publish_retry=False, broker_connection_timeout=0.5)
    try:
        members = partly(3)
        assert members["unknown"] == []
        assert tasks.counts(app) == {"ACCEPTED": 3}
        ledger = deployment(app).ledger
        due = ledger.due(ledger.now() + ledger.resend_after + 1)
        assert sorted(id_ for id_, _ in due) == sorted(members["accepted"])
    finally:
        close(app)


def test_a_page_that_met_a_dead_redis_is_unknown(
    app: Celery, state: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages before it are accepted, those after it are not."""
    ledger, pages = deployment(app).ledger, list[list[str]]()
    real = ledger.accept_all

    def stop_before_the_second(rows: Mapping[str, Mapping[str, Any]]) -> None:
        pages.append(list(rows))
        if len(pages) == 2:
            state.stop()
        real(rows)

    monkeypatch.setattr(ledger, "accept_all", stop_before_the_second)
    assert partly(3 * PAGE) == {"accepted": pages[0], "unknown": pages[1]}
    assert len(pages) == 2
