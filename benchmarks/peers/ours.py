"""This package, with workers as they are advised: batch jobs and `invoke`. `ours.py [WORKERS]`."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import line
from celery import group
from celery.result import ResultSet
from celery_sagemaker.config import Settings, queues
from celery_sagemaker.runtime import InvokeEndpointResponse
from celery_sagemaker.tasks import apply_many, batch
from celery_sagemaker.tasks.invoke import invoke
from celery_sagemaker.workers import create_app

app = create_app(Settings.load())
app.set_current()


def job(count: int, endpoint: str, **options: Any) -> None:
    """Run a batch job; all of its records have to have outputs."""
    submitted = batch.submit(
        endpoint,
        input=f"s3://benchmark/in/{count}.jsonl",
        output="s3://benchmark/out/",
        mode="realtime",
        **options,
    )
    status = submitted.wait(line.PATIENCE)
    if status.request_counts.succeeded != count:
        raise RuntimeError(str(status))


def tasks(count: int, endpoint: str) -> None:
    """Send an `invoke` for each record, and read the results."""
    records = line.read(count)
    sent = ResultSet([invoke.delay(endpoint, record["body"]) for record in records])
    answers = sent.join_native(timeout=line.PATIENCE)
    bodies = [InvokeEndpointResponse.from_json(answer).body for answer in answers]
    line.write(count, zip([record["custom_id"] for record in records], bodies, strict=True))


BODY = {"features": [0.5] * 36, "model": "iris"}


def singly(count: int, endpoint: str) -> None:
    """Send an `invoke` and wait for its result, again and again."""
    for _ in range(count):
        invoke.delay(endpoint, BODY).get(timeout=line.PATIENCE)


def publish(count: int, endpoint: str) -> dict[str, float]:
    """Publish only; there is no worker, which would compete for the cores."""
    began = time.perf_counter()
    for _ in range(count):
        invoke.delay(endpoint, BODY)
    return {"seconds": time.perf_counter() - began}


def published_group(count: int, endpoint: str) -> dict[str, float]:
    """The same with a group."""
    began = time.perf_counter()
    group(invoke.s(endpoint, BODY) for _ in range(count)).apply_async()
    return {"seconds": time.perf_counter() - began}


def many(count: int, endpoint: str) -> dict[str, float]:
    """The same with `apply_many`."""
    began = time.perf_counter()
    apply_many(invoke.s(endpoint, BODY) for _ in range(count))
    return {"seconds": time.perf_counter() - began}


WAYS: dict[str, Callable[..., dict[str, float] | None]] = {
    "job": job,
    "tasks": tasks,
    "singly": singly,
    "publish": publish,
    "group": published_group,
    "many": many,
}


def turn(how: str, **what: Any) -> dict[str, float] | None:
    """Do it in one of the ways."""
    return WAYS[how](**what)


COMMAND = (
    "celery", "-A", "celery_sagemaker.workers.app", "worker", "--queues", ",".join(queues.ALL),
    "--without-mingle", "--without-gossip", "--loglevel", "WARNING",
)  # fmt: skip

if __name__ == "__main__":
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(line.worker(*COMMAND, "--hostname", f"bench-{number}@%h"))
        line.until(
            lambda: not workers or len(app.control.ping(limit=workers) or []) >= workers,
            "the workers' start",
        )
        line.serve(turn)
