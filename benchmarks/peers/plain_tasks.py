"""What a plain Celery app does: the tasks of `plain.py`."""

import json
import os
import time
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from celery import Celery

#: Slots of the worker.
SLOTS = 64

#: Where messages go: apps with tasks of this module do not share it.
DATABASE = os.environ.get("BENCH_DATABASE", "1")

app = Celery("plain", broker=f"{os.environ['BENCH_REDIS']}/{DATABASE}")
app.conf.update(
    result_backend=os.environ["BENCH_REDIS"] + "/2",
    worker_pool="threads",
    worker_concurrency=SLOTS,
    broker_connection_retry_on_startup=True,
)


#: Seconds between two looks at an asynchronous output.
LOOK = 1.0


@cache
def client() -> Any:
    """Make this process' client."""
    return boto3.client("sagemaker-runtime", config=Config(max_pool_connections=SLOTS))


@cache
def s3() -> Any:
    """Make this process' client of S3."""
    return boto3.client("s3", config=Config(max_pool_connections=SLOTS))


def submit(endpoint: str) -> tuple[str, str]:
    """Submit an asynchronous inference; return its output's bucket and key."""
    answer = client().invoke_endpoint_async(
        EndpointName=endpoint, InputLocation="s3://benchmark/input.json"
    )
    bucket, _, key = answer["OutputLocation"].removeprefix("s3://").partition("/")
    return bucket, key


def look(bucket: str, key: str) -> str | None:
    """Return an output, or None if it is not there yet."""
    try:
        s3().head_object(Bucket=bucket, Key=key)
    except ClientError:
        return None
    text: str = s3().get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    return text


@app.task(name="sleeping", typing=False)
def sleeping(endpoint: str) -> str:
    """Submit, then sleep and look until the output is there."""
    bucket, key = submit(endpoint)
    while (found := look(bucket, key)) is None:
        time.sleep(LOOK)
    return found


@app.task(name="retrying", bind=True, max_retries=None, typing=False)
def retrying(self: Any, endpoint: str, at: list[str] | None = None) -> str:
    """Submit, then look again in a retry with a countdown."""
    bucket, key = at or submit(endpoint)
    found = look(bucket, key) if at else None
    if found is None:
        raise self.retry(args=(endpoint, [bucket, key]), countdown=LOOK)
    return found


@app.task(name="empty", typing=False)
def empty(body: object) -> object:
    """Do nothing."""
    return body


@app.task(name="call", typing=False)
def call(endpoint: str, body: object) -> str:
    """Call an endpoint."""
    answer = client().invoke_endpoint(
        EndpointName=endpoint, Body=json.dumps(body).encode(), ContentType="application/json"
    )
    text: str = answer["Body"].read().decode()
    return text
