"""The lists at the places where calls leave a process: transports, S3, and whole deployments."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from celery_sagemaker.runtime.allow import Allowed
from celery_sagemaker.runtime.exceptions import NotAllowed
from celery_sagemaker.runtime.fast import FastTransport
from celery_sagemaker.runtime.s3 import S3Location, S3Store
from celery_sagemaker.runtime.transport import BotoTransport
from celery_sagemaker.tasks import batch, deployment
from celery_sagemaker.tasks.batch import JobState
from celery_sagemaker.tasks.batch.chunk import run_chunk
from celery_sagemaker.tasks.batch.finalize import finalize
from celery_sagemaker.tasks.batch.plan import plan
from celery_sagemaker.tasks.deployment import Deployment
from celery_sagemaker.workers import create_app

NO_ENDPOINT = Allowed(endpoints=("other",))
SYNC = InvokeEndpointRequest(endpoint_name="echo", body=b"x")
ASYNC = InvokeEndpointAsyncRequest(endpoint_name="echo", input_location="s3://elsewhere/x")
STREAM = InvokeEndpointWithResponseStreamRequest(endpoint_name="echo", body=b"x")

Configure = Callable[..., Celery]


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.invoke(SYNC),
        lambda t: t.invoke_async(ASYNC),
        lambda t: t.stream(STREAM),
        lambda t: t.describe_endpoint_kind("echo"),
    ],
    ids=["invoke", "invoke_async", "stream", "describe"],
)
def test_boto3_calls_no_other_endpoint(call: Callable[[BotoTransport], object]) -> None:
    """Nothing is sent: there is no server here, and no credentials."""
    with pytest.raises(NotAllowed, match="echo"):
        call(BotoTransport(region_name="us-east-1", allowed=NO_ENDPOINT))


@pytest.mark.parametrize("method", ["invoke", "invoke_async"])
def test_the_fast_transport_calls_no_other_endpoint(method: str) -> None:
    """The same over asyncio."""

    async def call() -> None:
        async with FastTransport(region_name="us-east-1", allowed=NO_ENDPOINT) as transport:
            await getattr(transport, method)(SYNC if method == "invoke" else ASYNC)

    with pytest.raises(NotAllowed, match="echo"):
        asyncio.run(call())


@pytest.mark.parametrize(
    "do",
    [
        lambda s, at: s.get(at),
        lambda s, at: s.get_range(at, 0, 1),
        lambda s, at: s.head(at),
        lambda s, at: list(s.list(at)),
        lambda s, at: s.put(at, b""),
        lambda s, at: s.put_blocks(at, [b""]),
        lambda s, at: s.delete([at]),
    ],
    ids=["get", "get_range", "head", "list", "put", "put_blocks", "delete"],
)
def test_s3_is_asked_for_nothing_else(do: Callable[[S3Store, S3Location], object]) -> None:
    """Each method refuses, and no request is counted."""
    store = S3Store(allowed=Allowed(s3_read=("s3://bucket/in",), s3_write=("s3://bucket/out",)))
    with pytest.raises(NotAllowed, match="s3://bucket/inner/x"):
        do(store, S3Location("bucket", "inner/x"))
    assert not store.requests.total()


def test_what_is_written_may_be_read_and_not_the_other_way(
    sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]
) -> None:
    """A job reads its own output; its input stays as it is."""
    root = f"s3://{sagemaker_local.bucket}/{uuid.uuid4().hex}"
    free = S3Store()
    store = free.limited(Allowed(s3_read=(f"{root}/in",), s3_write=(f"{root}/out",)))
    source, target = S3Location.parse(f"{root}/in/x"), S3Location.parse(f"{root}/out/x")
    free.put(source, b"1")
    store.put(target, store.get(source).body or b"")
    assert store.get(target).body == b"1"
    assert [found.location for found in store.list(S3Location.parse(f"{root}/out/"))] == [target]
    with pytest.raises(NotAllowed):
        store.put(source, b"2")
    assert free.requests == store.requests


@pytest.fixture
def configure(
    sagemaker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Configure]:
    """Makes an app of a prefix of the test's own, with lists."""
    made: list[Celery] = []
    prefix = f"test-{uuid.uuid4().hex}"

    def make(**allow: str) -> Celery:
        monkeypatch.setenv("CELERY_SAGEMAKER_PREFIX", prefix)
        monkeypatch.setenv("CELERY_SAGEMAKER_BATCH__CHUNK_RECORDS", "10")
        for name in ("ENDPOINTS", "S3_READ", "S3_WRITE"):
            monkeypatch.setenv(f"CELERY_SAGEMAKER_ALLOW__{name}", allow.get(name.lower(), ""))
        app = create_app(Settings.load())
        app.set_current()
        made.append(app)
        return app

    yield make
    for app in made:
        deployment(app).close()
        app.close()


