"""Faults as a client meets them: refusals, silence, resets, and the admin routes that set them."""
# ruff: noqa: S310 - the addresses are the emulator's

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from celery_sagemaker.local import behaviours, refusals, serving
from celery_sagemaker.local.endpoint import Emulator
from celery_sagemaker.runtime.exceptions import InferenceError
from celery_sagemaker.runtime.service import async_body_supported
from celery_sagemaker.runtime.translation import translate

#: The payload of each operation; older botocores have no inline one for the second.
INLINE = {"Body": b"x"}
ASYNC = INLINE if async_body_supported() else {"InputLocation": "s3://bucket/in"}

OPERATIONS = {
    "invoke_endpoint": "invocations",
    "invoke_endpoint_async": "async-invocations",
    "invoke_endpoint_with_response_stream": "invocations-response-stream",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An emulator with the endpoint `e`."""
    endpoints = {"e": behaviours.parse({"kind": "both", "delay": {"fixed": 3_600}})}
    with serving.running(Emulator(endpoints, "bucket")) as address:
        yield address


def admin(url: str, path: str, method: str = "GET", body: Any = None) -> Any:
    """One admin request; its JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/_admin/{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


def behave(url: str, **keys: Any) -> None:
    """Replace the endpoint's behaviour, and forget the calls so far."""
    admin(url, "endpoints/e", "PUT", {"kind": "both", "delay": {"fixed": 3_600}, **keys})
    admin(url, "calls", "DELETE")


def client(url: str, **options: Any) -> Any:
    """A client without retries."""
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def raw(url: str, path: str) -> socket.socket:
    """A connection on which a signed request was sent."""
    host, port = urlsplit(url).netloc.split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    head = f"POST /endpoints/e/{path} HTTP/1.1\r\nHost: {host}\r\n"
    connection.sendall(f"{head}Authorization: AWS4-x\r\nContent-Length: 1\r\n\r\nx".encode())
    return connection


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", [n for n in refusals.STATUS if n != "ModelError"])
def test_errors_of_the_service(url: str, name: str, operation: str) -> None:
    """Botocore finds the code and the status, and so does our translation."""
    behave(url, errors={name: 1})
    payload = ASYNC if operation == "invoke_endpoint_async" else INLINE
    with pytest.raises(ClientError) as caught:
        getattr(client(url), operation)(EndpointName="e", **payload)
    response: Any = caught.value.response
    assert response["Error"]["Code"] == name
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == refusals.STATUS[name]
    with pytest.raises(InferenceError) as ours, translate():
        raise caught.value
    assert ours.value.code != "UnknownServiceError"
    (entry,) = admin(url, "calls")
    assert (entry["status"], entry["error"]) == (refusals.STATUS[name], name)


@pytest.mark.parametrize("status", [502, 504, 599])
def test_a_bare_status(url: str, status: int) -> None:
    """As of a proxy: no name, no JSON."""
    behave(url, errors={str(status): 1})
    with pytest.raises(ClientError) as caught:
        client(url).invoke_endpoint(EndpointName="e", Body=b"x")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] == str(status)


@pytest.mark.parametrize("status", [0, 400, 503])
def test_model_errors(url: str, status: int) -> None:
    """With the status that the model is said to have had; asynchronous calls fail on S3 instead."""
    behave(url, errors={f"ModelError:{status}": 1})
    for operation in ("invoke_endpoint", "invoke_endpoint_with_response_stream"):
        with pytest.raises(ClientError) as caught:
            getattr(client(url), operation)(EndpointName="e", Body=b"x")
        response: Any = caught.value.response
        assert response["OriginalStatusCode"] == status
    client(url).invoke_endpoint_async(EndpointName="e", **ASYNC)
    counts = admin(url, "counts")["e"]
    assert counts["InvokeEndpoint"] == {f"ModelError:{status}": 1}
    assert counts["InvokeEndpointAsync"] == {"202": 1}


@pytest.mark.parametrize("path", OPERATIONS.values())
def test_reset_is_a_reset(url: str, path: str) -> None:
    """Not one byte of HTTP: the socket gets ECONNRESET."""
    behave(url, errors={"reset": 1})
    with raw(url, path) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    (entry,) = admin(url, "calls")
    assert (entry["status"], entry["error"]) == (0, "reset")


@pytest.mark.parametrize("path", OPERATIONS.values())
def test_hang_is_silence(url: str, path: str) -> None:
    """No answer as long as the client waits."""
    behave(url, errors={"hang": 1})
    with raw(url, path) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    (entry,) = admin(url, "calls")
    assert (entry["status"], entry["error"]) == (0, "hang")


@pytest.mark.parametrize(
    ("error", "raised"), [("reset", ConnectionClosedError), ("hang", ReadTimeoutError)]
)
def test_botocore_meets_them(url: str, error: str, raised: type[Exception]) -> None:
    """As errors of the connection, which nothing was answered on."""
    behave(url, errors={error: 1})
    with pytest.raises(raised):
        client(url, read_timeout=0.3).invoke_endpoint(EndpointName="e", Body=b"x")


def test_the_emulator_stops_while_calls_hang() -> None:
    """They are given up; what waits for them is told by the end of the connection."""
    endpoints = {"e": behaviours.parse({"errors": {"hang": 1}})}
    emulator = Emulator(endpoints, "bucket")
    with serving.running(emulator) as address:
        connection = raw(address, "invocations")
        while not emulator.calls.entries():
            admin(address, "calls")
    with connection:
        assert not connection.recv(1_024).startswith(b"HTTP/1.1 200")


def test_a_cold_start_and_its_end(url: str) -> None:
    """ModelNotReadyException; asynchronous calls are taken meanwhile."""
    behave(url, cold_start=3_600)
    with pytest.raises(ClientError, match="ModelNotReadyException"):
        client(url).invoke_endpoint(EndpointName="e", Body=b"x")
    client(url).invoke_endpoint_async(EndpointName="e", **ASYNC)
    admin(url, "endpoints/e", "PATCH", {"cold_start": 0})
    client(url).invoke_endpoint(EndpointName="e", Body=b"x")


def test_throttling(url: str) -> None:
    """Two of three at once are let in."""
    behave(url, throttle=2)
    sagemaker = client(url)
    for _ in range(2):
        sagemaker.invoke_endpoint(EndpointName="e", Body=b"x")
    with pytest.raises(ClientError, match="ThrottlingException"):
        sagemaker.invoke_endpoint(EndpointName="e", Body=b"x")
    counts = admin(url, "counts")["e"]["InvokeEndpoint"]
    assert counts == {"200": 2, "ThrottlingException": 1}


def test_latency_passes_before_the_container_is_called(url: str) -> None:
    """The call is under way, and nobody else is held up."""
    behave(url, latency={"fixed": 3_600})
    with raw(url, "invocations"):
        while not (entries := admin(url, "calls?endpoint=e")):
            pass
        admin(url, "endpoints/f", "PUT", {})
        client(url).invoke_endpoint(EndpointName="f", Body=b"x")
        assert entries[0]["status"] is None


def test_behaviours_can_be_read(url: str) -> None:
    """One, or all; with every key."""
    behave(url, seed=5)
    found = admin(url, "endpoints/e")
    assert (found["seed"], found["kind"], found["container_timeout"]) == (5, "both", 60.0)
    assert admin(url, "endpoints")["e"] == found


def test_patch_keeps_the_other_keys(url: str) -> None:
    """PUT does not."""
    behave(url, seed=5)
    assert admin(url, "endpoints/e", "PATCH", {"throttle": 9})["seed"] == 5
    assert admin(url, "endpoints/e", "PUT", {"throttle": 9})["seed"] == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"latncy": 1}', "latncy: "),
        (b'{"latency": {"fixed": "long"}}', "latency.fixed: "),
        (b'{"errors": {"Teapot": 1}}', "errors: "),
        (b'{"target": "nowhere"}', "target: "),
        (b"[1]", "no JSON object"),
        (b"{", "line 1"),
    ],
)
def test_a_wrong_admin_body_is_refused_by_name(
    url: str, method: str, body: bytes, named: str
) -> None:
    """400 with the key, and nothing has changed."""
    behave(url, seed=5)
    request = urllib.request.Request(f"{url}/_admin/endpoints/e", body, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        assert answer.code == 400
        assert named in json.load(answer)["error"]
    assert admin(url, "endpoints/e")["seed"] == 5


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", b"{}")])
def test_an_absent_endpoint_has_no_behaviour(url: str, method: str, body: bytes | None) -> None:
    """404; PUT would make it."""
    request = urllib.request.Request(f"{url}/_admin/endpoints/absent", body, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        assert (answer.code, json.load(answer)) == (404, {"error": "no endpoint absent"})
