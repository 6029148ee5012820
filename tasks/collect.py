"""`sagemaker.collect`: the second half of an asynchronous inference, under the same id.

`poll` sends it when an answer was found. It returns the output or raises the failure in the
ordinary way, so that Celery itself runs callbacks, chains and chords.
"""

from typing import Any, ClassVar

from celery import shared_task, states
from celery.exceptions import TaskRevokedError

from ..runtime import exceptions
from ..runtime.exceptions import AsyncDeadlinePassed, AsyncInferenceFailed
from ..runtime.responses import AsyncInferenceOutput
from ..runtime.s3 import S3Location
from .base import LedgerTask, inference_id
from .deployment import Deployment
from .exceptions import MalformedMessage
from .ledger import Pending, State, Status

#: Bytes of a failure object that travel in the exception.
FAILURE_LIMIT = 65_536


class CollectTask(LedgerTask):
    """Collects an output; sent by `poll`, never by a caller."""

    abstract = True
    accepts_delivered: ClassVar[bool] = False


@shared_task(bind=True, base=CollectTask, name="sagemaker.collect")
def collect(self: CollectTask) -> dict[str, Any]:
    """Return the output that was found, or raise the failure."""
    run = self.ledger_run
    if run is None:
        raise MalformedMessage("Only the poll sends this task.")

    def get() -> dict[str, Any]:
        row = run.row
        awaited = Pending(
            id=run.id,
            endpoint=row.get("endpoint", ""),
            output_location=row["output_location"],
            failure_location=row.get("failure_location"),
            submitted_at=float(row["submitted_at"]),
            deadline=float(row["deadline"]),
            unanswered_until=None,
            inference_id=row.get("inference_id", run.id),
        )
        return self.attempt(lambda: fetch(self.deployment, awaited, row["ready"]), awaited.endpoint)

    try:
        return self.settle(get)
    finally:
        self.deployment.count_requests()


def fetch(parts: Deployment, awaited: Pending, kind: str) -> dict[str, Any]:
    """Get an answer from S3.

    Args:
        parts: the deployment.
        awaited: whose answer it is.
        kind: output, failure or deadline.

    Raises:
        AsyncInferenceFailed: the endpoint wrote a failure object.
        AsyncDeadlinePassed: nothing was written in time.
        S3Error: the answer cannot be read.
    """
    if kind == "failure" and awaited.failure_location:
        raise _failed(parts, awaited, awaited.failure_location)
    location = S3Location.parse(awaited.output_location)
    if kind == "deadline" and parts.outputs.head(location) is None:
        raise AsyncDeadlinePassed(
            f"Neither output nor failure came in {awaited.deadline - awaited.submitted_at:,.0f} s.",
            {"deadline": awaited.deadline, "output_location": awaited.output_location},
        )
    found = parts.outputs.get(location, max_bytes=parts.settings.result_inline_limit)
    return AsyncInferenceOutput(
        inference_id=awaited.inference_id,
        output_location=awaited.output_location,
        content_type=found.content_type,
        size=found.size,
        body=found.body,
    ).to_json()


def _failed(parts: Deployment, awaited: Pending, location: str) -> AsyncInferenceFailed:
    found = parts.outputs.get(S3Location.parse(location), max_bytes=FAILURE_LIMIT)
    content = (found.body or b"").decode("utf-8", "replace")
    return AsyncInferenceFailed(
        f"The model failed: {content[:500]}",
        {"content": content, "failure_location": location, "inference_id": awaited.inference_id},
    )


def store_again(parts: Deployment, backend: Any, id_: str) -> None:
    """Store the result of an asynchronous inference that has ended; of any other, do nothing.

    A run that was taken over may have written its SUBMITTED over the result: whoever waits for that
    would wait for ever. Links and errbacks have been called.

    Raises:
        S3Error: the output cannot be read.
    """
    status = parts.ledger.status(id_)
    if status is None or not status.state.final:
        return
    if status.state is State.SUCCEEDED:
        backend.store_result(id_, fetch(parts, _of(status), "output"), states.SUCCESS)
    elif status.state is State.REVOKED:
        backend.store_result(id_, TaskRevokedError("revoked"), states.REVOKED)
    else:
        backend.store_result(id_, exceptions.from_json(status.reason or {}), states.FAILURE)


def _of(status: Status) -> Pending:
    return Pending(
        id=status.id,
        endpoint=status.endpoint or "",
        output_location=status.output_location or "",
        failure_location=status.failure_location,
        submitted_at=status.accepted_at,
        deadline=status.deadline or 0.0,
        unanswered_until=None,
        inference_id=inference_id(status.id),
    )
