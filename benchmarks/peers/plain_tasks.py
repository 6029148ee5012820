"""What a plain Celery app does: the tasks of `plain.py`."""

import json
import os
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from celery import Celery

#: Slots of the worker.
SLOTS = 64

app = Celery("plain", broker=os.environ["BENCH_REDIS"] + "/1")
app.conf.update(
    result_backend=os.environ["BENCH_REDIS"] + "/2",
    worker_pool="threads",
    worker_concurrency=SLOTS,
    broker_connection_retry_on_startup=True,
)


@cache
def client() -> Any:
    """Make this process' client."""
    return boto3.client("sagemaker-runtime", config=Config(max_pool_connections=SLOTS))


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
