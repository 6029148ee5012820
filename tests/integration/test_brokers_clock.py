"""The clock on requests whose messages are gone: whatever became of them, one final state."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.clock import Clock
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app


@pytest.fixture
def app(sagemaker_redis_url: str) -> Iterator[Celery]:
    """An app with keys of its own; its messages stay in a database that no worker reads."""
    broker = sagemaker_redis_url.replace("/0", "/999")
    ledger = {"resend_after": 0.01}
    made = create_app(Settings(broker_url=broker, prefix=f"test-{uuid.uuid4().hex}", ledger=ledger))
    yield made
    deployment(made).ledger.client.delete("sagemaker.invoke")
    deployment(made).close()
    made.close()


def expired(app: Celery) -> str:
    """A request whose message has expired in its queue, and is gone."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    result = app.tasks["sagemaker.invoke"].apply_async(("echo", "x"), expires=past)
    assert deployment(app).ledger.client.delete("sagemaker.invoke") == 1
    return str(result.id)


def ended(app: Celery, id_: str) -> tuple[str, str, str]:
    """A request's state, its reason, and what Celery says of it."""
    status = tasks.status(id_, app)
    assert status is not None
    assert status.reason is not None
    return str(status.state), status.reason["code"], str(app.AsyncResult(id_).result)


def test_an_expired_message_is_not_sent_again(app: Celery) -> None:
    """RabbitMQ drops it without a word; it is no lost message."""
    id_, clock = expired(app), Clock(app)
    while tasks.counts(app) == {"ACCEPTED": 1}:
        assert clock.tick().sent == 0
    assert ended(app, id_) == ("EXPIRED", "Expired", "expired")
    clock.resign()


def test_an_expired_message_is_not_revoked(app: Celery) -> None:
    """A worker's list of what was revoked has what has expired, too."""
    id_ = expired(app)
    Clock(app, revoked=lambda: [id_]).close_revoked()
    assert ended(app, id_) == ("EXPIRED", "Expired", "expired")
