"""Asynchronous answers on a real S3 server."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from celery_sagemaker.local import behaviours, serving
from celery_sagemaker.local.endpoint import Emulator
from celery_sagemaker.local.faults import Faults
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.service import async_body_supported

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

#: Starts an emulator whose endpoint `e` behaves so; gives a client of it.
Start = Callable[..., Any]

#: Seconds for an answer to come.
PATIENCE = 20.0


@pytest.fixture
def start(sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]) -> Iterator[Start]:
    """Emulators that stop at the end of the test."""
    with ExitStack() as parts:

        def begin(**behaviour: Any) -> Any:
            keys = {"kind": "async", "delay": {"fixed": 0.01}, **behaviour}
            emulator = Emulator({"e": behaviours.parse(keys)}, sagemaker_local.bucket)
            url = parts.enter_context(serving.running(emulator))
            return boto3.client("sagemaker-runtime", endpoint_url=url)

        yield begin


@pytest.fixture
def s3(sagemaker_environment: dict[str, str]) -> "S3Client":
    """S3 of the local stack."""
    return boto3.client("s3")


@pytest.fixture
def given(s3: "S3Client", sagemaker_local: LocalStack) -> str:
    """The location of an input, `6`."""
    s3.put_object(Bucket=sagemaker_local.bucket, Key="inputs/six", Body=b"6")
    return f"s3://{sagemaker_local.bucket}/inputs/six"


def fetched(s3: "S3Client", location: str) -> tuple[bytes, str]:
    """An object and its type, once it is there."""
    parts = urlsplit(location)
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            found = s3.get_object(Bucket=parts.netloc, Key=parts.path[1:])
            return found["Body"].read(), found["ContentType"]
        except s3.exceptions.NoSuchKey:
            assert time.monotonic() < give_up, location
            time.sleep(0.02)


def absent(s3: "S3Client", location: str) -> bool:
    """Whether there is nothing."""
    parts = urlsplit(location)
    found = s3.list_objects_v2(Bucket=parts.netloc, Prefix=parts.path[1:])
    return found["KeyCount"] == 0


@pytest.mark.skipif(not async_body_supported(), reason="botocore before 1.43.29")
def test_an_inline_body_is_answered(start: Start, s3: "S3Client") -> None:
    """Under the file's name and the extension, bytes and type as the container made them."""
    body = bytes(range(256))
    found = start().invoke_endpoint_async(
        EndpointName="e",
        Body=body,
        ContentType="image/png",
        Filename="inline.out",
        S3OutputPathExtension="/some/where/",
    )
    assert found["OutputLocation"].endswith("/outputs/some/where/inline.out")
    assert fetched(s3, found["OutputLocation"]) == (body, "image/png")
    assert absent(s3, found["FailureLocation"])


def test_an_input_location_is_answered(
    start: Start, s3: "S3Client", sagemaker_local: LocalStack
) -> None:
    """The container gets the object; 6 MB are no limit there."""
    body = bytes(7_000_000)
    s3.put_object(Bucket=sagemaker_local.bucket, Key="inputs/in", Body=body)
    location = f"s3://{sagemaker_local.bucket}/inputs/in"
    found = start().invoke_endpoint_async(EndpointName="e", InputLocation=location)
    assert fetched(s3, found["OutputLocation"])[0] == body


@pytest.mark.parametrize(
    ("behaviour", "location", "reason"),
    [
        ({}, "s3://absent/key", "Cannot download s3://absent/key: "),
        ({"failure_rate": 1}, None, "Injected"),
        ({"errors": {"ModelError:507": 1}}, None, "(507)"),
        ({"target": "json:loads"}, None, "(500)"),
    ],
)
def test_failures(
    start: Start,
    s3: "S3Client",
    given: str,
    behaviour: Any,
    location: str | None,
    reason: str,
) -> None:
    """202 all the same; later the reason at the FailureLocation, and no output."""
    sagemaker = start(**behaviour)
    found = sagemaker.invoke_endpoint_async(EndpointName="e", InputLocation=location or given)
    content, kind = fetched(s3, found["FailureLocation"])
    assert kind == "application/json"
    assert reason in json.loads(content)["error"]
    assert absent(s3, found["OutputLocation"])


def test_an_output_can_be_missing(start: Start, s3: "S3Client", given: str) -> None:
    """Those that come after it are there, it is not, and neither is a failure."""
    keys = {"missing_rate": 0.5, "seed": 1}
    sagemaker, faults = start(**keys), Faults(behaviours.parse(keys))
    calls = [
        sagemaker.invoke_endpoint_async(EndpointName="e", InputLocation=given) for _ in range(8)
    ]
    missing = [faults.next(0.0).missing for _ in calls]
    for call, gone in zip(calls, missing, strict=True):
        if not gone:
            fetched(s3, call["OutputLocation"])
    assert [absent(s3, call["OutputLocation"]) for call in calls] == missing
    assert {True, False} == set(missing)


def test_many_at_once_are_answered(start: Start, s3: "S3Client", given: str) -> None:
    """100 inferences, each with its output."""
    sagemaker = start()
    calls = [
        sagemaker.invoke_endpoint_async(EndpointName="e", InputLocation=given) for _ in range(100)
    ]
    assert {fetched(s3, call["OutputLocation"])[0] for call in calls} == {b"6"}
