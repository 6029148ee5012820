"""What really goes over a socket: every member, and the answers that the emulator does not give."""

import json
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from celery_sagemaker.runtime import exceptions, requests, service
from celery_sagemaker.runtime.clients import ClientOptions, Clients
from celery_sagemaker.runtime.transport import BotoTransport

ADDRESS = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
#: What signing, the SDK and HTTP itself add to a request.
ADDED = {
    "accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request", "authorization",
    "content-length", "host", "user-agent", "x-amz-content-sha256", "x-amz-date", "connection",
}  # fmt: skip


@dataclass
class Seen:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is answered; `raw` is written instead, and the connection closed, or reset."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    raw: bytes | None = None
    reset: bool = False


class Loopback(ThreadingHTTPServer):
    """A server that keeps what it gets and answers what it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.connections: set[Any] = set()
        self.answer = Answer()
        self.before: Callable[[], None] = lambda: None

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that hangs up is what some tests are about."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.command, self.path, headers, body))
        self.server.connections.add(self.client_address)
        self.server.before()
        answer = self.server.answer
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.close_connection = True
            if answer.reset:
                # Without lingering, closing is a reset.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that botocore takes for SageMaker Runtime."""
    server = Loopback()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv(ADDRESS, server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


#: A value for every member of any request.
VALUES: Mapping[str, Any] = {
    "endpoint_name": "churn--1",
    "body": b"\x00\xff{}",
    "content_type": "text/csv; charset=utf-8",
    "accept": "application/json",
    "custom_attributes": "trace=1, two  spaces",
    "target_model": "models/a b.tar.gz",
    "target_variant": "blue",
    "target_container_hostname": "second",
    "inference_id": "0123456789abcdef",
    "enable_explanations": "`true`",
    "inference_component_name": "llm-1",
    "session_id": "session-1",
    "prefix_aware_id": "prefix-1",
    "input_location": "s3://bucket/key with space",
    "s3_output_path_extension": "2026/08/(x)",
    "filename": "a-b_c.json",
    "request_ttl_seconds": 60,
    "invocation_timeout_seconds": 3600,
}
REQUESTS: list[type[requests.Request]] = [
    requests.InvokeEndpointRequest,
    requests.InvokeEndpointAsyncRequest,
    requests.InvokeEndpointWithResponseStreamRequest,
]
METHODS = {
    "InvokeEndpoint": "invoke_endpoint",
    "InvokeEndpointAsync": "invoke_endpoint_async",
    "InvokeEndpointWithResponseStream": "invoke_endpoint_with_response_stream",
}


def member_sets(request_type: type[requests.Request]) -> Iterator[Any]:
    """The least request, each member added to it alone, and all of them at once."""
    is_async = request_type is requests.InvokeEndpointAsyncRequest
    least = {"endpoint_name", "input_location" if is_async else "body"}
    names = {member.name for member in fields(request_type)}  # type: ignore[arg-type]
    sets = {"least": least, "all": names - {"body"} if is_async else names}
    sets |= {name: least | {name} for name in sorted(names - least - {"body"})}
    if is_async:
        sets["body"] = names - {"input_location"}
    for name, chosen in sets.items():
        yield pytest.param(request_type, chosen, id=f"{request_type.operation}.{name}")


@pytest.mark.parametrize(
    ("request_type", "chosen"),
    [one for request_type in REQUESTS for one in member_sets(request_type)],
)
def test_the_shown_request_is_the_one_that_is_sent(
    request_type: type[requests.Request], chosen: set[str], loopback: Loopback
) -> None:
    """Method, path, headers and body, for every member; the rest is the SDK's, and known."""
    known = service.members(request_type.operation)
    chosen = {name for name in chosen if service.api_name(name) in known}
    if request_type is requests.InvokeEndpointAsyncRequest and not chosen & {
        "body",
        "input_location",
    }:
        pytest.skip("the installed botocore sends no asynchronous body")
    request = request_type(**{name: VALUES[name] for name in chosen})
    shown = request.http_request()
    client = Clients(ClientOptions()).runtime
    answer = getattr(client, METHODS[request.operation])(**request.parameters())
    if "Body" in answer:
        answer["Body"].close()
    (seen,) = loopback.seen
    assert (seen.method, seen.path, seen.body) == (shown.method, shown.path, shown.body)
    headers = {name.lower(): value for name, value in shown.headers.items()}
    assert headers == {name: value for name, value in seen.headers.items() if name not in ADDED}
    # Nothing that was given got lost on the way into headers, path and body.
    sent = f"{seen.path} {seen.headers} {seen.body!r}"
    for name in chosen - {"body"}:
        assert str(VALUES[name]) in sent


def invoke(read_timeout: float = 5.0) -> Any:
    """Call InvokeEndpoint once."""
    transport = BotoTransport(connect_timeout=5.0, read_timeout=read_timeout)
    return transport.invoke(requests.InvokeEndpointRequest(endpoint_name="e", body=b"{}"))


def refusal(code: str, status: int, **members: object) -> Answer:
    """An error as SageMaker writes one."""
    body = json.dumps({"Message": "what happened"} | members).encode()
    return Answer(status, {"x-amzn-errortype": code, "Content-Type": "application/json"}, body)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal("ThrottlingException", 429), exceptions.ThrottlingException),
        (refusal("InternalDependencyException", 530), exceptions.InternalDependencyException),
        (refusal("ServiceUnavailable:http://docs", 503), exceptions.ServiceUnavailable),
        (refusal("RequestEntityTooLarge", 413), exceptions.RequestTooLarge),
        (Answer(413, {}, b"<html>too large</html>"), exceptions.RequestTooLarge),
        (Answer(502, {}, b"<html>Bad Gateway</html>"), exceptions.UnknownServiceError),
        (Answer(504, {}, b""), exceptions.UnknownServiceError),
        (Answer(403, {}, b"{}"), exceptions.AccessDeniedException),
    ],
    ids=["429", "530", "503", "413", "413-html", "502-html", "504-empty", "403-bare"],
)
def test_an_answer_of_a_front_end_is_one_error_of_one_call(
    answer: Answer, expected: type[exceptions.InferenceError], loopback: Loopback
) -> None:
    """Whether or not it is JSON, and without a second call."""
    loopback.answer = answer
    with pytest.raises(expected) as caught:
        invoke()
    assert type(caught.value) is expected
    assert caught.value.http_status == answer.status
    assert len(loopback.seen) == 1


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_no_setting_of_the_environment_brings_retries_back(
    mode: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry runs the model again; only the task decides on that."""
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    loopback.answer = refusal("ServiceUnavailable", 503)
    with pytest.raises(exceptions.ServiceUnavailable):
        invoke()
    assert len(loopback.seen) == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 20",
        b"garbage\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "half a line", "garbage", "half a body", "half a chunk", "no chunk"],
)
def test_an_answer_that_breaks_off_is_a_lost_connection(
    raw: bytes, loopback: Loopback, *, reset: bool
) -> None:
    """Wherever and however it does; the model may have run, and is not called again."""
    loopback.answer = Answer(raw=raw, reset=reset)
    with pytest.raises(exceptions.ConnectionLost) as caught:
        invoke()
    assert caught.value.may_have_run
    assert reset or "reset by peer" not in str(caught.value)
    assert len(loopback.seen) == 1


def test_an_error_that_cannot_be_read_is_a_lost_connection(loopback: Loopback) -> None:
    """A proxy's text in Latin-1, which botocore's parser trips over."""
    loopback.answer = Answer(500, {}, "Störung".encode("latin-1"))
    with pytest.raises(exceptions.ConnectionLost):
        invoke()


def test_an_asynchronous_answer_without_a_location_is_an_error(loopback: Loopback) -> None:
    """Not a KeyError."""
    loopback.answer = Answer(202)
    request = requests.InvokeEndpointAsyncRequest(endpoint_name="e", input_location="s3://b/k")
    with pytest.raises(exceptions.UnknownServiceError, match="OutputLocation"):
        BotoTransport().invoke_async(request)


def test_what_cannot_be_right_is_not_sent(loopback: Loopback) -> None:
    """By the transport itself, whoever calls it."""
    transport = BotoTransport()
    with pytest.raises(exceptions.PayloadTooLarge):
        transport.invoke(requests.InvokeEndpointRequest(endpoint_name="e", body=bytes(7_000_000)))
    with pytest.raises(exceptions.InvalidRequest):
        transport.invoke_async(requests.InvokeEndpointAsyncRequest(endpoint_name="e"))
    assert loopback.seen == []


class TimeIsUp(Exception):
    """As Celery's SoftTimeLimitExceeded: raised by a signal's handler, wherever the thread is."""


def test_a_soft_time_limit_arrives_as_itself(loopback: Loopback) -> None:
    """Though botocore wraps it while it waits for the answer."""
    interrupted = threading.Event()

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        interrupted.wait(10)

    def handler(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGUSR1, handler)
    loopback.before = interrupt
    try:
        with pytest.raises(TimeIsUp):
            invoke()
    finally:
        interrupted.set()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("address", ["nonsense", "http://a b", "ftp://127.0.0.1:9"])
def test_an_address_that_is_none_is_a_configuration_error(
    address: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether botocore sees it when the client is made, or when it is used."""
    monkeypatch.setenv(ADDRESS, address)
    with pytest.raises(exceptions.ClientConfigurationError):
        invoke()


@pytest.mark.parametrize("process", ["/nonexistent/tool", "/bin/echo no json"])
def test_a_profiles_program_that_fails_is_a_configuration_error(
    process: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """What botocore meets, it lets through: a missing file, text that is no JSON."""
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {process}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(exceptions.ClientConfigurationError):
        invoke()


def test_without_credentials_nothing_is_sent(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the error says so."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(exceptions.CredentialsUnavailable):
        invoke()
    assert loopback.seen == []


def test_nothing_listening_is_unreachable(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, so the model did not run; a password in the address is not repeated."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv(ADDRESS, f"http://user:hunter2@127.0.0.1:{port}")
    with pytest.raises(exceptions.EndpointUnreachable) as caught:
        invoke()
    assert not caught.value.may_have_run
    assert "hunter2" not in str(caught.value)


def test_a_full_backlog_is_a_connect_timeout(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is not made in time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        monkeypatch.setenv(ADDRESS, f"http://127.0.0.1:{address[1]}")
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)  # noqa: FBT003 - the socket's own signature
            one.connect_ex(address)
        try:
            with pytest.raises(exceptions.ConnectTimeout):
                BotoTransport(connect_timeout=0.3).invoke(
                    requests.InvokeEndpointRequest(endpoint_name="e", body=b"{}")
                )
        finally:
            for one in waiting:
                one.close()


def test_a_pool_has_as_many_connections_as_it_was_given(loopback: Loopback) -> None:
    """Eight threads, four calls each: no connection is thrown away and made again."""
    threads, rounds = 8, 4
    together = threading.Barrier(threads)

    def wait_for_the_others() -> None:
        together.wait(10)

    loopback.before = wait_for_the_others
    transport = BotoTransport(max_connections=threads)
    request = requests.InvokeEndpointRequest(endpoint_name="e", body=b"{}")
    with ThreadPoolExecutor(threads) as pool:
        done = list(pool.map(transport.invoke, [request] * (threads * rounds)))
    assert len(done) == len(loopback.seen) == threads * rounds
    assert len(loopback.connections) == threads
