"""Removing what a job has left on S3."""

from ...runtime.exceptions import InvalidRequest
from ...runtime.s3 import S3Location
from ..deployment import Deployment
from .spec import Spec
from .states import JobStatus


def purge(parts: Deployment, status: JobStatus) -> int:
    """Remove everything below the job's own prefix, and what was uploaded for it; forget the job.

    Raises:
        InvalidRequest: the job has not ended.
        S3Error: the objects cannot be removed; the job is still known.
    """
    if not status.state.final:
        raise InvalidRequest(f"Job {status.id} has not ended: it is {status.state}.")
    (text,) = parts.registry.fields(status.id, "spec")
    spec = Spec.from_text(text or "{}")
    found = [o.location for o in parts.store.list(S3Location.parse(spec.output) / "")]
    if spec.uploaded:
        found.append(S3Location.parse(spec.input))
    parts.store.delete(dict.fromkeys(found))
    parts.registry.forget(status.id)
    return len(found)
