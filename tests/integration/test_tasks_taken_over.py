"""A run of `invoke_async` that was taken over while it was paused, and wakes after the end."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.requests import InvokeEndpointAsyncRequest
from celery_sagemaker.runtime.responses import InvokeEndpointAsyncResponse
from celery_sagemaker.runtime.s3 import S3Location
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.ledger import Run, State
from celery_sagemaker.workers import create_app

REASON = {"code": "AsyncInferenceFailed", "message": "The model failed: no", "members": {}}

TASK = "sagemaker.invoke_async"


@pytest.fixture
def app(sagemaker_environment: dict[str, str]) -> Iterator[Celery]:
    """An app with keys of its own; its messages stay in a database that no worker reads."""
    broker = sagemaker_environment["CELERY_SAGEMAKER_BROKER_URL"].replace("/0", "/1000")
    made = create_app(Settings(broker_url=broker, prefix=f"test-{uuid.uuid4().hex}"))
    made.set_current()
    yield made
    deployment(made).close()
    made.close()


def ended(app: Celery, id_: str, location: str, state: State) -> Run:
    """A request that another run has ended; returns the first run, which knows nothing of it."""
    ledger = deployment(app).ledger
    ledger.accept(id_, task=TASK, signature="{}", lane="q/0", endpoint="echo")
    stale = ledger.begin(id_, TASK, "paused")
    ledger.renew("paused", ledger.now() - 2 * ledger.lease)
    other = ledger.begin(id_, TASK, "other")
    assert isinstance(stale, Run)
    assert isinstance(other, Run)
    assert ledger.note(other, output_location=location)
    assert ledger.finish(other, state, None if state is State.SUCCEEDED else REASON)
    return stale


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (State.SUCCEEDED, "SUCCESS"),
        (State.FAILED, "FAILURE"),
        (State.EXPIRED, "FAILURE"),
        (State.REVOKED, "REVOKED"),
    ],
)
def test_its_state_does_not_stay_over_the_result(
    app: Celery, sagemaker_local: LocalStack, state: State, result: str
) -> None:
    """Whoever waits for the result gets it."""
    id_ = uuid.uuid4().hex
    location = f"s3://{sagemaker_local.bucket}/taken-over/{id_}"
    deployment(app).store.put(S3Location.parse(location), b"answer", "text/plain")
    stale = ended(app, id_, location, state)
    task: Any = app.tasks[TASK]
    task.push_request(id=id_, args=(), kwargs={}, delivery_info={})
    try:
        request = InvokeEndpointAsyncRequest(endpoint_name="echo", body=b"x")
        answer = InvokeEndpointAsyncResponse(inference_id=id_, output_location=location)
        task._defer(stale, request, answer)
    finally:
        task.pop_request()
    found = app.AsyncResult(id_)
    assert found.state == result
    if state is State.SUCCEEDED:
        assert found.get(timeout=1)["body"] == {"text": "answer"}
