"""The task of `taskiq_peer.py`."""

import json
import os
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

#: Slots of the worker.
SLOTS = 64

# It waits for messages longer than redis-py's own timeout, which would end its worker.
broker = ListQueueBroker(os.environ["BENCH_REDIS"] + "/5", socket_timeout=None).with_result_backend(
    RedisAsyncResultBackend(os.environ["BENCH_REDIS"] + "/6", result_ex_time=3600)
)


@cache
def client() -> Any:
    """Make this process' client."""
    return boto3.client("sagemaker-runtime", config=Config(max_pool_connections=SLOTS))


def _call(endpoint: str, body: dict[str, Any]) -> str:
    answer = client().invoke_endpoint(
        EndpointName=endpoint, Body=json.dumps(body).encode(), ContentType="application/json"
    )
    text: str = answer["Body"].read().decode()
    return text


call = broker.register_task(_call, task_name="call")
