"""A ThreadPoolExecutor over boto3: `pool.py THREADS`."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import line
from botocore.config import Config

THREADS = int(sys.argv[1])

client: Any = boto3.client("sagemaker-runtime", config=Config(max_pool_connections=THREADS))
pool = ThreadPoolExecutor(THREADS)


def turn(count: int, endpoint: str) -> None:
    """Call the endpoint with each record."""

    def call(record: dict[str, Any]) -> tuple[str, bytes]:
        answer = client.invoke_endpoint(
            EndpointName=endpoint,
            Body=json.dumps(record["body"]).encode(),
            ContentType="application/json",
        )
        return record["custom_id"], answer["Body"].read()

    line.write(count, pool.map(call, line.read(count)))


line.serve(turn)
