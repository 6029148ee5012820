"""What every broker has to be able to do: the same requests over Redis and over RabbitMQ.

One worker for each broker runs all of them.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord
from celery_sagemaker import tasks
from celery_sagemaker.channels import End, Part, subscribe
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions, responses
from celery_sagemaker.tasks import batch
from harness import Environment, Worker, behave, calls, eventually

#: RabbitMQ takes five seconds of processor time to start, on a machine that may be busy.
pytestmark = pytest.mark.timeout(180)

#: Seconds for one request to end.
PATIENCE = 60.0


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def standing(
    request: pytest.FixtureRequest,
    sagemaker_local: LocalStack,
    quick: Mapping[str, str],
    databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Environment]:
    """The environment of a worker that runs during all tests of one broker."""
    redis = next(databases)
    environment = {
        **sagemaker_local.environment(),
        **quick,
        "CELERY_SAGEMAKER_ENDPOINTS__ECHO__OUTPUT_PATH": f"s3://{sagemaker_local.bucket}/outputs",
        "CELERY_SAGEMAKER_BROKER_URL": redis,
    }
    if request.param == "rabbitmq":
        node = request.getfixturevalue("rabbitmq")
        node.clear()
        environment["CELERY_SAGEMAKER_BROKER_URL"] = node.url
        environment["CELERY_SAGEMAKER_RESULT_URL"] = redis
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = Worker(environment, log, "celery_sagemaker.workers.app")
    worker.start()
    yield environment
    worker.kill()


@pytest.fixture
def environment(standing: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The worker's environment, for this process."""
    for name, value in standing.items():
        monkeypatch.setenv(name, value)
    return standing


def state(app: Celery, id_: str) -> str | None:
    """Where a request stands."""
    status = tasks.status(id_, app)
    return None if status is None else str(status.state)


def test_answers_and_failures(app: Celery, sagemaker_local: LocalStack) -> None:
    """Of both kinds of endpoints; an error comes as its class."""
    behave(sagemaker_local, "failing", kind="both", failure_rate=1.0, delay={"fixed": 0.1})
    answered = [tasks.invoke.delay("echo", "a"), tasks.invoke_async.delay("echo", "b")]
    assert [result.get(timeout=PATIENCE)["body"] for result in answered] == [
        {"text": "a"},
        {"text": "b"},
    ]
    with pytest.raises(exceptions.EndpointNotFound):
        tasks.invoke.delay("absent", "x").get(timeout=PATIENCE)
    with pytest.raises(exceptions.AsyncInferenceFailed):
        tasks.invoke_async.delay("failing", "x").get(timeout=PATIENCE)
    ids = [result.id for result in answered]
    assert calls(sagemaker_local, *ids) == dict.fromkeys(ids, 1)
    eventually(lambda: {state(app, id_) for id_ in ids} == {"SUCCEEDED"})


def test_a_canvas(app: Celery) -> None:
    """A chain of both kinds, and a chord whose body is an inference of all answers."""
    chained: Any = chain(
        tasks.invoke_async.s("echo", {"question": 6}), tasks.invoke.s(endpoint="echo")
    ).delay()
    joined = chord([tasks.invoke_async.s("echo", f"{n}") for n in range(8)])(
        tasks.invoke.s(endpoint="echo")
    )
    answer: Any = responses.from_json(chained.get(timeout=PATIENCE))
    assert answer.json() == {"question": 6}
    answer = responses.from_json(joined.get(timeout=PATIENCE))
    assert [member["body"]["text"] for member in answer.json()] == [f"{n}" for n in range(8)]


def test_a_retry_frees_its_slot(app: Celery, sagemaker_local: LocalStack) -> None:
    """It is handed back, and sent again by the clock."""
    behave(sagemaker_local, "cold", kind="both", cold_start=1.5)
    result = tasks.invoke.delay("cold", "x")
    assert result.get(timeout=PATIENCE)["body"] == {"text": "x"}
    status = tasks.status(result.id, app)
    assert status is not None
    assert status.attempts["ModelNotReadyException"] >= 1


@pytest.mark.parametrize("by_name", [False, True])
def test_a_request_for_later(app: Celery, sagemaker_local: LocalStack, by_name: bool) -> None:
    """It comes when its time has come; what is sent by name waits as Celery lets it wait."""
    later = datetime.now(UTC) + timedelta(seconds=2.0)
    if by_name:
        result = app.send_task("sagemaker.invoke", ("echo", "x"), eta=later)
    else:
        result = tasks.invoke.apply_async(("echo", "x"), eta=later)
    answer = responses.from_json(result.get(timeout=PATIENCE))
    # Delayed by RabbitMQ a message comes up to a second early: its delays are whole seconds.
    assert datetime.now(UTC) >= later - timedelta(seconds=by_name)
    assert getattr(answer, "text", None) == "x"
    assert calls(sagemaker_local, result.id) == {result.id: 1}


def test_an_expired_request(app: Celery, sagemaker_local: LocalStack) -> None:
    """It ends as such, and is never run: whoever drops its message, the ledger knows."""
    gone = datetime.now(UTC) + timedelta(milliseconds=1)
    result = tasks.invoke.apply_async(("echo", "x"), expires=gone)
    eventually(lambda: state(app, result.id) == "EXPIRED")
    assert calls(sagemaker_local, result.id) == {}


def test_celerys_own_revoke(app: Celery, sagemaker_local: LocalStack) -> None:
    """It is a message to every worker, which the broker has to carry too."""
    behave(sagemaker_local, "slow", kind="async", delay={"fixed": 3_600.0})
    result = tasks.invoke_async.delay("slow", "x")
    eventually(lambda: state(app, result.id) == "SUBMITTED")
    result.revoke()
    eventually(lambda: state(app, result.id) == "REVOKED")


def test_a_stream(app: Celery, sagemaker_local: LocalStack) -> None:
    """Its channel is on Redis, wherever its message travelled."""
    behave(sagemaker_local, "words", target="models:words")
    result = tasks.stream.delay("words", "Once upon a time")
    *parts, end = subscribe(result.id)
    assert isinstance(end, End)
    assert "".join(p.text or "" for p in parts if isinstance(p, Part)) == "Once upon a time "
    assert result.get(timeout=PATIENCE)["parts"] == end.parts


def test_a_batch_job(app: Celery, tmp_path: Path) -> None:
    """Each record's output comes back once, in the input's order."""
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(json.dumps({"custom_id": f"id-{n}", "x": n}) for n in range(300)))
    job = batch.submit("echo", input=path)
    status = job.wait(PATIENCE)
    assert (status.state, status.request_counts.succeeded) == ("completed", 300)
    assert [line.id for line in job.results(ordered=True)] == [f"id-{n}" for n in range(300)]
