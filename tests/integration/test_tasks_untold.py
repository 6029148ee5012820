"""A process dies between a request's final state and Celery's result: the clock stores that."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks import delivery
from celery_sagemaker.tasks.clock import Clock
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.exceptions import Expired, LostMessage, Revoked
from celery_sagemaker.tasks.ledger import Ledger, State
from celery_sagemaker.workers import create_app

#: Seconds after which the clock looks after what somebody has ended, in these tests.
LEASE = 0.2


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def app(sagemaker_redis_url: str) -> Iterator[Celery]:
    """An app with keys of its own; its messages stay in a database that no worker reads."""
    broker = sagemaker_redis_url.replace("/0", "/998")
    ledger = {"resend_after": 0.01, "lease": LEASE, "max_deliveries": 1}
    made = create_app(Settings(broker_url=broker, prefix=f"test-{uuid.uuid4().hex}", ledger=ledger))
    made.set_current()
    yield made
    deployment(made).ledger.client.delete("sagemaker.invoke")
    deployment(made).close()
    made.close()


def sent(app: Celery, **options: Any) -> str:
    """A request whose message is gone."""
    result = app.tasks["sagemaker.invoke"].apply_async(("echo", "x"), **options)
    assert deployment(app).ledger.client.delete("sagemaker.invoke") == 1
    return str(result.id)


def signature(app: Celery, id_: str) -> str:
    """Its message."""
    found = deployment(app).ledger.signature(id_)
    assert found is not None
    return found


def fail(app: Celery) -> tuple[str, Callable[[], object]]:
    """A message was lost too often."""
    id_ = sent(app)
    return id_, lambda: delivery.fail(app, id_, signature(app, id_), LostMessage("gone"))


def lose(app: Celery) -> tuple[str, Callable[[], object]]:
    """The clock finds that."""
    return sent(app), lambda: ticking(app, lambda: False)


def expire(app: Celery) -> tuple[str, Callable[[], object]]:
    """A message has expired, and RabbitMQ has dropped it."""
    id_ = sent(app, expires=datetime.now(UTC) - timedelta(seconds=1))
    return id_, lambda: delivery.expire(app, id_, signature(app, id_))


def revoke(app: Celery) -> tuple[str, Callable[[], object]]:
    """A caller revokes."""
    id_ = sent(app)
    return id_, lambda: tasks.revoke(id_, app)


def refuse(app: Celery) -> tuple[str, Callable[[], object]]:
    """A worker drops a message that was revoked."""
    id_ = sent(app)
    return id_, lambda: delivery.close(app, id_, State.REVOKED, Revoked())


def ticking(app: Celery, done: Callable[[], bool]) -> None:
    """Let a clock tick until something is done."""
    clock = Clock(app)
    try:
        while not done():
            clock.tick()
    finally:
        clock.resign()


def killed_after(monkeypatch: pytest.MonkeyPatch, name: str, *, before: bool = False) -> None:
    """Let the process die after, or before, a step of the ledger."""
    step = getattr(Ledger, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        if not before:
            step(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(Ledger, name, dying)


WAYS = [
    (fail, State.FAILED, "FAILURE", LostMessage),
    (lose, State.FAILED, "FAILURE", LostMessage),
    (expire, State.EXPIRED, "REVOKED", Expired),
    (revoke, State.REVOKED, "REVOKED", Revoked),
    (refuse, State.REVOKED, "REVOKED", Revoked),
]


@pytest.mark.parametrize("before", [False, True], ids=["ended", "stored"])
@pytest.mark.parametrize(
    ("way", "state", "result", "error"), WAYS, ids=[way.__name__ for way, *_ in WAYS]
)
def test_the_clock_stores_the_result(
    app: Celery,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[Celery], tuple[str, Callable[[], object]]],
    state: State,
    result: str,
    error: type[tasks.exceptions.LedgerError],
    *,
    before: bool,
) -> None:
    """Whoever ended the request died with the final row written, or just before it said so."""
    id_, end = way(app)
    with monkeypatch.context() as patch:
        killed_after(patch, "told" if before else "close", before=before)
        with pytest.raises(Killed):
            end()
    ledger = deployment(app).ledger
    ticking(app, lambda: not ledger.client.zscore(ledger.key("due"), id_))
    status = tasks.status(id_, app)
    assert status is not None
    assert status.reason is not None
    assert (status.state, status.reason["code"]) == (state, error.code)
    assert str(app.AsyncResult(id_).state) == result
    assert tasks.counts(app) == {"ACCEPTED": 1, state.value: 1}
    assert ledger.signature(id_) is None


@pytest.mark.parametrize("way", [fail, expire, revoke, refuse])
def test_nothing_is_left_to_be_told(
    app: Celery, way: Callable[[Celery], tuple[str, Callable[[], object]]]
) -> None:
    """Whoever lives tells it at once, and no clock does it again."""
    id_, end = way(app)
    assert end()
    ledger = deployment(app).ledger
    assert ledger.due(float("inf")) == []
    assert ledger.signature(id_) is None
