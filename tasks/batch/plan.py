"""`sagemaker.batch_plan`: the input is read once, checked, and cut into chunks."""

import uuid
from collections.abc import Iterable
from itertools import islice
from typing import Any

from celery import shared_task

from ...runtime.exceptions import (
    EndpointNotFound,
    InferenceError,
    InvalidRequest,
    S3AccessDenied,
    S3BucketNotFound,
)
from ...runtime.s3 import S3Location
from ..deployment import Deployment
from . import retrying, schedule
from .chunk import BatchTask
from .records.results import describe
from .records.scanning import ScanOptions, scan
from .registry import Registry
from .retrying import Planned
from .spec import Spec

#: Chunks added in one round trip.
PAGE = 50

#: Seconds of an endpoint's work that a chunk is cut for.
CHUNK_WORK = 5.0

#: Records of a chunk, at least and at most, where the endpoint's speed is known.
CHUNK_RECORDS = (100, 10_000)


class PlanTask(BatchTask):
    """Planning; a job whose plan cannot be made fails."""

    abstract = True

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Fail the job with the reason."""
        job = kwargs["message"]["job"]
        self.deployment.registry.stop(job, "failed", reason_of(exc))
        super().on_failure(exc, task_id, args, kwargs, einfo)


def reason_of(error: BaseException) -> dict[str, Any]:
    """Return an error's JSON form."""
    if isinstance(error, InferenceError):
        return error.to_json()
    return {"code": type(error).__name__, "message": str(error), "members": {}}


@shared_task(bind=True, base=PlanTask, name="sagemaker.batch_plan", ignore_result=True)
def batch_plan(self: PlanTask, message: dict[str, Any]) -> dict[str, Any]:
    """Validate a job's input, and let the job begin."""
    job = message["job"]
    try:
        return self.settle(lambda: self.attempt(lambda: plan(self.deployment, job), job))
    finally:
        self.deployment.count_requests()
        schedule.try_to_advance(self.app)


def plan(parts: Deployment, job: str) -> dict[str, Any]:
    """Plan a job that is validating; any other is left alone."""
    registry, planner = parts.registry, uuid.uuid4().hex
    (text,) = registry.fields(job, "spec")
    if text is None or not registry.plan(job, planner):
        return {"records": 0}
    spec = Spec.from_text(text)
    try:
        spec.check(parts.allowed)
        fields = {"mode": _mode(parts, spec), "max_chunks": _max_chunks(parts, spec)}
        describe(parts.store, S3Location.parse(spec.output), {"id": job, "spec": text})
    except (InvalidRequest, EndpointNotFound, S3AccessDenied, S3BucketNotFound) as error:
        registry.reject(job, planner, [error.to_json()], parts.settings.batch.retention)
        return {"records": 0}
    if spec.retry_of:
        planned = retrying.failed_chunks(parts, spec.retry_of)
        total = _add(registry, job, planner, planned)
    else:
        total = _scan(parts, job, planner, spec)
    if total is not None:
        registry.commit(job, planner, total, **fields)
    return {"records": total or 0}


def _scan(parts: Deployment, job: str, planner: str, spec: Spec) -> int | None:
    batch = parts.settings.batch
    found = scan(
        spec.input_(),
        parts.store,
        ScanOptions(
            listing=S3Location.parse(spec.output) / "input.jsonl",
            chunk_bytes=batch.chunk_bytes,
            chunk_records=_chunk_records(parts, spec.endpoint),
            record_bytes=spec.packing().max_payload_bytes,
        ),
    )
    total = _add(parts.registry, job, planner, (Planned(chunk) for chunk in found))
    if found.errors:
        errors = [error.to_json() for error in found.errors]
        parts.registry.reject(job, planner, errors, batch.retention)
        return None
    return total


def _add(registry: Registry, job: str, planner: str, planned: Iterable[Planned]) -> int | None:
    total, added, rest = 0, 0, iter(planned)
    while page := list(islice(rest, PAGE)):
        total += sum(one.records for one in page)
        values = [
            (one.chunk.to_json(), one.progress.to_json() if one.progress else None) for one in page
        ]
        if not registry.add(job, planner, added, values):
            return None
        added += len(page)
    return total


def _chunk_records(parts: Deployment, endpoint: str) -> int:
    speed = parts.registry.speed(endpoint)
    if speed is None:
        return parts.settings.batch.chunk_records
    least, most = CHUNK_RECORDS
    return int(min(max(speed * CHUNK_WORK, least), most))


def _mode(parts: Deployment, spec: Spec) -> str:
    mode = _kind(parts, spec)
    if mode == "async" and spec.batch_strategy != "SingleRecord":
        raise InvalidRequest("MultiRecord needs a real-time endpoint, and this one is async.")
    return mode


def _kind(parts: Deployment, spec: Spec) -> str:
    if spec.mode != "auto":
        return spec.mode
    try:
        return parts.transport.describe_endpoint_kind(spec.endpoint)
    except EndpointNotFound:
        raise
    except InferenceError:
        # Asking is a permission that not everybody has.
        return "realtime"


def _max_chunks(parts: Deployment, spec: Spec) -> int | None:
    most = spec.max_concurrent_transforms
    return None if most is None else max(1, most // parts.settings.batch.in_flight)
