"""One contract, two transports: what boto3 sends, returns and raises, the fast transport does.

Both are run against the same server, and compared with one another.
"""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from celery_sagemaker.local import refusals, serving
from celery_sagemaker.local.endpoint import Emulator
from celery_sagemaker.local.processes import free_port
from celery_sagemaker.runtime import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointAsyncResponse,
    InvokeEndpointRequest,
    InvokeEndpointResponse,
    exceptions,
    service,
)
from celery_sagemaker.runtime.exceptions import InferenceError
from celery_sagemaker.runtime.fast import FastTransport
from celery_sagemaker.runtime.transport import BotoTransport
from recorder import Recorded, Recorder, Reply, Then, reply

Request = InvokeEndpointRequest | InvokeEndpointAsyncRequest
Response = InvokeEndpointResponse | InvokeEndpointAsyncResponse
Call = Callable[[Request], Response]

#: Headers that differ, and why: the first counts or is random; the next two are the time and what
#: stands on it (compared but for the signature itself).
DIFFERENT = {"amz-sdk-invocation-id", "x-amz-date", "authorization"}

SYNC = InvokeEndpointRequest(endpoint_name="e", body=b"body", content_type="text/csv")
ASYNC = InvokeEndpointAsyncRequest(endpoint_name="e", input_location="s3://b/k")
LOCATED = (("X-Amzn-SageMaker-OutputLocation", "s3://b/o"),)


class Boto:
    """Calls through boto3."""

    def __init__(self, **options: Any) -> None:
        self._transport = BotoTransport(**options)

    def __call__(self, request: Request) -> Response:
        if isinstance(request, InvokeEndpointRequest):
            return self._transport.invoke(request)
        return self._transport.invoke_async(request)

    def close(self) -> None:
        """Nothing is open that does not close itself."""


