"""The least that each kind of process has to be allowed on AWS, as IAM policy documents.

What calls need which action is in the Service Authorization Reference of SageMaker and S3. Two
things there are easy to get wrong. A response stream has an action of its own, and needs that of an
ordinary call as well. And an object that is not there is 404 only for who may list the bucket, as
IAM sees it without a prefix: a HEAD names none, so that a condition on one would not hold for it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..config import Settings, templates
from ..runtime.exceptions import InvalidRequest

#: The version of the policy language.
VERSION = "2012-10-17"

#: What stands for an account and a region that nobody has named.
ACCOUNT, REGION = "ACCOUNT_ID", "REGION"

#: Partitions by how their regions begin; all others are in `aws`.
PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}

#: What may be named as an endpoint here: a name, or a pattern of names.
ENDPOINT = re.compile(r"[a-z0-9*?-]{1,63}(/[a-z0-9*?-]{1,63})?")

#: Below the staging prefix: payloads of requests, and jobs that were given no output.
PAYLOADS, JOBS = "inputs", "batch"

INVOKE = "sagemaker:InvokeEndpoint"
INVOKE_ASYNC = "sagemaker:InvokeEndpointAsync"
STREAM = "sagemaker:InvokeEndpointWithResponseStream"
DESCRIBE = "sagemaker:DescribeEndpoint"
DESCRIBE_CONFIG = "sagemaker:DescribeEndpointConfig"
GET, PUT, DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
ABORT = "s3:AbortMultipartUpload"
LIST = "s3:ListBucket"
LIFECYCLE = "s3:GetLifecycleConfiguration"

Statement = dict[str, Any]


class Role(StrEnum):
    """Kinds of processes."""

    PRODUCER = "producer"
    """Sends tasks, submits batch jobs, adds schedules: a web process, the command line."""
    WORKER = "worker"
    BEAT = "beat"
    DOCTOR = "doctor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a policy is about, as far as the settings do not say it."""

    account: str = ACCOUNT
    region: str = REGION
    endpoints: tuple[str, ...] = ()
    """Real-time endpoints; `name/component` for one with inference components."""
    async_endpoints: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    """Where asynchronous endpoints write: outputs and failures, s3://bucket/prefix."""
    batch_inputs: tuple[str, ...] = ()
    """s3://bucket/key, or s3://bucket/prefix/ with all below it."""
    batch_outputs: tuple[str, ...] = ()
    """s3://bucket/prefix."""
    purge: bool = False
    """Whether a producer may remove what batch jobs have written."""

    @property
    def partition(self) -> str:
        """The first part of every ARN."""
        found = (name for start, name in PARTITIONS.items() if self.region.startswith(start))
        return next(found, "aws")


@dataclass(frozen=True, slots=True)
class Place:
    """Some objects of a bucket."""

    bucket: str
    key: str
    """A pattern of keys."""

    @classmethod
    def under(cls, location: str) -> "Place":
        """Return all below a prefix."""
        return cls.of(location.rstrip("/") + "/")

    @classmethod
    def of(cls, location: str) -> "Place":
        """Return an object, or, where the location ends with a slash, all below it.

        Raises:
            InvalidRequest: it is no location on S3.
        """
        scheme, _, rest = location.partition("://")
        bucket, slash, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise InvalidRequest(f"An S3 location is s3://bucket/key, not {location!r}.")
        everything = not slash or not key or key.endswith("/")
        return cls(bucket, f"{key}*" if everything else key)

    @property
    def listed(self) -> bool:
        """Whether it is more than one object by its name."""
        return self.key.endswith("*")


