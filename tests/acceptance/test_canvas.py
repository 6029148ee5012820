"""Chains, groups, chords, links and errbacks, in somebody's own app on Celery's default pool."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import ChordError
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions, responses
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import install
from harness import Environment, Worker, behave, eventually

#: Seconds for a canvas to end.
PATIENCE = 45.0

INFERENCES = 50


@pytest.fixture
def app(environment: Environment) -> Iterator[Celery]:
    """The app as its web process has it, with its own broker; the environment names none."""
    url = environment["CELERY_SAGEMAKER_BROKER_URL"]
    made = install(Celery("shop", broker=url, backend=url))
    made.set_current()
    made.set_default()
    yield made
    deployment(made).close()
    made.close()


@pytest.fixture
def worker(
    environment: Environment, app: Celery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Worker]:
    """A worker of the app, with the pool and the queues that Celery chooses."""
    monkeypatch.delenv("CELERY_SAGEMAKER_BROKER_URL")
    theirs = {n: v for n, v in environment.items() if n != "CELERY_SAGEMAKER_BROKER_URL"}
    theirs["SHOP_REDIS"] = app.conf.broker_url
    made = Worker(theirs, tmp_path / "worker.log", "shop", ("--concurrency", "2"))
    made.start()
    yield made
    made.kill()


def text(answer: Any) -> str:
    """The body of a response's JSON form."""
    response: Any = responses.from_json(answer)
    return str(response.text)


def heard(app: Celery) -> list[dict[str, str]]:
    """What the errbacks wrote down."""
    client: Any = app.backend.client  # type: ignore[attr-defined]
    return [json.loads(entry) for entry in client.lrange("heard", 0, -1)]


def save(app: Celery) -> Any:
    """The app's own task."""
    return app.signature("shop.save")


def report(app: Celery) -> Any:
    """The app's own errback."""
    return app.signature("shop.report")


def test_a_chain_feeds_one_answer_into_the_next(app: Celery, worker: Worker) -> None:
    """An asynchronous answer is the input of a call, and that one's of an asynchronous one."""
    result: Any = chain(
        tasks.invoke_async.s("echo", {"question": 6}),
        tasks.invoke.s(endpoint="echo"),
        tasks.invoke_async.s(endpoint="echo"),
        save(app),
    ).delay()
    assert json.loads(text(result.get(timeout=PATIENCE))) == {"question": 6}
    eventually(lambda: tasks.counts(app) == {"ACCEPTED": 3, "SUCCEEDED": 3})


def test_a_chord_gets_every_answer_in_order(app: Celery, worker: Worker) -> None:
    """50 asynchronous inferences, none of which holds a slot while it waits."""
    header = [tasks.invoke_async.s("echo", f"page {n}") for n in range(INFERENCES)]
    answers = chord(header)(save(app)).get(timeout=PATIENCE)
    assert [text(answer) for answer in answers] == [f"page {n}" for n in range(INFERENCES)]
    counted = {"ACCEPTED": INFERENCES, "SUCCEEDED": INFERENCES}
    eventually(lambda: tasks.counts(app) == counted)


def test_a_group_and_a_link(app: Celery, worker: Worker) -> None:
    """A group's results are its calls' answers; a link gets its call's answer."""
    both: Any = group(tasks.invoke.s("echo", "a"), tasks.invoke_async.s("echo", "b")).delay()
    linked: Any = tasks.invoke.apply_async(
        ("echo", "c"), link=tasks.invoke_async.s(endpoint="echo")
    )
    assert [text(answer) for answer in both.get(timeout=PATIENCE)] == ["a", "b"]
    linked.get(timeout=PATIENCE)
    (child,) = linked.children
    assert text(child.get(timeout=PATIENCE)) == "c"


def test_errbacks_hear_of_failures(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Of a model's error, and of an asynchronous failure, by their classes and with their ids."""
    behave(sagemaker_local, "ill", kind="both", errors={"ModelError:400": 1.0})
    behave(sagemaker_local, "failing", kind="both", failure_rate=1.0, delay={"fixed": 0.1})
    calls = {
        tasks.invoke.apply_async(("ill", "x"), link_error=report(app)): exceptions.ModelError,
        tasks.invoke_async.apply_async(
            ("failing", "x"), link_error=report(app)
        ): exceptions.AsyncInferenceFailed,
    }
    for result, error in calls.items():
        with pytest.raises(error):
            result.get(timeout=PATIENCE)
    told = {result.id: error.__name__ for result, error in calls.items()}
    eventually(lambda: {e["id"]: e["error"] for e in heard(app)} == told)
    eventually(lambda: tasks.counts(app) == {"ACCEPTED": 2, "FAILED": 2})
    reasons = {id_: (tasks.status(id_, app) or pytest.fail(id_)).reason or {} for id_ in told}
    assert {id_: reason["code"] for id_, reason in reasons.items()} == told


def test_a_failing_member_fails_its_chord(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """As with any other task: the body does not run, and the reason names the member's error."""
    behave(sagemaker_local, "failing", kind="both", failure_rate=1.0, delay={"fixed": 0.1})
    header = [tasks.invoke_async.s("echo", "a"), tasks.invoke_async.s("failing", "b")]
    result: Any = chord(header)(save(app))
    with pytest.raises(exceptions.AsyncInferenceFailed):
        result.get(timeout=PATIENCE)
    eventually(result.failed)
    assert isinstance(result.result, ChordError)
    assert "AsyncInferenceFailed" in str(result.result)


def test_what_cannot_be_right_fails_where_a_chain_continues(app: Celery, worker: Worker) -> None:
    """The caller is gone by then: the second call fails with the reason, for all to see."""
    result: Any = chain(tasks.invoke.s("echo", "x"), tasks.invoke.s(endpoint="not a name")).delay()
    with pytest.raises(exceptions.InvalidRequest, match="not a name"):
        result.get(timeout=PATIENCE)
    eventually(lambda: tasks.counts(app) == {"ACCEPTED": 2, "SUCCEEDED": 1, "FAILED": 1})
