"""What Celery's events make of our tasks: the state that Flower and `celery events` show."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.events.state import State
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import AsyncInferenceFailed
from harness import OPTIONS, Environment, Worker, behave, eventually

pytestmark = pytest.mark.timeout(120)


class Events:
    """The state that Celery's own receiver makes of a broker's events."""

    def __init__(self, app: Celery) -> None:
        self.state: Any = State()  # celery-types lacks its members
        self._app = app
        self._receiver: Any = None
        self._thread = threading.Thread(target=self._capture, daemon=True)
        self._thread.start()

    def _capture(self) -> None:
        with self._app.connection_for_read() as connection:
            handlers = {"*": self.state.event}
            self._receiver = self._app.events.Receiver(connection, handlers=handlers)
            self._receiver.capture(wakeup=False)
            # A channel that is never closed keeps its own connections to Redis.
            self._receiver.channel.close()

    def state_of(self, id_: str) -> str | None:
        """Return a task's state."""
        task = self.state.tasks.get(id_)
        return None if task is None else str(task.state)

    def close(self) -> None:
        """Listen no longer."""
        self._receiver.should_stop = True
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def events(app: Celery) -> Iterator[Events]:
    """What is told from now on."""
    made = Events(app)
    yield made
    made.close()


@pytest.fixture(params=["threads", "processes"])
def telling(
    request: pytest.FixtureRequest, environment: Environment, app: Celery, tmp_path: Path
) -> Iterator[Worker]:
    """A worker with events on."""
    options = (*OPTIONS, "-E", "--pool", request.param, "--concurrency", "2")
    made = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app", options)
    made.start()
    yield made
    made.kill()


def test_a_deferred_task_is_shown_as_it_is(
    app: Celery, telling: Worker, events: Events, sagemaker_local: LocalStack
) -> None:
    """SUBMITTED while the endpoint has it, then SUCCESS; a failed one FAILURE; no payload."""
    behave(sagemaker_local, "later", kind="async", delay={"fixed": 1.0})
    behave(sagemaker_local, "never", kind="async", delay={"fixed": 3_600.0})
    behave(sagemaker_local, "fails", kind="async", delay={"fixed": 0.1}, failure_rate=1.0)
    behave(sagemaker_local, "shy", errors={"ServiceUnavailable": 1.0})
    shy = tasks.invoke.delay("shy", "private")
    never = tasks.invoke_async.delay("never", "private")
    later, *more = [tasks.invoke_async.delay("later", "private") for _ in range(4)]
    fails = tasks.invoke_async.delay("fails", "private")
    eventually(lambda: events.state_of(never.id) == "SUBMITTED")
    eventually(lambda: events.state_of(shy.id) == "RETRY")
    assert later.get(timeout=45)["size"] == len("private")
    assert isinstance(fails.get(timeout=45, propagate=False), AsyncInferenceFailed)
    for result in (later, *more):
        eventually(lambda: events.state_of(result.id) == "SUCCESS")  # noqa: B023 - waited for here
    assert "sagemaker.collect_many" in telling.output
    eventually(lambda: events.state_of(fails.id) == "FAILURE")
    assert events.state_of(never.id) == "SUBMITTED"
    told = str([vars(task) for task in events.state.tasks.values()])
    assert "endpoint" in told
    assert "private" not in told
