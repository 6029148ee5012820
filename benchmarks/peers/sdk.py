"""The SageMaker SDK's Predictor, in so many threads: `sdk.py THREADS`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import line
from botocore.config import Config
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer
from sagemaker.session import Session

THREADS = int(sys.argv[1])

runtime = boto3.client("sagemaker-runtime", config=Config(max_pool_connections=THREADS))
session = Session(sagemaker_runtime_client=runtime, default_bucket="benchmark")
pool = ThreadPoolExecutor(THREADS)


def turn(count: int, endpoint: str) -> None:
    """Predict each record."""
    predictor = Predictor(endpoint, sagemaker_session=session, serializer=JSONSerializer())

    def call(record: dict[str, Any]) -> tuple[str, bytes]:
        answer: bytes = predictor.predict(record["body"])
        return record["custom_id"], answer

    line.write(count, pool.map(call, line.read(count)))


line.serve(turn)
