"""Redis is killed while the model works, and comes back: what was paid for arrives."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.channels import End
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.base import inference_id
from channels_harness import OwnRedis
from harness import Environment, Worker, behave, calls, calls_of, eventually
from test_streams import Reader

#: Seconds for a request to end.
PATIENCE = 45.0


@pytest.fixture
def environment(
    environment: Environment, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> Environment:
    """The local stack, but for its Redis."""
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", own_redis.url)
    return {**environment, "CELERY_SAGEMAKER_BROKER_URL": own_redis.url}


@pytest.fixture
def worker(environment: Environment, tmp_path: Path) -> Iterator[Worker]:
    """A worker as Redis' default user: the other tests' own user would not survive."""
    made = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app")
    yield made
    made.kill()


def status_of(stack: LocalStack, endpoint: str, id_: str) -> int | None:
    """The status with which a request's call was answered; None while it is under way.

    Raises:
        StopIteration: there has been no call.
    """
    found = (c for c in calls_of(stack, endpoint) if c["inference_id"] == inference_id(id_))
    status: int | None = next(found)["status"]
    return status


def final(app: Celery, worker: Worker, id_: str) -> bool:
    """Whether a request has ended; a worker that left on reconnecting is started again."""
    if not worker.alive:
        worker.start()
    status = tasks.status(id_, app)
    return status is not None and status.state.final


def test_an_answer_waits_for_redis(
    app: Celery, worker: Worker, own_redis: OwnRedis, sagemaker_local: LocalStack
) -> None:
    """It came while Redis was away; it is noted when Redis is back, and not called for again."""
    behave(sagemaker_local, "slow", kind="realtime", latency={"fixed": 2.0})
    worker.start()
    result = tasks.invoke.delay("slow", "x")
    eventually(lambda: calls(sagemaker_local, result.id) == {result.id: 1})
    own_redis.kill()
    eventually(lambda: status_of(sagemaker_local, "slow", result.id) == 200)
    own_redis.start()
    eventually(lambda: final(app, worker, result.id))
    assert tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1}
    assert calls(sagemaker_local, result.id) == {result.id: 1}


def test_a_stream_goes_on_without_redis(
    app: Celery, worker: Worker, own_redis: OwnRedis, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """What the model said meanwhile is kept, and comes in order when Redis is back."""
    behave(sagemaker_local, "gated", target="models:gated")
    gate = tmp_path / "gate"
    worker.start()
    result = tasks.stream.delay("gated", str(gate))
    reader = Reader(result.id)
    eventually(lambda: reader.text == "one ")
    own_redis.kill()
    gate.touch()
    eventually(lambda: status_of(sagemaker_local, "gated", result.id) == 200)
    own_redis.start()
    eventually(lambda: final(app, worker, result.id))
    assert isinstance(reader.end(), End)
    assert reader.text == "one two "
    assert tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1}
    assert calls(sagemaker_local, result.id) == {result.id: 1}
