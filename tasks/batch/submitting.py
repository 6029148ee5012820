"""Making jobs."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import Celery

from ...runtime.exceptions import InvalidRequest
from ..deployment import Deployment, deployment, this_app
from . import schedule
from .job import Job
from .plan import batch_plan
from .spec import TOKEN, Spec

if TYPE_CHECKING:
    from ...runtime.s3 import S3Location
    from .records.values import Input


def submit(
    endpoint: str,
    *,
    input: str | Path,  # noqa: A002 - the word of every batch API
    output: str | None = None,
    mode: str = "auto",
    s3_data_type: str | None = None,
    split_type: str | None = None,
    batch_strategy: str = "SingleRecord",
    max_payload_in_mb: int = 6,
    max_records: int = 100,
    max_concurrent_transforms: int | None = None,
    assemble_with: str | None = None,
    join_source: str = "None",
    input_filter: str = "$",
    output_filter: str = "$",
    content_type: str | None = None,
    repeatable: bool = False,
    client_token: str | None = None,
    expires_in: float | None = None,
    metadata: Mapping[str, str] | None = None,
    dry_run: bool = False,
    app: Celery | None = None,
    **members: str,
) -> Job:
    """Submit a batch job; returns at once, the input is read by a worker.

    Args:
        endpoint: an endpoint that is running.
        input: `s3://bucket/key`, `s3://bucket/prefix/` with the final slash, or a local file,
            which is uploaded under the staging prefix.
        output: where the job makes a prefix of its own; by default under the staging prefix.
        mode: realtime, async, or auto, which asks DescribeEndpoint where it may.
        s3_data_type: S3Object, S3Prefix (one object one payload), or ManifestFile.
        split_type: Line, or None for an object that is one record.
        batch_strategy: SingleRecord, or MultiRecord: many records in one invocation.
        max_payload_in_mb: of an invocation's body, in units of 1,048,576 bytes; up to 6.
        max_records: of an invocation, with MultiRecord.
        max_concurrent_transforms: calls in flight at once, over all workers.
        assemble_with: Line or None: outputs are put together without their ids as well.
        join_source: Input: outputs are joined with their records.
        input_filter: JSONPath; what of a record is sent.
        output_filter: JSONPath; what of the (joined) output is kept.
        content_type: of the records; by default the endpoint's setting, else what the suffix says.
        repeatable: whether a call that may have run (read timeout, lost connection) is made again.
        client_token: up to 256 characters; a second submit with it returns the first one's job.
        expires_in: seconds after which the job is given up, with what it has.
        metadata: up to 16 pairs of strings.
        dry_run: check all of this, and upload and submit nothing; nobody knows the job returned.
        app: by default Celery's current one.
        members: further members of InvokeEndpoint or InvokeEndpointAsync, in snake case.

    Raises:
        InvalidRequest: it cannot be right; nothing was uploaded or sent.
        redis.RedisError, kombu.exceptions.OperationalError, S3Error: it was not accepted.
    """
    app = this_app(app)
    parts, id_ = deployment(app), uuid.uuid4().hex
    _check_once(client_token, expires_in)
    given = parts.settings.endpoint(endpoint)
    defaults = {"accept": given.accept} if given.accept else {}
    source, upload = _input(
        parts, id_, input,
        data_type=s3_data_type, split_type=split_type,
        content_type=content_type or given.content_type,
    )  # fmt: skip
    spec = Spec(
        endpoint=endpoint,
        transform_input=source.to_json(),
        output=_output(parts, id_, output),
        mode=mode,
        batch_strategy=batch_strategy,
        max_payload_in_mb=max_payload_in_mb,
        max_records=max_records,
        max_concurrent_transforms=max_concurrent_transforms,
        assemble_with=assemble_with,
        join_source=join_source,
        input_filter=input_filter,
        output_filter=output_filter,
        members={**defaults, **members},
        repeatable=repeatable,
        uploaded=upload is not None,
        metadata=dict(metadata or {}),
    )
    spec.validate()
    spec.check(parts.allowed)
    if dry_run:
        return Job(id_, app)
    if upload is not None and not (client_token and parts.registry.job_of(client_token)):
        from .records.inputs import upload as put  # noqa: PLC0415 - loads boto3

        put(upload, source.location, parts.store)
    return _create(app, id_, spec, client_token, expires_in)


def retry(job: Job, app: Celery, client_token: str | None) -> Job:
    """Make a job of another one's failed records; see `Job.retry_failed`."""
    parts, status = deployment(app), job.status()
    if not status.state.final:
        raise InvalidRequest(f"Job {job.id} has not ended: it is {status.state}.")
    if not status.request_counts.failed:
        raise InvalidRequest(f"No record of job {job.id} has failed.")
    id_ = uuid.uuid4().hex
    (text,) = parts.registry.fields(job.id, "spec")
    spec = Spec.from_text(text or "{}")
    prefix = spec.output.rpartition("/")[0]
    again = replace(spec, output=f"{prefix}/{id_}", retry_of=job.id, uploaded=False)
    return _create(app, id_, again, client_token, None)


def _create(
    app: Celery, id_: str, spec: Spec, client_token: str | None, expires_in: float | None
) -> Job:
    registry = deployment(app).registry
    fields: dict[str, Any] = {"spec": spec.to_text()}
    found = registry.create(id_, token=client_token or "", expires_in=expires_in or 0.0, **fields)
    # Also for a job that the token had: whoever made it may have died before this.
    batch_plan.apply_async(kwargs=schedule.message(found), task_id=found)
    return Job(found, app)


def _check_once(client_token: object, expires_in: object) -> None:
    """Check what is the submit's and not the job's."""
    if client_token is not None and not (
        isinstance(client_token, str) and 0 < len(client_token) <= TOKEN
    ):
        raise InvalidRequest(f"A client token has 1 to {TOKEN} characters.")
    if expires_in is not None and not (isinstance(expires_in, int | float) and expires_in > 0):
        raise InvalidRequest("expires_in is a number of seconds, more than 0.")


def _input(
    parts: Deployment, id_: str, input_: str | Path, **options: str | None
) -> "tuple[Input, Path | None]":
    from .records import inputs  # noqa: PLC0415 - loads boto3

    if str(input_).startswith("s3://"):
        return inputs.resolve(str(input_), **options), None
    path = Path(input_)
    if not path.is_file():
        raise InvalidRequest(f"There is no file {path}.")
    location = str(_staged(parts, id_) / "input" / path.name)
    return inputs.resolve(location, **options), path


def _output(parts: Deployment, id_: str, output: str | None) -> str:
    from ...runtime.s3 import S3Location  # noqa: PLC0415 - loads boto3

    if output is None:
        return str(_staged(parts, id_))
    return str(S3Location.parse(output.rstrip("/")) / id_)


def _staged(parts: Deployment, id_: str) -> "S3Location":
    from ...runtime.s3 import S3Location  # noqa: PLC0415 - loads boto3

    if parts.settings.staging is None:
        raise InvalidRequest(
            "A local file, or a job without an output, needs a staging prefix: set"
            " CELERY_SAGEMAKER_STAGING=s3://bucket/prefix."
        )
    return S3Location.parse(parts.settings.staging) / "batch" / id_
