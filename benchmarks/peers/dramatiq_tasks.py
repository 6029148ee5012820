"""The actor of `dramatiq_peer.py`."""

import json
import os
from functools import cache
from typing import Any

import boto3
import dramatiq
import redis
from botocore.config import Config
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

#: Slots of the worker.
SLOTS = 64

broker = RedisBroker(url=os.environ["BENCH_REDIS"] + "/3")
# It waits for a result longer than redis-py's own timeout.
results = redis.Redis.from_url(os.environ["BENCH_REDIS"] + "/4", socket_timeout=None)
broker.add_middleware(Results(backend=RedisBackend(client=results)))
dramatiq.set_broker(broker)


@cache
def client() -> Any:
    """Make this process' client."""
    return boto3.client("sagemaker-runtime", config=Config(max_pool_connections=SLOTS))


def _call(endpoint: str, body: object) -> str:
    answer = client().invoke_endpoint(
        EndpointName=endpoint, Body=json.dumps(body).encode(), ContentType="application/json"
    )
    text: str = answer["Body"].read().decode()
    return text


call = dramatiq.actor(_call, actor_name="call", store_results=True)
