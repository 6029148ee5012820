"""The doctor, as a process, against real workers: a set-up that is well, and one that is not."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis
from celery import Celery
from celery_sagemaker.local import s3_server
from celery_sagemaker.local.stack import LocalStack
from harness import OPTIONS, Environment, Worker, behave, eventually

pytestmark = pytest.mark.timeout(120)

CLI = "from celery_sagemaker.workers.cli import main; main()"

#: Seconds by which the broken machine's clock is ahead.
AHEAD = 600

#: A process whose clock is ahead from its start.
FAST = f"import time; now = time.time; time.time = lambda: now() + {AHEAD}; {CLI}"

OURS = "celery_sagemaker.workers.app"

#: What is wrong with the broken set-up, as the doctor has to find it.
FAULTS = {
    ("redis.aof", "fault"),
    ("redis.eviction", "fault"),
    ("redis.memory", "warning"),
    ("redis.rights", "fault"),
    ("redis.clock", "fault"),
    ("redis.pubsub", "warning"),
    ("queues.consumed", "fault"),
    ("workers.versions", "fault"),
    ("workers.prefix", "fault"),
    ("workers.clock", "fault"),
    ("workers.connections", "warning"),
    ("workers.known", "fault"),
    ("workers.visibility", "fault"),
    ("workers.visibility", "warning"),
    ("ledger.dead-letters", "warning"),
    ("schedules.beat", "fault"),
    ("aws.clock", "fault"),
    ("aws.read-timeout", "warning"),
    ("endpoints.exists", "fault"),
    ("endpoints.in-service", "fault"),
    ("endpoints.in-service", "warning"),
    ("endpoints.kind", "warning"),
    ("endpoints.output-path", "fault"),
    ("endpoints.failure-path", "fault"),
    ("endpoints.concurrency", "warning"),
    ("s3.writable", "fault"),
    ("s3.list-bucket", "fault"),
}


def run(code: str, environment: Environment, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor to its end."""
    return subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json", "--timeout", "10", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def bad(output: str) -> list[dict[str, Any]]:
    """Return the findings of a run that are not well."""
    found: list[dict[str, Any]] = json.loads(output)["findings"]
    return [finding for finding in found if finding["severity"] != "ok"]


def wait_for(workers: int, url: str) -> None:
    """Return when so many workers answer."""
    with Celery(broker=url, set_as_current=False) as app:
        eventually(lambda: len(app.control.ping(timeout=2.0, limit=workers) or ()) >= workers)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    """Workers that a test starts; killed at the end."""
    made: list[Worker] = []
    yield made
    for worker in made:
        worker.kill()


def test_a_healthy_set_up_has_no_findings(
    environment: Environment, workers: list[Worker], tmp_path: Path
) -> None:
    """Every finding is `ok`, and so is the exit code, also with --strict."""
    ours = environment | {"CELERY_SAGEMAKER_PREFIX": f"well-{uuid.uuid4().hex}"}
    workers.append(Worker(ours, tmp_path / "worker.log", OURS))
    workers[0].start()
    wait_for(1, ours["CELERY_SAGEMAKER_BROKER_URL"])
    found = run(CLI, ours, "--strict")
    assert bad(found.stdout) == []
    assert found.returncode == 0
    groups = {f["id"].partition(".")[0] for f in json.loads(found.stdout)["findings"]}
    assert groups == {"redis", "queues", "workers", "ledger", "schedules", "aws", "endpoints", "s3"}


@pytest.fixture
def broken(workers: list[Worker], tmp_path: Path) -> Iterator[Environment]:
    """A stack of the test's own in which everything is wrong, as `FAULTS` says."""
    with ExitStack() as parts:
        stack = parts.enter_context(LocalStack())
        ours = stack.environment() | _settings(stack)
        _break_redis(stack)
        _break_aws(stack, ours, parts)
        _start_workers(ours, workers, tmp_path)
        wait_for(3, stack.redis_url)
        yield ours


