"""`sagemaker.batch_finalize`: the manifest is written, and the job has its final state."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from celery import shared_task

from ...runtime.exceptions import InferenceError
from ...runtime.s3 import S3Location
from ..deployment import Deployment
from .chunk import BatchTask
from .records.assembling import AssembleWith, assemble
from .records.parts import Part
from .records.results import remove_strays, write_manifest
from .spec import Spec
from .states import JobState, JobStatus

#: Final state by what has become of the records without an outcome.
FINAL = {
    None: JobState.COMPLETED,
    "cancelled": JobState.CANCELLED,
    "expired": JobState.EXPIRED,
    "failed": JobState.FAILED,
}

#: Times that a manifest may fail to be written before its job fails.
TRIES = 10


@shared_task(bind=True, base=BatchTask, name="sagemaker.batch_finalize", ignore_result=True)
def batch_finalize(self: BatchTask, message: dict[str, Any]) -> dict[str, Any]:
    """Write a job's manifest; what is done already is done again with the same result."""
    job = message["job"]
    try:
        return self.settle(lambda: finalize(self.deployment, job))
    finally:
        self.deployment.count_requests()


def finalize(parts: Deployment, job: str) -> dict[str, Any]:
    """End a job that is finalizing; any other is left alone."""
    registry, retention = parts.registry, parts.settings.batch.retention
    status = registry.status(job)
    if status is None or status.state is not JobState.FINALIZING:
        return {"state": status and status.state}
    ending, miscounted = registry.fields(job, "ending", "miscounted")
    state, errors = FINAL[ending], []
    if miscounted is not None:
        # Must not happen; were it to, a job that claims to be complete would be the worst end.
        state = JobState.FAILED
        errors = [{"code": "Miscounted", "message": f"{miscounted} records have no outcome."}]
    try:
        _write(parts, status, state)
    except InferenceError as error:
        if registry.tried_to_finalize(job) < TRIES:
            return {"state": status.state, "error": error.code}
        state, errors = JobState.FAILED, [*errors, error.to_json()]
    registry.finish(job, state, retention, errors)
    return {"state": state}


def _write(parts: Deployment, status: JobStatus, state: JobState) -> None:
    (text,) = parts.registry.fields(status.id, "spec")
    spec = Spec.from_text(text or "{}")
    output = S3Location.parse(spec.output)
    found = [Part.from_json(part) for part in parts.registry.parts(status.id)]
    found.sort(key=lambda part: (part.chunk, part.run))
    remove_strays(parts.store, output, found)
    assembled = []
    if spec.assemble_with:
        how = AssembleWith(spec.assemble_with)
        assembled = assemble(parts.store, output, _by_chunk(found), how)
    described = {
        "id": status.id,
        "state": state.value,
        "endpoint": spec.endpoint,
        "input": dict(spec.transform_input),
        "retry_of": spec.retry_of,
        "metadata": dict(spec.metadata),
        "request_counts": asdict(status.request_counts),
        "error_counts": dict(status.error_counts),
    }
    write_manifest(parts.store, output, described, found, assembled)


def _by_chunk(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Yield the parts of each chunk, in order."""
    chunk: list[Part] = []
    for part in parts:
        if chunk and chunk[0].chunk != part.chunk:
            yield chunk
            chunk = []
        chunk.append(part)
    if chunk:
        yield chunk
