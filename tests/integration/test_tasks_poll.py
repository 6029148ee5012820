"""Looking for outputs: what is found, what it costs, and what happens when S3 hides them."""

import importlib
import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import S3AccessDenied, S3Error
from celery_sagemaker.runtime.s3 import S3Location, S3Object, S3Store
from celery_sagemaker.tasks.clock import Clock
from celery_sagemaker.tasks.deployment import Deployment, deployment
from celery_sagemaker.tasks.ledger import Run
from celery_sagemaker.workers import create_app

#: The module; the package's `poll` is the task.
polling = importlib.import_module("celery_sagemaker.tasks.poll")


@pytest.fixture
def app(sagemaker_environment: dict[str, str]) -> Iterator[Celery]:
    """An app with keys of its own; its messages stay in a database that no worker reads."""
    broker = sagemaker_environment["CELERY_SAGEMAKER_BROKER_URL"].replace("/0", "/1000")
    made = create_app(Settings(broker_url=broker, prefix=f"test-{uuid.uuid4().hex}"))
    yield made
    deployment(made).close()
    made.close()


@pytest.fixture
def parts(app: Celery) -> Deployment:
    """What the app's tasks work with."""
    return deployment(app)


@pytest.fixture
def prefix(sagemaker_local: LocalStack) -> str:
    """Where the outputs of one test appear."""
    return f"s3://{sagemaker_local.bucket}/outputs/{uuid.uuid4().hex}/"


def submit(
    parts: Deployment,
    prefix: str,
    number: int,
    *,
    deadline: float = 60.0,
    options: Sequence[Mapping[str, object]] = (),
    **fields: object,
) -> list[str]:
    """Put so many submitted requests into the ledger; returns their output locations."""
    ledger, locations = parts.ledger, []
    for n in range(number):
        id_ = f"{n:04d}"
        ledger.accept(
            id_, task="sagemaker.invoke_async", signature="{}", lane="q/0", endpoint="churn"
        )
        run = ledger.begin(id_, "sagemaker.invoke_async", parts.owner)
        assert isinstance(run, Run)
        collecting = {"task": "sagemaker.collect", "args": (), "kwargs": {}, "options": {}}
        ledger.submit(
            run,
            prefix=prefix,
            first_look=0.0,
            deadline=deadline,
            output_location=f"{prefix}{id_}",
            failure_location=f"{prefix}failed/{id_}",
            collecting=json.dumps(
                collecting | {"options": {"task_id": id_, **(options[n] if options else {})}}
            ),
            **fields,
        )
        locations.append(f"{prefix}{id_}")
    return locations


def write(parts: Deployment, *locations: str) -> None:
    """Let outputs appear."""
    for location in locations:
        parts.store.put(S3Location.parse(location), b"{}", "application/json")


def look(app: Celery, parts: Deployment, prefix: str) -> dict[str, int]:
    """Look once; returns the requests that it made to S3."""
    before = parts.store.requests.copy()
    polling.look(app, parts, prefix)
    return dict(parts.store.requests - before)


def ready(parts: Deployment) -> dict[str, str]:
    """The kind of answer of each request whose answer was found."""
    client = parts.ledger.client
    rows = {
        key: client.hmget(key, "id", "ready")
        for key in client.scan_iter(parts.ledger.key("row", "*"))
    }
    return {id_.decode(): kind.decode() for id_, kind in rows.values() if kind}  # type: ignore[union-attr]


def test_few_outputs_are_looked_at_one_by_one(app: Celery, parts: Deployment, prefix: str) -> None:
    """Below the price of one LIST a HEAD for each, failures' places included."""
    locations = submit(parts, prefix, 3)
    write(parts, locations[1])
    assert look(app, parts, prefix) == {"HEAD": 6}
    assert ready(parts) == {"0001": "output"}
    assert look(app, parts, prefix) == {"HEAD": 4}


def test_many_outputs_cost_one_list(app: Celery, parts: Deployment, prefix: str) -> None:
    """One LIST for the outputs, and one for the failures."""
    locations = submit(parts, prefix, 20)
    failed = f"{prefix}failed/0005"
    write(parts, *locations[:5], failed)
    assert look(app, parts, prefix) == {"LIST": 2}
    assert ready(parts) == {f"{n:04d}": "output" for n in range(5)} | {"0005": "failure"}
    assert len(list(parts.ledger.pending(prefix))) == 14


def sent(app: Celery, queue: str = "sagemaker.async") -> list[tuple[str, Any]]:
    """The names and arguments of the messages that wait in a queue, oldest first."""
    found = []
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        while (message := channel.basic_get(queue)) is not None:
            found.append((message.headers["task"], message.decode()[0]))
            message.ack()
    return found


