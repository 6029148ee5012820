"""A task that takes longer than the broker's patience is not started twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from harness import Environment, Worker, behave, calls

#: Seconds of one call: several times the visibility timeout of the workers here.
SECONDS = 9.0

#: What a worker says when it is given a message of a request that another is running.
DROPPED = "message_dropped"


@pytest.fixture
def workers(environment: Environment, tmp_path: Path) -> Iterator[list[Worker]]:
    """Two workers, so that a redelivered message finds a free one."""
    made = [Worker(environment, tmp_path / f"worker{n}.log", "impatient") for n in range(2)]
    yield made
    for worker in made:
        worker.kill()


@pytest.mark.parametrize(("heartbeat", "redelivered"), [(True, False), (False, True)])
def test_a_long_task_is_started_once(
    app: Celery,
    workers: list[Worker],
    sagemaker_local: LocalStack,
    heartbeat: bool,
    redelivered: bool,
) -> None:
    """The heartbeat keeps its message; without it the ledger drops the second delivery."""
    behave(sagemaker_local, "long", kind="realtime", latency={"fixed": SECONDS})
    for worker in workers:
        worker.start(**({} if heartbeat else {"WITHOUT_HEARTBEAT": "1"}))
    result = tasks.invoke.delay("long", "x")
    assert result.get(timeout=60)["body"] == {"text": "x"}
    assert calls(sagemaker_local, result.id) == {result.id: 1}
    assert any(DROPPED in worker.output for worker in workers) is redelivered
