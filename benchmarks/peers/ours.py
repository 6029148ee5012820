"""This package, with a worker as it is advised: batch jobs and `invoke`."""

from typing import Any

import line
from celery.result import ResultSet
from celery_sagemaker.config import Settings, queues
from celery_sagemaker.runtime import InvokeEndpointResponse
from celery_sagemaker.tasks import batch
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


def turn(how: str, **what: Any) -> None:
    """Do it in one of the two ways."""
    {"job": job, "tasks": tasks}[how](**what)


COMMAND = (
    "celery", "-A", "celery_sagemaker.workers.app", "worker", "--queues", ",".join(queues.ALL),
    "--without-mingle", "--without-gossip", "--loglevel", "WARNING",
)  # fmt: skip

if __name__ == "__main__":
    with line.worker(*COMMAND):
        line.until(lambda: bool(app.control.ping(timeout=1.0)), "the worker's start")
        line.serve(turn)