@dataclass(frozen=True, slots=True)
class Places:
    """What the settings and a scope name, by use."""

    realtime: set[str] = field(default_factory=set)
    asynchronous: set[str] = field(default_factory=set)
    outputs: set[Place] = field(default_factory=set)
    inputs: set[Place] = field(default_factory=set)
    jobs: set[Place] = field(default_factory=set)
    """Where batch jobs write."""
    uploads: set[Place] = field(default_factory=set)
    """Where local inputs of batch jobs go."""
    payloads: set[Place] = field(default_factory=set)

    @classmethod
    def of(cls, settings: Settings, scope: Scope) -> "Places":
        """Read the settings and the scope."""
        made = cls()
        for name, endpoint in settings.endpoints.items():
            (made.asynchronous if endpoint.output_path else made.realtime).add(name)
            if endpoint.output_path:
                made.outputs.add(Place.under(endpoint.output_path))
        made._read_schedules(settings)
        made._read_scope(scope)
        made.realtime.difference_update(made.asynchronous)
        if settings.staging:
            made.payloads.add(Place.under(f"{settings.staging}/{PAYLOADS}"))
            made.uploads.add(Place.under(f"{settings.staging}/{JOBS}"))
            made.jobs.update(made.uploads)
        return made

    @property
    def endpoints(self) -> set[str]:
        """All of them."""
        return self.realtime | self.asynchronous

    def _read_schedules(self, settings: Settings) -> None:
        any_value = dict.fromkeys(templates.NAMES, "*")
        for schedule in settings.schedules.values():
            late = schedule.run == "invoke_async" or schedule.options.get("mode") == "async"
            name = schedule.endpoint.lower()
            if name not in settings.endpoints:
                (self.asynchronous if late else self.realtime).add(name)
            if schedule.run == "batch":
                self.inputs.add(Place.of(templates.fill(schedule.input, any_value)))
                self.jobs.add(Place.under(templates.fill(schedule.output, any_value)))

    def _read_scope(self, scope: Scope) -> None:
        self.realtime.update(map(_endpoint, scope.endpoints))
        self.asynchronous.update(map(_endpoint, scope.async_endpoints))
        self.outputs.update(map(Place.under, scope.outputs))
        self.inputs.update(map(Place.of, scope.batch_inputs))
        self.jobs.update(map(Place.under, scope.batch_outputs))


def policy(role: Role, settings: Settings, scope: Scope) -> dict[str, Any]:
    """Return the policy document of a role.

    Raises:
        InvalidRequest: no endpoint is known, or something that was named cannot be right.
    """
    places = Places.of(settings, scope)
    if role in (Role.WORKER, Role.DOCTOR) and not places.endpoints:
        raise InvalidRequest("No endpoint is known: name them in [endpoints], or by --endpoint.")
    statements = STATEMENTS[role](places, scope)
    return {"Version": VERSION, "Statement": [one for one in statements if one["Resource"]]}


def _producer(places: Places, scope: Scope) -> Iterator[Statement]:
    yield _check_endpoints(scope)
    yield _objects("StagePayloads", [PUT], places.payloads, scope)
    yield _objects("UploadBatchInputs", [PUT, ABORT], places.uploads, scope)
    yield _objects("ReadBatchOutputs", [GET], places.jobs, scope)
    if scope.purge:
        yield _objects("PurgeBatchJobs", [DELETE], places.jobs, scope)
        yield from _listings("ListBatchJobs", places.jobs, scope)


def _worker(places: Places, scope: Scope) -> Iterator[Statement]:
    realtime = _endpoints(places.realtime, scope)
    yield _statement("InvokeEndpoints", [INVOKE, STREAM], realtime)
    yield _statement("InvokeAsyncEndpoints", [INVOKE_ASYNC], _endpoints(places.asynchronous, scope))
    # Which kind of endpoint a batch job is for.
    yield _statement("DescribeEndpoints", [DESCRIBE], _plain(places.endpoints, scope))
    # A task that another one sends may have a large payload as well.
    yield _objects("StagedPayloads", [GET, PUT], places.payloads, scope)
    yield from _awaited(places, scope)
    yield _objects("ReadBatchInputs", [GET], places.inputs, scope)
    yield from _listings("ListBatchInputs", {p for p in places.inputs if p.listed}, scope)
    yield _objects("WriteBatchOutputs", [GET, PUT, DELETE, ABORT], places.jobs, scope)
    yield from _listings("ListBatchOutputs", places.jobs, scope)


