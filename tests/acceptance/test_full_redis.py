"""Redis is full for a while: what a worker has in its hands ends all the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.deployment import deployment
from channels_harness import OwnRedis
from harness import Environment, Worker, behave, calls, calls_of, eventually
from kombu.exceptions import OperationalError


@pytest.fixture
def environment(
    environment: Environment, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> Environment:
    """The local stack, but for its Redis; a lease that outlives the time in which it is full."""
    ours = {"BROKER_URL": own_redis.url, "LEDGER__LEASE": "30"}
    named = {f"CELERY_SAGEMAKER_{name}": value for name, value in ours.items()}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    return {**environment, **named}


@pytest.fixture
def worker(environment: Environment, tmp_path: Path) -> Iterator[Worker]:
    """A worker as Redis' default user."""
    made = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app")
    yield made
    made.kill()


def limit(url: str, size: int) -> None:
    """Set the memory that Redis may take; 0 is any."""
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", size)


def refusals(url: str) -> int:
    """How many commands Redis has refused for want of memory."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("errorstats").get("errorstat_OOM", {"count": 0})["count"])


def final(app: Celery, worker: Worker, id_: str) -> bool:
    """Whether a request has ended; a worker that left is started again."""
    if not worker.alive:
        worker.start()
    status = tasks.status(id_, app)
    return status is not None and status.state.final


def test_an_answer_waits_for_room(
    app: Celery, worker: Worker, own_redis: OwnRedis, sagemaker_local: LocalStack
) -> None:
    """Its request is called once, ends once, and its message is acknowledged."""
    behave(sagemaker_local, "slow-full", latency={"fixed": 2.0})
    worker.start()
    result = tasks.invoke.delay("slow-full", "x")
    eventually(lambda: calls(sagemaker_local, result.id) == {result.id: 1})
    limit(own_redis.url, 1)
    with pytest.raises(redis.OutOfMemoryError):
        tasks.invoke.delay("slow-full", "refused")
    eventually(lambda: calls_of(sagemaker_local, "slow-full")[0]["status"] == 200)
    before = refusals(own_redis.url)
    eventually(lambda: refusals(own_redis.url) >= before + 3)
    limit(own_redis.url, 0)
    eventually(lambda: final(app, worker, result.id))
    assert tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1}
    assert result.get(timeout=10)["body"] == {"text": "x"}
    assert len(calls_of(sagemaker_local, "slow-full")) == 1
    client = deployment(app).ledger.client
    eventually(lambda: not client.exists("unacked"))


def test_a_revoked_request_says_so(
    app: Celery, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its workers cannot be told: Celery's result is what its row is."""

    def full(*_: object, **__: object) -> None:
        raise OperationalError("command not allowed when used memory > 'maxmemory'")

    result = tasks.invoke.delay("echo", "x")
    monkeypatch.setattr(app.control, "revoke", full)
    with pytest.raises(OperationalError):
        tasks.revoke(result.id)
    assert tasks.counts(app) == {"ACCEPTED": 1, "REVOKED": 1}
    assert str(result.state) == "REVOKED"