def test_outputs_found_together_are_collected_together(
    app: Celery, parts: Deployment, prefix: str
) -> None:
    """Eight to a message, the oldest first; a single one, and a failure, have their own."""
    sent(app)  # what other tests have left
    locations = submit(parts, prefix, 18)
    write(parts, *locations[:17], f"{prefix}failed/0017")
    look(app, parts, prefix)
    ids = [f"{n:04d}" for n in range(18)]
    many = "sagemaker.collect_many"
    assert sent(app) == [
        (many, [ids[:8]]),
        (many, [ids[8:16]]),
        ("sagemaker.collect", []),
        ("sagemaker.collect", []),
    ]


def test_what_goes_another_way_goes_by_itself(app: Celery, parts: Deployment, prefix: str) -> None:
    """A queue, a priority or a time limit of its own."""
    options: list[dict[str, object]] = [
        {},
        {"queue": "other"},
        {"queue": "other"},
        {"time_limit": 9},
        {"priority": 3},
        {},
    ]
    sent(app)  # what other tests have left
    locations = submit(parts, prefix, len(options), options=options)
    write(parts, *locations)
    look(app, parts, prefix)
    many, one = "sagemaker.collect_many", "sagemaker.collect"
    assert sorted(sent(app)) == [(one, []), (one, []), (many, [["0000", "0005"]])]
    assert sent(app, "other") == [(many, [["0001", "0002"]])]


def test_a_deadline_ends_the_wait(app: Celery, parts: Deployment, prefix: str) -> None:
    """Whether or not anything was written; the collecting task looks once more."""
    submit(parts, prefix, 2, deadline=-1.0)
    look(app, parts, prefix)
    assert ready(parts) == {"0000": "deadline", "0001": "deadline"}
    assert parts.ledger.prefixes(parts.ledger.now() + 100, 1.0) == []


@pytest.mark.parametrize("number", [3, 20], ids=["head", "list"])
def test_a_look_that_failed_has_not_found_nothing(
    app: Celery,
    parts: Deployment,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """A call whose answer is unknown is made again when its output is not there, not when S3 is."""

    def away(*_: object) -> None:
        raise S3Error("SlowDown")

    unanswered = parts.ledger.now() - 1.0
    locations = submit(parts, prefix, number, unanswered_until=unanswered)
    write(parts, *locations[1:])
    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "list", away)
        patch.setattr(S3Store, "head", away)
        polling.look(app, parts, prefix)
    states = {tasks.status(f"{n:04d}", app).state for n in range(number)}  # type: ignore[union-attr]
    assert states == {"SUBMITTED"}
    look(app, parts, prefix)
    assert ready(parts) == {f"{n:04d}": "output" for n in range(1, number)}
    assert tasks.status("0000", app).state == "ACCEPTED"  # type: ignore[union-attr]


def test_the_next_look_adapts(app: Celery, parts: Deployment, prefix: str) -> None:
    """To a tenth of what the endpoint has been taking."""
    submit(parts, prefix, 1)
    parts.ledger.learn("churn", seconds=100.0)
    before = parts.ledger.now()
    look(app, parts, prefix)
    score: Any = parts.ledger.client.zscore(parts.ledger.key("prefixes"), prefix)
    assert score - parts.ledger.now() <= 10.0
    assert score - before > 8.0


class Hiding(S3Store):
    """S3 as it is without s3:ListBucket: what is not there looks forbidden."""

    def list(self, prefix: S3Location) -> Iterator[S3Object]:
        """Refuse."""
        self.requests["LIST"] += 1
        raise S3AccessDenied(f"no s3:ListBucket for {prefix}")

    def head(self, location: S3Location) -> S3Object | None:
        """Refuse what is not there."""
        found = super().head(location)
        if found is None:
            raise S3AccessDenied(f"{location} is hidden")
        return found


def test_outputs_are_found_without_list_bucket(
    app: Celery, parts: Deployment, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One by one; and it is said loudly, once."""
    locations = submit(parts, prefix, 20)
    write(parts, locations[3])
    parts.__dict__["store"] = Hiding()
    caplog.set_level(logging.ERROR)
    look(app, parts, prefix)
    assert ready(parts) == {"0003": "output"}
    look(app, parts, prefix)
    assert [record.message for record in caplog.records] == ["outputs_hidden"] * 2


def test_one_clock_of_several_ticks(app: Celery, parts: Deployment, prefix: str) -> None:
    """The one with the lease; when it resigns, another takes over at once."""
    submit(parts, prefix, 1)
    other_app = create_app(parts.settings)
    first, second = Clock(app), Clock(other_app)
    assert (first.tick().leading, second.tick().leading) == (True, False)
    assert first.tick().looks == 0
    first.resign()
    assert second.tick().leading
    second.resign()
    deployment(other_app).close()


def test_a_late_look_is_followed_by_another(app: Celery, parts: Deployment, prefix: str) -> None:
    """A prefix whose look was lost is due again after a while, and not before."""
    submit(parts, prefix, 1)
    clock, ledger = Clock(app), parts.ledger
    assert clock.tick().looks == 1
    assert clock.tick().looks == 0
    assert ledger.prefixes(ledger.now() + ledger.resend_after + 1.0, 1.0) == [prefix]
