"""The policies that `iam-policy` prints are enough for all that is done, and not too much."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import InferenceError, S3AccessDenied
from celery_sagemaker.runtime.s3 import S3Location
from celery_sagemaker.tasks import batch, invoke, invoke_async, schedules, stream
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.exceptions import InvalidSchedule
from celery_sagemaker.workers.iam import Role, Scope, policy
from harness import Environment, Worker, behave
from policy_guard import Guard, guarding

#: Access keys, by which the guard knows who calls.
PRODUCER, WORKER = "PRODUCER", "WORKER"

#: Seconds for one answer.
PATIENCE = 60

#: More than travels through the broker.
LARGE = "x" * 100_000

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def guard(sagemaker_local: LocalStack) -> Iterator[Guard]:
    """S3 and the endpoints behind policies."""
    with guarding(sagemaker_local.s3_url, sagemaker_local.endpoint_url) as made:
        yield made


@pytest.fixture
def environment(
    environment: Environment,
    guard: Guard,
    sagemaker_local: LocalStack,
    monkeypatch: pytest.MonkeyPatch,
) -> Environment:
    """The environment of both processes, but for who they are."""
    bucket = sagemaker_local.bucket
    behave(sagemaker_local, "live")
    behave(sagemaker_local, "late", kind="async", delay={"fixed": 0.5})
    behave(sagemaker_local, "failing", kind="async", failure_rate=1.0)
    ours = {
        "AWS_ENDPOINT_URL_S3": guard.url,
        "AWS_ENDPOINT_URL_SAGEMAKER": guard.url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": guard.url,
        "CELERY_SAGEMAKER_ENDPOINTS__LIVE__ACCEPT": "text/plain",
        "CELERY_SAGEMAKER_ENDPOINTS__LATE__OUTPUT_PATH": f"s3://{bucket}/outputs",
        "CELERY_SAGEMAKER_ENDPOINTS__FAILING__OUTPUT_PATH": f"s3://{bucket}/outputs",
    }
    for name, value in {**ours, "AWS_ACCESS_KEY_ID": PRODUCER}.items():
        monkeypatch.setenv(name, value)
    # That of the other tests stays as it is: the deployment has one endpoint less.
    monkeypatch.delenv("CELERY_SAGEMAKER_ENDPOINTS__ECHO__OUTPUT_PATH")
    settings = Settings.load()
    scope = Scope(
        account="000000000000",
        region="us-east-1",
        outputs=(f"s3://{bucket}/failures",),
        batch_inputs=("s3://mine/in/",),
        batch_outputs=("s3://mine/out",),
        purge=True,
    )
    guard.policies[PRODUCER] = policy(Role.PRODUCER, settings, scope)
    guard.policies[WORKER] = policy(Role.WORKER, settings, scope)
    kept = {k: v for k, v in environment.items() if "ECHO" not in k}
    return {**kept, **ours, "AWS_ACCESS_KEY_ID": WORKER}


@pytest.fixture
def guarded_worker(environment: Environment, app: Celery, tmp_path: Path) -> Iterator[Worker]:
    """A worker that is somebody else."""
    made = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app")
    made.start()
    yield made
    made.kill()


def records(folder: Path, count: int, size: int) -> Path:
    """A file of records."""
    file = folder / "records.jsonl"
    file.write_text("".join(f'{{"n": {n}, "text": "{"x" * size}"}}\n' for n in range(count)))
    return file


def test_everything_is_allowed_that_is_needed(
    guard: Guard, guarded_worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """All ways to call, large payloads, failures, batch jobs in both modes, their removal."""
    s3 = boto3.client("s3", endpoint_url=sagemaker_local.s3_url)
    s3.create_bucket(Bucket="mine")
    for n in range(3):
        s3.put_object(Bucket="mine", Key=f"in/{n}", Body=b"x")
    assert invoke.delay("live", LARGE).get(PATIENCE)
    assert stream.delay("live", "1,2").get(PATIENCE)
    assert invoke_async.delay("late", LARGE).get(PATIENCE)
    failed = invoke_async.delay("failing", "1,2")
    with pytest.raises(InferenceError):
        failed.get(PATIENCE)
    # Large enough to go to S3 in parts.
    uploaded = batch.submit("live", input=str(records(tmp_path, 10, 900_000)))
    async_job = batch.submit(
        "late", input="s3://mine/in/", output="s3://mine/out", mode="async", assemble_with="Line"
    )
    for job, count in ((uploaded, 10), (async_job, 3)):
        assert job.wait(PATIENCE).request_counts.succeeded == count
        assert len(list(job.results())) == count
        assert job.purge() > 0
    assert guard.denied == {}
    # What is left is for what seldom happens: a broken upload, what a killed run left behind.
    granted = {who: actions_of(guard.policies[who]) for who in (PRODUCER, WORKER)}
    assert granted[PRODUCER] - guard.used[PRODUCER] == {
        "s3:AbortMultipartUpload",
        "sagemaker:DescribeEndpoint",
    }
    assert granted[WORKER] - guard.used[WORKER] == {"s3:AbortMultipartUpload", "s3:DeleteObject"}


def test_a_schedule_for_an_endpoint_that_is_not_there_is_refused(guard: Guard, app: Celery) -> None:
    """By whoever may describe any endpoint: there is none, rather than none to be seen."""
    with pytest.raises(InvalidSchedule, match="there is no endpoint nowhere"):
        schedules.add("s", every=60, endpoint="nowhere", payload="x")
    assert guard.denied == {}
    assert guard.used[PRODUCER] == {"sagemaker:DescribeEndpoint"}


def test_what_is_not_granted_is_refused(
    guard: Guard, app: Celery, sagemaker_local: LocalStack
) -> None:
    """The guard sees what a policy lacks; without that, the other test would show nothing."""
    whole = guard.policies[WORKER]
    lesser = [one for one in whole["Statement"] if one["Sid"] != "FindAsyncOutputs"]
    absent = S3Location.parse(f"s3://{sagemaker_local.bucket}/outputs/absent")
    store = deployment(app).store
    guard.policies[PRODUCER] = whole
    assert store.head(absent) is None
    assert list(store.list(absent)) == []
    guard.policies[PRODUCER] = {"Statement": lesser}
    for look in (
        store.head,
        lambda where: list(store.list(where)),
        lambda _: store.put(absent, b""),
    ):
        with pytest.raises(S3AccessDenied):
            look(absent)
    said = [line.partition(" on ")[0] for line in guard.denied[PRODUCER]]
    assert said == ["s3:ListBucket", "s3:ListBucket", "s3:PutObject"]


def actions_of(document: object) -> set[str]:
    """All actions of a policy."""
    assert isinstance(document, dict)
    return {action for one in document["Statement"] for action in one["Action"]}