def test_a_caller_hears_of_it_at_once(configure: Configure) -> None:
    """Where its settings have the list: nothing is accepted, nothing is sent."""
    app = configure(endpoints="chat", s3_read="s3://bucket/in")
    for sent in (
        lambda: tasks.invoke.delay("echo", "x"),
        lambda: tasks.stream.delay("echo", "x"),
        lambda: tasks.invoke_async.delay("echo", "x"),
        lambda: tasks.invoke_async.delay("chat", input_location="s3://bucket/secret/x"),
        lambda: batch.submit("echo", input="s3://bucket/in/x", output="s3://bucket/out"),
        lambda: batch.submit("chat", input="s3://bucket/secret/x", output="s3://bucket/out"),
        lambda: batch.submit("chat", input="s3://bucket/inner/", output="s3://b/o"),
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            sent()
    assert tasks.counts(app) == {}
    assert list(batch.list_jobs()) == []


def test_a_writer_hears_of_it_at_once(configure: Configure) -> None:
    """A job's output has to be where the list says."""
    configure(s3_write="s3://bucket/out")
    with pytest.raises(NotAllowed, match="s3_write"):
        batch.submit("chat", input="s3://bucket/in/x", output="s3://bucket/elsewhere")


@pytest.mark.parametrize(
    ("task", "request_", "more"),
    [
        ("invoke", SYNC, {}),
        ("stream", STREAM, {}),
        ("invoke_async", ASYNC, {}),
        ("invoke", replace(SYNC, endpoint_name="chat"), {"staged": "s3://elsewhere/x"}),
        ("invoke_async", replace(ASYNC, endpoint_name="chat"), {}),
    ],
)
def test_a_message_makes_a_worker_do_nothing_else(
    configure: Configure, task: str, request_: Any, more: dict[str, str]
) -> None:
    """Whoever wrote it: the worker's own lists hold, and the error is JSON like every other."""
    app = configure(endpoints="chat", s3_read="s3://bucket/in")
    message = {"version": 1, "request": request_.to_json(), **more}
    result = app.tasks[f"sagemaker.{task}"].apply(kwargs={"message": message})
    assert isinstance(result.result, NotAllowed)
    json.dumps(result.result.to_json())


def test_outputs_are_collected_wherever_the_service_put_them(configure: Configure) -> None:
    """And a chain may pass them on; other places below the same bucket stay closed."""
    app = configure(s3_read="s3://bucket/in")
    parts: Deployment = deployment(app)
    found = tasks.invoke_async.apply(args=("echo", "x")).get()
    location = found["output_location"]
    with pytest.raises(NotAllowed):
        parts.allowed.check_location(location)
    root = location.rpartition(f"/{parts.settings.prefix}/")[0]
    parts.ledger.learn("echo", root=root)
    parts.allowed.check_location(location)
    with pytest.raises(NotAllowed):
        parts.allowed.check_location(f"{root}/another/x")


def lines(folder: Path, count: int) -> bytes:
    """Records."""
    return b"".join(b'{"x": %d}\n' % number for number in range(count))


def drive(parts: Deployment, job: batch.Job) -> None:
    """Do what workers do with a job, until nothing can go on."""
    parts.registry.register("test", 2, 600.0)
    plan(parts, job.id)
    while given := parts.registry.dispatch():
        for one in given:
            run_chunk(parts, one)
    for id_ in parts.registry.to_finalize(60.0):
        finalize(parts, id_)


@pytest.fixture
def root(sagemaker_local: LocalStack, sagemaker_environment: dict[str, str], tmp_path: Path) -> str:
    """A prefix with an input, a secret, and a manifest that names both."""
    made = f"s3://{sagemaker_local.bucket}/{uuid.uuid4().hex}"
    store = S3Store()
    for name in ("in/a.jsonl", "secret/b.jsonl"):
        store.put(S3Location.parse(f"{made}/{name}"), lines(tmp_path, 5))
    for name, keys in (("good", ["in/a.jsonl"]), ("evil", ["in/a.jsonl", "secret/b.jsonl"])):
        manifest = json.dumps([{"prefix": f"{made}/"}, *keys]).encode()
        store.put(S3Location.parse(f"{made}/in/{name}.json"), manifest)
    return made


def test_a_job_runs_within_its_lists(configure: Configure, root: str) -> None:
    """Its input, its output and what a producer reads of it need no more than their own lists."""
    app = configure(endpoints="echo", s3_read=f"{root}/in", s3_write=f"{root}/out")
    job = batch.submit("echo", input=f"{root}/in/a.jsonl", output=f"{root}/out")
    drive(deployment(app), job)
    assert job.status().state is JobState.COMPLETED
    assert len(list(job.results())) == 5
    assert job.purge() > 0


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"endpoints": "other"}, "NotAllowed"),
        ({"s3_read": "s3://elsewhere"}, "NotAllowed"),
        ({"s3_write": "s3://elsewhere"}, "NotAllowed"),
    ],
    ids=["endpoint", "input", "output"],
)
def test_a_job_of_somebody_else_is_refused_by_the_worker(
    configure: Configure, root: str, limits: dict[str, str], code: str
) -> None:
    """Submitted without lists, planned with them: it fails, with the reason, and costs nothing."""
    configure()
    job = batch.submit("echo", input=f"{root}/in/a.jsonl", output=f"{root}/out")
    app = configure(**limits)
    drive(deployment(app), job)
    status = job.status()
    assert status.state is JobState.FAILED
    assert [error["code"] for error in status.errors] == [code]