def _beat(_: Places, scope: Scope) -> Iterator[Statement]:
    yield _check_endpoints(scope)


def _doctor(places: Places, scope: Scope) -> Iterator[Statement]:
    yield _statement("DescribeEndpoints", [DESCRIBE], _plain(places.endpoints, scope))
    yield _statement("DescribeConfigs", [DESCRIBE_CONFIG], [_arn("endpoint-config/*", scope)])
    tried = {
        Place(place.bucket, f"{place.key.removesuffix('*')}doctor-*") for place in places.payloads
    }
    yield _objects("TryStaging", [GET, PUT, DELETE], tried, scope)
    yield from _awaited(places, scope)
    buckets = {place.bucket for place in places.payloads | places.outputs}
    yield _statement("ReadLifecycleRules", [LIFECYCLE], (_s3(name, scope) for name in buckets))


STATEMENTS = {
    Role.PRODUCER: _producer,
    Role.WORKER: _worker,
    Role.BEAT: _beat,
    Role.DOCTOR: _doctor,
}


def _check_endpoints(scope: Scope) -> Statement:
    """Let a schedule for an endpoint that is not there be told from one that nobody may see."""
    return _statement("CheckScheduledEndpoints", [DESCRIBE], [_arn("endpoint/*", scope)])


def _awaited(places: Places, scope: Scope) -> Iterator[Statement]:
    """Let outputs be found and read; one that is not written yet must be 404, not 403."""
    yield _objects("ReadAsyncOutputs", [GET], places.outputs, scope)
    buckets = {place.bucket for place in places.outputs}
    yield _statement("FindAsyncOutputs", [LIST], (_s3(name, scope) for name in buckets))


def _objects(sid: str, actions: list[str], places: Iterable[Place], scope: Scope) -> Statement:
    return _statement(sid, actions, (_s3(f"{p.bucket}/{p.key}", scope) for p in places))


def _listings(sid: str, places: Iterable[Place], scope: Scope) -> Iterator[Statement]:
    """Let each bucket be listed where its places are; a condition is one bucket's."""
    by_bucket: dict[str, list[str]] = {}
    for place in places:
        by_bucket.setdefault(place.bucket, []).append(place.key)
    for number, (bucket, keys) in enumerate(sorted(by_bucket.items())):
        made = _statement(f"{sid}{number or ''}", [LIST], [_s3(bucket, scope)])
        yield {**made, "Condition": {"StringLike": {"s3:prefix": sorted(keys)}}}


def _statement(sid: str, actions: list[str], resources: Iterable[str]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": sorted(resources)}


def _plain(names: Iterable[str], scope: Scope) -> set[str]:
    return {_arn(f"endpoint/{name.partition('/')[0]}", scope) for name in names}


def _endpoints(names: set[str], scope: Scope) -> set[str]:
    """Return the ARNs of endpoints, and of the components that are named."""
    components = (name.partition("/")[2] for name in names)
    found = {_arn(f"inference-component/{name}", scope) for name in components if name}
    return _plain(names, scope) | found


def _endpoint(name: str) -> str:
    """Return a name as ARNs have it: in lower case, whatever the endpoint was created as."""
    if not ENDPOINT.fullmatch(name.lower()):
        raise InvalidRequest(f"{name!r} cannot be an endpoint's name.")
    return name.lower()


def _arn(resource: str, scope: Scope) -> str:
    return f"arn:{scope.partition}:sagemaker:{scope.region}:{scope.account}:{resource}"


def _s3(path: str, scope: Scope) -> str:
    return f"arn:{scope.partition}:s3:::{path}"
