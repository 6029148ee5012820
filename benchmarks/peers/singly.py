"""A plain app's tasks and a bare call, one after the other; and plain publishing."""

import json
import time

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
    """Publish, and measure that only; the worker gets them done before the next turn."""
    began = time.perf_counter()
    sent = [call.delay(endpoint, BODY) for _ in range(count)]
    seconds = time.perf_counter() - began
    for result in sent:
        result.get(timeout=line.PATIENCE)
    return {"seconds": seconds}


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


with line.worker("celery", "-A", "plain_tasks", "worker", "--loglevel", "WARNING"):
    line.until(lambda: bool(app.control.ping(timeout=1.0)), "the worker's start")
    line.serve(turn)