@pytest.mark.parametrize("split", [None, "Line"])
def test_a_manifest_names_nothing_else(configure: Configure, root: str, split: str | None) -> None:
    """What it lists is asked for as everything is: no object of another place is read."""
    configure()
    options: dict[str, Any] = {
        "s3_data_type": "ManifestFile",
        "split_type": split,
        "output": f"{root}/out",
    }
    good = batch.submit("echo", input=f"{root}/in/good.json", **options)
    evil = batch.submit("echo", input=f"{root}/in/evil.json", **options)
    parts = deployment(configure(s3_read=f"{root}/in", s3_write=f"{root}/out"))
    drive(parts, good)
    assert good.status().state is JobState.COMPLETED
    drive(parts, evil)
    outcomes = {error["code"] for error in evil.status().errors}
    outcomes |= set(evil.status().error_counts)
    assert outcomes == {"NotAllowed"}


def test_lists_that_change_under_a_job_end_it(configure: Configure, root: str) -> None:
    """The chunk is not tried for minutes."""
    free = deployment(configure())
    job = batch.submit("echo", input=f"{root}/in/a.jsonl", output=f"{root}/out")
    free.registry.register("test", 2, 600.0)
    plan(free, job.id)
    drive(deployment(configure(endpoints="other")), job)
    assert job.status().state is JobState.FAILED
    assert job.status().errors[0]["code"] == "NotAllowed"