class Fast:
    """Calls through the fast transport."""

    def __init__(self, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._transport = FastTransport(**options)

    def __call__(self, request: Request) -> Response:
        if isinstance(request, InvokeEndpointRequest):
            return self._runner.run(self._transport.invoke(request))
        return self._runner.run(self._transport.invoke_async(request))

    def close(self) -> None:
        """Close the transport, and its loop."""
        self._runner.run(self._transport.close())
        self._runner.close()


BOTH = pytest.mark.parametrize("kind", [Boto, Fast])


def failure(call: Call, request: Request = SYNC) -> InferenceError:
    """Return what a call raises."""
    with pytest.raises(InferenceError) as raised:
        call(request)
    return raised.value


def first_failure(kind: type[Boto | Fast], **options: Any) -> InferenceError:
    """Return what the first call of a transport raises."""
    call = kind(**options)
    try:
        return failure(call)
    finally:
        call.close()


def described(error: InferenceError) -> tuple[type[InferenceError], str, dict[str, Any]]:
    """Return all that makes an error."""
    return type(error), error.message, error.members


@pytest.fixture(scope="module")
def server() -> Iterator[Recorder]:
    """The server of all these tests."""
    with Recorder() as made:
        yield made


@pytest.fixture
def recorder(server: Recorder, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The server, with nothing recorded; boto3's configuration points at it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a/token+of==the session")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    server.answer = lambda _: reply()
    server.requests.clear()
    return server


@pytest.fixture(scope="module")
def transports() -> Iterator[dict[type[Boto | Fast], Boto | Fast]]:
    """Transports that live through the module, as they do in a worker."""
    made: dict[type[Boto | Fast], Boto | Fast] = {}
    yield made
    for call in made.values():
        call.close()


@pytest.fixture
def boto(recorder: Recorder, transports: dict[type[Boto | Fast], Boto | Fast]) -> Boto | Fast:
    """A transport on boto3 that calls the server."""
    return transports.get(Boto) or transports.setdefault(Boto, Boto())


@pytest.fixture
def fast(recorder: Recorder, transports: dict[type[Boto | Fast], Boto | Fast]) -> Boto | Fast:
    """A fast transport that calls the server."""
    return transports.get(Fast) or transports.setdefault(Fast, Fast())


REQUESTS: list[Request] = [
    SYNC,
    InvokeEndpointRequest(endpoint_name="e", body=b""),
    InvokeEndpointRequest(endpoint_name="an-endpoint", body=bytes(range(256))),
    InvokeEndpointRequest(
        endpoint_name="e",
        body=b"x" * 3_000_000,
        content_type="application/json; charset=utf-8",
        accept="text/csv, */*;q=0.1",
        custom_attributes="  two  spaces, and a tail ",
        target_model="model.tar.gz",
        target_variant="blue",
        target_container_hostname="second",
        inference_id="0123456789abcdef",
        enable_explanations="`true`",
        inference_component_name="component",
        session_id="NEW_SESSION",
    ),
    ASYNC,
    InvokeEndpointAsyncRequest(
        endpoint_name="e",
        input_location="s3://bucket/a key",
        content_type="text/csv",
        accept="application/json",
        custom_attributes="attributes",
        inference_id="id",
        s3_output_path_extension="2026/01/02",
        filename="name.out",
        request_ttl_seconds=60,
        invocation_timeout_seconds=3600,
    ),
]


def comparable(request: Recorded) -> Any:
    """Return what both transports have to send alike; the order of headers is free."""
    alike = sorted((n, v) for n, v in request.headers if n.lower() not in DIFFERENT)
    names = sorted(name for name, _ in request.headers)
    signed = (request.header("Authorization") or "").rpartition(", Signature=")[0]
    return request.method, request.target, names, alike, request.body, signed


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_same_requests_on_the_wire(
    recorder: Recorder, boto: Call, fast: Call, request_: Request
) -> None:
    """Method, path, headers, body and scope of the signature are the same, to the byte."""
    recorder.answer = lambda _: reply(headers=LOCATED, body=b"{}")
    boto(request_)
    fast(request_)
    first, second = recorder.requests
    assert comparable(first) == comparable(second)


@pytest.mark.skipif(not service.async_body_supported(), reason="needs a newer botocore")
def test_same_inline_body_on_the_wire(recorder: Recorder, boto: Call, fast: Call) -> None:
    """An asynchronous payload travels inline where botocore can do that."""
    recorder.answer = lambda _: reply(headers=LOCATED, body=b"{}")
    for call in (boto, fast):
        call(InvokeEndpointAsyncRequest(endpoint_name="e", body=b"inline", content_type="text/csv"))
    first, second = recorder.requests
    assert comparable(first) == comparable(second)


ALL_HEADERS = (
    ("Content-Type", "text/csv; charset=utf-8"),
    ("x-Amzn-Invoked-Production-Variant", "blue"),
    ("X-Amzn-SageMaker-Custom-Attributes", "two  spaces"),
    ("X-Amzn-SageMaker-New-Session-Id", "id; Expires=2026-01-02T03:04:05Z"),
    ("X-Amzn-SageMaker-Closed-Session-Id", "closed"),
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

GOOD: list[tuple[Request, Reply]] = [
    (SYNC, reply()),
    (SYNC, reply(headers=ALL_HEADERS, body=b"a,b")),
    (SYNC, reply(headers=(("Content-Type", ""),), body=b"\x00\xff")),
    (SYNC, reply(headers=(("X-Amzn-SageMaker-Custom-Attributes", b"\xe9, \xc3\xa9"),))),
    (SYNC, reply(headers=(*ALL_HEADERS, ("X-Amzn-SageMaker-Custom-Attributes", "again")))),
    (SYNC, reply(headers=(("Content-Encoding", "gzip"),), body=b"the model's business")),
    (SYNC, reply(headers=(("Set-Cookie", "a=b"),), body=b"x")),
    (SYNC, reply(202, body=b"y" * 6_000_000)),
    (SYNC, Reply(CHUNKED)),
    (SYNC, Reply(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "close")),
    (SYNC, Reply(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(body=b"late").data)),
    (ASYNC, reply(202, LOCATED, b'{"InferenceId": "id"}')),
    (ASYNC, reply(202, (*LOCATED, ("X-Amzn-SageMaker-FailureLocation", "s3://b/f")), b"{}")),
    (ASYNC, reply(200, LOCATED, b"")),
]


@pytest.mark.parametrize(("request_", "made"), GOOD, ids=lambda v: str(v)[:60])
def test_same_responses(
    recorder: Recorder, boto: Call, fast: Call, request_: Request, made: Reply
) -> None:
    """What comes back is the same, to the byte."""
    recorder.answer = lambda _: made
    assert fast(request_) == boto(request_)


def service_answers() -> Iterator[tuple[int, tuple[tuple[str, str], ...], bytes]]:
    """Every error of the service, with and without what it may carry, and what others answer."""
    ids = (("x-amzn-RequestId", "request-1"),)
    for code, status in refusals.STATUS.items():
        body = json.dumps({"Message": f"About {code}."}).encode()
        yield status, (*ids, ("x-amzn-ErrorType", code)), body
        yield (
            status,
            (("x-amzn-ErrorType", f"{code}:http://internal/"), ("Retry-After", "7")),
            b"{}",
        )
        yield status, ids, json.dumps({"__type": f"com.amazon#{code}", "message": "m"}).encode()
    for original in (0, 400, 503, 507):
        refused = refusals.model_error("e", original, "the model's own text")
        body = json.dumps({"Message": refused.message, **refused.members}).encode()
        yield 424, (*ids, ("x-amzn-ErrorType", "ModelError")), body
    for refused in (refusals.not_found("e"), refusals.wrong_kind("e", "InvokeEndpoint")):
        body = json.dumps({"Message": refused.message}).encode()
        yield 400, (*ids, ("x-amzn-ErrorType", "ValidationError")), body
    yield 429, (("x-amzn-ErrorType", "ThrottlingException"),), b'{"message": "Rate exceeded"}'
    for status in (413, 429, 500, 502, 503, 504):
        yield status, (("Content-Type", "text/html"),), b"<html><body>Bad Gateway</body></html>"
        yield status, (), b""
        yield status, (), b"not HTML, not JSON"
    yield 307, (("Location", "/elsewhere"),), b""
    yield 404, ids, b"<!DOCTYPE html>"
    yield 418, (*ids, ("x-amzn-ErrorType", "NewException")), b'{"Message": "Not in any model."}'


@pytest.mark.parametrize("request_", [SYNC, ASYNC], ids=lambda r: str(r.operation))
@pytest.mark.parametrize(("status", "headers", "body"), list(service_answers()))
def test_same_errors(
    recorder: Recorder,
    boto: Call,
    fast: Call,
    request_: Request,
    status: int,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
) -> None:
    """Class, message and members are the same, the cause is botocore's, and all is sent once."""
    recorder.answer = lambda _: reply(status, headers, body)
    error = failure(fast, request_)
    expected = failure(boto, request_)
    assert described(error) == described(expected)
    assert error.http_status == status
    assert isinstance(error.__cause__, ClientError)
    assert isinstance(expected.__cause__, ClientError)
    assert error.__cause__.response["Error"] == expected.__cause__.response["Error"]
    assert len(recorder.requests) == 2


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
HALF_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha"

BROKEN: list[tuple[bytes, Then, type[InferenceError]]] = [
    (b"", "hang", exceptions.ReadTimeout),
    (HALF, "hang", exceptions.ReadTimeout),
    (b"", "close", exceptions.ConnectionLost),
    (b"", "reset", exceptions.ConnectionLost),
    (HALF, "close", exceptions.ConnectionLost),
    (HALF, "reset", exceptions.ConnectionLost),
    (HALF_CHUNKED, "close", exceptions.ConnectionLost),
    (b"this is not HTTP\r\n\r\n", "close", exceptions.ConnectionLost),
]


@pytest.mark.parametrize(("data", "then", "expected"), BROKEN, ids=str)
def test_same_failures_to_answer(
    recorder: Recorder, data: bytes, then: Then, expected: type[InferenceError]
) -> None:
    """Without a whole answer the class is the same, says that it may have run, and is sent once."""
    recorder.answer = lambda _: Reply(data, then)
    for kind in (Boto, Fast):
        error = first_failure(kind, read_timeout=0.3)
        assert type(error) is expected
        assert error.message.startswith(f"{expected().message} (")
        assert error.members == {}
        assert error.may_have_run
    assert len(recorder.requests) == 2


@BOTH
def test_nothing_listens(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, kind: type[Boto | Fast]
) -> None:
    """A refused connection cannot have run."""
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{port}")
    error = first_failure(kind)
    assert type(error) is exceptions.EndpointUnreachable
    assert not error.may_have_run


@BOTH
def test_nobody_accepts(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, kind: type[Boto | Fast]
) -> None:
    """A connection that is not made in time cannot have run."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):  # fill the queue: what comes next is not answered
            one.settimeout(0)
            one.connect_ex(full.getsockname())
        address = f"http://127.0.0.1:{full.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        error = first_failure(kind, connect_timeout=0.2)
    assert type(error) is exceptions.ConnectTimeout
    assert not error.may_have_run


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("AWS_ACCESS_KEY_ID", None, exceptions.CredentialsUnavailable),
        ("AWS_SECRET_ACCESS_KEY", None, exceptions.CredentialsUnavailable),
        ("AWS_DEFAULT_REGION", None, exceptions.ClientConfigurationError),
        ("AWS_PROFILE", "nobody", exceptions.ClientConfigurationError),
    ],
)
def test_same_configuration_errors(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str | None,
    expected: type[InferenceError],
) -> None:
    """A wrong configuration is the same error of both, and nothing is sent."""
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    error = first_failure(Fast)
    assert described(error) == described(first_failure(Boto))
    assert type(error) is expected
    assert recorder.requests == []


WRONG: list[Request] = [
    InvokeEndpointRequest(endpoint_name="e", body=b"", inference_id=""),
    InvokeEndpointAsyncRequest(endpoint_name="e", input_location=""),
    InvokeEndpointAsyncRequest(endpoint_name="e", input_location="s3://b/k", request_ttl_seconds=1),
]


@pytest.mark.parametrize("request_", WRONG, ids=str)
def test_same_refusals(recorder: Recorder, boto: Call, fast: Call, request_: Request) -> None:
    """What the service would not accept is refused by both, and not sent."""
    assert type(failure(boto, request_)) is exceptions.InvalidRequest
    assert type(failure(fast, request_)) is exceptions.InvalidRequest
    assert recorder.requests == []


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """The local stack's endpoint, alone; give its address."""
    with serving.running(Emulator({}, bucket="any")) as url:
        yield url


#: A hang is above: the emulator would not stop before it is over.
FAULTS = [*refusals.STATUS, "ModelError:0", "ModelError:503", "reset", None]


@pytest.mark.parametrize("fault", FAULTS)
def test_same_outcomes_at_the_emulator(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, emulator: str, fault: str | None
) -> None:
    """Whatever the local stack can be told to do, both transports say the same of it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", emulator)
    behaviour = {"errors": {fault: 1.0} if fault else {}}
    put = urllib.request.Request(  # noqa: S310 - a loopback address
        f"{emulator}/_admin/endpoints/e", json.dumps(behaviour).encode(), method="PUT"
    )
    urllib.request.urlopen(put).close()  # noqa: S310
    if fault is None:
        boto, fast = Boto(), Fast()
        assert fast(SYNC) == boto(SYNC)
        fast.close()
        return
    error, expected = (first_failure(kind, read_timeout=0.5) for kind in (Fast, Boto))
    # The emulator names each request anew.
    assert ("request_id" in error.members) is ("request_id" in expected.members)
    said, told = ({**e.members, "request_id": None} for e in (error, expected))
    assert (type(error), said) == (type(expected), told)
    assert error.message.partition(" (")[0] == expected.message.partition(" (")[0]