def _settings(stack: LocalStack) -> Environment:
    endpoints = "CELERY_SAGEMAKER_ENDPOINTS__"
    return {
        "CELERY_SAGEMAKER_STAGING": f"s3://{stack.bucket}-staging/staging",
        "CELERY_SAGEMAKER_TIMEOUTS__READ": "50",
        endpoints + "LLAMA__OUTPUT_PATH": f"s3://{stack.bucket}/elsewhere",
        endpoints + "DIGITS__REQUEST_TTL_SECONDS": "600",
        endpoints + "UPDATED__REPEATABLE": "true",
        endpoints + "SMALL__LIMITS__MAX_CONCURRENCY": "50",
        endpoints + "GONE__REPEATABLE": "true",
    }


def _break_redis(stack: LocalStack) -> None:
    with redis.Redis.from_url(stack.redis_url) as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory", "20mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.acl_setuser(
            "limited", enabled=True, passwords=["+hunter2"],
            commands=["+@all", "-script"], keys=["*"], channels=["*"],
        )  # fmt: skip
        client.lpush("{celery-sagemaker}:dead", json.dumps({"id": "x", "code": "PoisonMessage"}))
        client.zadd("redbeat::schedule", {"redbeat:nightly": 0})
    with redis.Redis.from_url(stack.redis_url.replace("/0", "/5")) as other:
        other.hset("{celery-sagemaker}:counts", "accepted", "1")


def _break_aws(stack: LocalStack, environment: Environment, parts: ExitStack) -> None:
    behave(stack, "llama", kind="async", failure_path=False)
    behave(stack, "digits", status="Failed")
    behave(stack, "updated", status="Updating")
    behave(stack, "small", serverless=5)
    s3 = boto3.client(
        "s3",
        endpoint_url=stack.s3_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    parts.callback(s3.close)
    s3.create_bucket(Bucket=f"{stack.bucket}-staging")
    s3_server.deny(stack.s3_url, f"{stack.bucket}-staging", "s3:PutObject")
    s3_server.deny(stack.s3_url, stack.bucket, "s3:ListBucket")


def _start_workers(environment: Environment, workers: list[Worker], folder: Path) -> None:
    def start(name: str, module: str, queues: str, threads: str, **more: str) -> None:
        options = [*OPTIONS, "--queues", queues, "--concurrency", threads]
        options += ["--hostname", f"{name}@test"]
        workers.append(Worker(environment, folder / f"{name}.log", module, options))
        workers[-1].start(**more)

    start("long", "impatient", "sagemaker.invoke,sagemaker.async", "16", WITHOUT_HEARTBEAT="1")
    start("older", "doctor_older", "sagemaker.stream", "4", CELERY_SAGEMAKER_PREFIX="other")
    start("stranger", "doctor_stranger", "sagemaker.poll", "4")


def test_a_broken_set_up_shows_every_fault(broken: Environment) -> None:
    """Each is found, with consequence and remedy, and nothing else is; the exit code is 1.

    What was seen names the queue, the endpoint, the bucket, the versions that are to be mended.
    """
    limited = broken["CELERY_SAGEMAKER_BROKER_URL"].replace("//", "//limited:hunter2@")
    found = run(FAST, broken | {"CELERY_SAGEMAKER_BROKER_URL": limited})
    faults = bad(found.stdout)
    assert [f["seen"] for f in faults if f["id"] == "doctor.probed"] == []
    assert {(f["id"], f["severity"]) for f in faults if f["severity"] != "note"} == FAULTS
    assert all(f["seen"] and f["consequence"] and f["remedy"] for f in faults)
    assert found.returncode == 1
    assert "hunter2" not in found.stdout + found.stderr
    seen = {(f["id"], f["subject"]): f["seen"] for f in faults}
    outputs = f"s3://{LocalStack.bucket}/outputs (outputs of llama)"
    assert ("queues.consumed", "queue sagemaker.batch") in seen
    assert seen["endpoints.exists", "endpoint gone"] == "there is none"
    assert seen["endpoints.in-service", "endpoint digits"].startswith("Failed: ")
    assert ("s3.list-bucket", outputs) in seen
    assert "celery-sagemaker 0.0.9" in seen["workers.versions", "worker older@test"]
    assert "2 s (long@test)" in seen["workers.visibility", "worker long@test"]
