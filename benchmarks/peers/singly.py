"""A plain app's tasks and a bare call, one after the other; and plain publishing.

`singly.py 0` has no worker.
"""

import json
import sys
import time
from contextlib import ExitStack

import line
from plain_tasks import app, call, client, empty

BODY = {"features": [0.5] * 36, "model": "iris"}


def bare(endpoint: str) -> None:
    """Call boto3."""
    answer = client().invoke_endpoint(
        EndpointName=endpoint, Body=json.dumps(BODY).encode(), ContentType="application/json"
    )
    answer["Body"].read()


def publish(count: int, endpoint: str) -> dict[str, float]:
    """Publish only; there is no worker, which would compete for the cores."""
    began = time.perf_counter()
    for _ in range(count):
        call.delay(endpoint, BODY)
    return {"seconds": time.perf_counter() - began}


def turn(count: int, what: str, endpoint: str) -> dict[str, float]:
    """Do one of them so many times."""
    if what == "publish":
        return publish(count, endpoint)
    for _ in range(count):
        if what == "bare":
            bare(endpoint)
        elif what == "empty":
            empty.delay(BODY).get(timeout=line.PATIENCE)
        else:
            call.delay(endpoint, BODY).get(timeout=line.PATIENCE)
    return {}


with ExitStack() as stack:
    if sys.argv[1:] != ["0"]:
        command = ("celery", "-A", "plain_tasks", "worker", "--loglevel", "WARNING")
        stack.enter_context(line.worker(*command))
        line.until(lambda: bool(app.control.ping(limit=1)), "the worker's start")
    line.serve(turn)
