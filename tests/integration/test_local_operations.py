"""The three operations over a real socket, with boto3 as the client."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from celery_sagemaker.local import behaviours, serving
from celery_sagemaker.local.endpoint import Emulator
from celery_sagemaker.runtime.service import async_body_supported

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

X = "x-amzn-sagemaker-"

#: Older botocores cannot send an asynchronous payload inline.
inline = pytest.mark.skipif(not async_body_supported(), reason="botocore before 1.43.29")

#: Starts an emulator with a behaviour for the endpoint `e`; gives its address.
Start = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Start]:
    """Emulators that stop at the end of the test."""
    with ExitStack() as parts:

        def begin(**behaviour: Any) -> str:
            endpoints = {"e": behaviours.parse({"kind": "both", **behaviour})}
            return parts.enter_context(serving.running(Emulator(endpoints, "bucket")))

        yield begin


def client(url: str, **options: Any) -> "SageMakerRuntimeClient":
    """A client without retries."""
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def original_status(error: ClientError) -> Any:
    """ModelError's OriginalStatusCode, which botocore puts beside the error."""
    response: Any = error.response
    return response["OriginalStatusCode"]


class Container(BaseHTTPRequestHandler):
    """SageMaker's container contract: answers what the test said, notes what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        """The health check."""
        self.server.asked.append((self.path, {}, b""))
        self._answer(200 if self.server.well else 503, {}, b"")

    def do_POST(self) -> None:
        """An invocation."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, body))
        self.server.handle(self, body)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A container's server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Container)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.well = True
        self.handle: Callable[[Container, bytes], None] = lambda h, body: h._answer(200, {}, body)

    @property
    def url(self) -> str:
        """The endpoint's target."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer the same to all."""
        self.handle = lambda handler, _: handler._answer(status, headers, body)


@pytest.fixture
def container() -> Iterator[Server]:
    """A container that answers what it was asked until it is told otherwise."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_invoke_endpoint(start: Start, container: Server) -> None:
    """200; members go to the container and come back from it, byte for byte."""
    body = bytes(range(256))
    answered = {"Content-Type": "image/png", X + "custom-attributes": "c=2", "Server": "own"}
    container.answer(200, answered, body)
    found = client(start(target=container.url)).invoke_endpoint(
        EndpointName="e",
        Body=body,
        ContentType="application/octet-stream",
        Accept="image/png",
        CustomAttributes="a=1",
        InferenceId="i-1",
        TargetVariant="v",
    )
    ((path, headers, sent),) = container.asked
    assert (path, sent) == ("/invocations", body)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["accept"] == "image/png"
    assert headers[X + "custom-attributes"] == "a=1"
    assert headers[X + "inference-id"] == "i-1"
    assert "authorization" not in headers
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert found["ResponseMetadata"]["RequestId"]
    assert found["Body"].read() == body
    assert (found["ContentType"], found["CustomAttributes"]) == ("image/png", "c=2")
    assert found["InvokedProductionVariant"] == "v"


@inline
def test_invoke_endpoint_async(start: Start, container: Server) -> None:
    """202; the id in the body, the locations in headers; members under their own names."""
    arrived = threading.Event()

    def handle(handler: Container, body: bytes) -> None:
        arrived.set()
        handler._answer(200, {}, body)

    container.handle = handle
    found = client(start(target=container.url, delay={"fixed": 0})).invoke_endpoint_async(
        EndpointName="e",
        Body=b"\x00\xff",
        ContentType="text/csv",
        Accept="text/plain",
        CustomAttributes="a=1",
        InferenceId="i-1",
        Filename="f.out",
        S3OutputPathExtension="2024/01",
    )
    metadata = found["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], found["InferenceId"]) == (202, "i-1")
    assert found["OutputLocation"] == "s3://bucket/outputs/2024/01/f.out"
    assert found["FailureLocation"] == "s3://bucket/failures/2024/01/f.out"
    assert metadata["HTTPHeaders"][X + "outputlocation"] == found["OutputLocation"]
    assert arrived.wait(10)
    ((_, headers, sent),) = container.asked
    assert (sent, headers["content-type"], headers["accept"]) == (
        b"\x00\xff", "text/csv", "text/plain",
    )  # fmt: skip
    assert headers[X + "custom-attributes"] == "a=1"


def test_an_inference_gets_an_id(start: Start) -> None:
    """A new one each time, and no FailureLocation without a failure path."""
    sagemaker = client(start(failure_path=False, delay={"fixed": 3_600}))
    found = [
        sagemaker.invoke_endpoint_async(EndpointName="e", InputLocation="s3://bucket/in")
        for _ in range(2)
    ]
    assert found[0]["InferenceId"] != found[1]["InferenceId"]
    assert found[0]["OutputLocation"].endswith(f"/outputs/{found[0]['InferenceId']}.out")
    assert "FailureLocation" not in found[0]


def test_invoke_endpoint_with_response_stream(start: Start, container: Server) -> None:
    """200, chunked event stream; the content type of the parts in a header of its own."""
    container.answer(200, {"Content-Type": "text/event-stream"}, b"data: 1\n\n")
    found = client(start(target=container.url)).invoke_endpoint_with_response_stream(
        EndpointName="e", Body=b"x", ContentType="application/json", Accept="text/event-stream"
    )
    assert [event["PayloadPart"]["Bytes"] for event in found["Body"]] == [b"data: 1\n\n"]
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    assert headers["transfer-encoding"] == "chunked"
    assert (found["ContentType"], found["InvokedProductionVariant"]) == (
        "text/event-stream", "AllTraffic",
    )  # fmt: skip
    ((_, sent, _),) = container.asked
    assert (sent["content-type"], sent["accept"]) == ("application/json", "text/event-stream")


def test_parts_arrive_as_they_are_made(start: Start, container: Server) -> None:
    """The container makes a part only when the client has the one before."""
    received = threading.Semaphore(0)

    def handle(handler: Container, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in (b"one", b"two", b"three"):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            assert received.acquire(timeout=10)
        handler.wfile.write(b"0\r\n\r\n")

    container.handle = handle
    found = client(start(target=container.url)).invoke_endpoint_with_response_stream(
        EndpointName="e", Body=b"x"
    )
    parts = []
    for event in found["Body"]:
        parts.append(event["PayloadPart"]["Bytes"])
        received.release()
    assert parts == [b"one", b"two", b"three"]


def test_a_client_that_leaves_ends_the_containers_stream(start: Start, container: Server) -> None:
    """The connection to the container is closed, so it can stop working."""
    left = threading.Event()

    def handle(handler: Container, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\none\r\n")
        if handler.rfile.read(1) == b"":
            left.set()
        handler.close_connection = True

    container.handle = handle
    found = client(start(target=container.url)).invoke_endpoint_with_response_stream(
        EndpointName="e", Body=b"x"
    )
    assert next(iter(found["Body"]))["PayloadPart"]["Bytes"] == b"one"
    found["Body"].close()
    assert left.wait(10)


@pytest.mark.parametrize(
    ("target", "body", "content_type", "parts"),
    [
        ("make_bytes", b"\xff\x00", "image/png", [b"\xff\x00"]),
        ("make_text", "é".encode(), "text/plain; charset=utf-8", ["é".encode()]),
        ("make_json", b'{"a": [1]}', "application/json", [b'{"a": [1]}']),
        ("make_parts", b"one\xfftwo", "image/png", [b"one", b"\xff", b"two"]),
    ],
)
def test_a_function_is_a_container(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    target: str,
    body: bytes,
    content_type: str,
    parts: list[bytes],
) -> None:
    """Bytes, a string, a JSON value, or an iterator, whole and as a stream."""
    (tmp_path / "model_of_a_test.py").write_text(
        "def make_bytes(body, content_type): return b'\\xff\\x00'\n"
        "def make_text(body, content_type): return 'é'\n"
        "def make_json(body, content_type): return {'a': [1]}\n"
        "def make_parts(body, content_type):\n"
        "    yield b'one'\n"
        "    yield b'\\xff'\n"
        "    yield 'two'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sagemaker = client(start(target=f"model_of_a_test:{target}"))
    whole = sagemaker.invoke_endpoint(EndpointName="e", Body=b"x", ContentType="image/png")
    streamed = sagemaker.invoke_endpoint_with_response_stream(
        EndpointName="e", Body=b"x", ContentType="image/png"
    )
    assert (whole["Body"].read(), whole["ContentType"]) == (body, content_type)
    assert streamed["ContentType"] == content_type
    assert [event["PayloadPart"]["Bytes"] for event in streamed["Body"]] == parts


@pytest.mark.parametrize("target", ["nowhere", "no.such:thing", "json:nothing", ":", "ftp://x"])
def test_a_wrong_target_is_refused(target: str) -> None:
    """By the endpoint's name."""
    with pytest.raises(ValueError, match=r"endpoints\.e\.target: "):
        Emulator({"e": behaviours.parse({"target": target})}, "bucket")


@pytest.mark.parametrize(("status", "kind"), [(400, "client"), (404, "client"), (507, "server")])
@pytest.mark.parametrize("operation", ["invoke_endpoint", "invoke_endpoint_with_response_stream"])
def test_a_container_that_fails_is_a_model_error(
    start: Start, container: Server, status: int, kind: str, operation: str
) -> None:
    """424 with the container's status and message, whatever its bytes are."""
    container.answer(status, {}, b"no \xff memory")
    call = getattr(client(start(target=container.url)), operation)
    with pytest.raises(ClientError) as caught:
        call(EndpointName="e", Body=b"x")
    response: Any = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"]["Code"] == "ModelError"
    assert f"{kind} error ({status})" in response["Error"]["Message"]
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"] == "no \N{REPLACEMENT CHARACTER} memory"
    assert response["LogStreamArn"].endswith("/aws/sagemaker/Endpoints/e")


@pytest.mark.parametrize("operation", ["invoke_endpoint", "invoke_endpoint_with_response_stream"])
def test_a_container_that_takes_too_long_has_status_0(
    start: Start, container: Server, operation: str
) -> None:
    """And it is given up, not waited for."""
    release = threading.Event()

    def handle(handler: Container, body: bytes) -> None:
        release.wait(30)
        handler._answer(200, {}, body)

    container.handle = handle
    call = getattr(client(start(target=container.url, container_timeout=0.2)), operation)
    with pytest.raises(ClientError) as caught:
        call(EndpointName="e", Body=b"x")
    release.set()
    assert original_status(caught.value) == 0


def test_a_container_that_trickles_has_no_more_time(start: Start, container: Server) -> None:
    """The limit is for the whole answer, not for each read of it."""
    given_up = threading.Event()

    def handle(handler: Container, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not given_up.wait(0.02):
            handler.wfile.write(b".")

    container.handle = handle
    sagemaker = client(start(target=container.url, container_timeout=0.3), read_timeout=10)
    with pytest.raises(ClientError) as caught:
        sagemaker.invoke_endpoint(EndpointName="e", Body=b"x")
    given_up.set()
    assert original_status(caught.value) == 0


def test_a_container_that_breaks_off_is_a_model_error(start: Start, container: Server) -> None:
    """Fewer bytes than it promised are no answer: status 500, or a broken stream."""

    def handle(handler: Container, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    container.handle = handle
    sagemaker = client(start(target=container.url))
    with pytest.raises(ClientError, match="IncompleteRead") as caught:
        sagemaker.invoke_endpoint(EndpointName="e", Body=b"x")
    assert original_status(caught.value) == 500
    stream = sagemaker.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"x")["Body"]
    with closing(stream), pytest.raises(ClientError, match="ModelStreamError"):
        list(stream)


def test_no_container_is_a_model_error(start: Start) -> None:
    """Nobody listens there: status 500, with the reason."""
    with pytest.raises(ClientError, match="ConnectionRefusedError") as caught:
        client(start(target="http://127.0.0.1:1")).invoke_endpoint(EndpointName="e", Body=b"x")
    assert original_status(caught.value) == 500


def test_a_function_that_raises_is_a_model_error(start: Start) -> None:
    """Status 500, as a container's server would answer; `json.loads` takes no second argument."""
    with pytest.raises(ClientError, match="TypeError") as caught:
        client(start(target="json:loads")).invoke_endpoint(EndpointName="e", Body=b"x")
    assert original_status(caught.value) == 500


def test_bodies_of_6_mb_pass_and_larger_ones_do_not(start: Start) -> None:
    """Both ways; 413 above the limit."""
    sagemaker = client(start())
    body = bytes(range(256)) * (6_291_456 // 256)
    assert sagemaker.invoke_endpoint(EndpointName="e", Body=body)["Body"].read() == body
    stream = sagemaker.invoke_endpoint_with_response_stream(EndpointName="e", Body=body)["Body"]
    assert b"".join(event["PayloadPart"]["Bytes"] for event in stream) == body
    calls: list[tuple[Callable[..., Any], int]] = [
        (sagemaker.invoke_endpoint, 6_291_457),
        (sagemaker.invoke_endpoint_with_response_stream, 6_291_457),
    ]
    for call, size in calls:
        with pytest.raises(ClientError) as caught:
            call(EndpointName="e", Body=bytes(size))
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize(("size", "status"), [(128_000, 202), (128_001, 413)])
def test_an_inline_asynchronous_body_has_a_limit_of_its_own(
    start: Start, size: int, status: int
) -> None:
    """128,000 bytes, whatever the installed botocore knows of inline bodies."""
    connection = http.client.HTTPConnection(urlsplit(start(delay={"fixed": 3_600})).netloc)
    headers = {"Authorization": "AWS4-x"}
    connection.request("POST", "/endpoints/e/async-invocations", bytes(size), headers)
    assert connection.getresponse().status == status
    connection.close()


def test_calls_are_not_one_after_another(start: Start, container: Server) -> None:
    """More calls than anyio's 40 threads are in the container at once, and wait for each other."""
    together = threading.Barrier(60, timeout=30)

    def handle(handler: Container, body: bytes) -> None:
        together.wait()
        handler._answer(200, {}, body)

    container.handle = handle
    sagemaker = client(start(target=container.url), max_pool_connections=60)
    with ThreadPoolExecutor(60) as pool:
        found = pool.map(
            lambda n: sagemaker.invoke_endpoint(EndpointName="e", Body=b"%d" % n)["Body"].read(),
            range(60),
        )
        assert list(found) == [b"%d" % n for n in range(60)]


@pytest.mark.parametrize("signature", [None, "Basic YTpi"])
@pytest.mark.parametrize(
    "path", ["invocations", "async-invocations", "invocations-response-stream"]
)
def test_unsigned_requests_are_refused(start: Start, path: str, signature: str | None) -> None:
    """403 with the error's name; any SigV4 signature will do."""
    connection = http.client.HTTPConnection(urlsplit(start()).netloc)
    headers = {"Authorization": signature} if signature else {}
    connection.request("POST", f"/endpoints/e/{path}", b"x", headers)
    answer = connection.getresponse()
    assert answer.status == 403
    assert answer.getheader("x-amzn-errortype") == "MissingAuthenticationTokenException"
    assert json.load(answer)["Message"]
    connection.close()


@pytest.mark.parametrize(
    ("kind", "operation", "words"),
    [
        ("realtime", "invoke_endpoint_async", "does not support InvokeEndpointAsync"),
        ("async", "invoke_endpoint", "it is asynchronous"),
        ("async", "invoke_endpoint_with_response_stream", "it is asynchronous"),
    ],
)
def test_the_wrong_kind_is_refused(start: Start, kind: str, operation: str, words: str) -> None:
    """ValidationError, as of an endpoint that does not exist."""
    sagemaker = client(start(kind=kind))
    asynchronous = operation == "invoke_endpoint_async"
    payload = {"InputLocation": "s3://bucket/in"} if asynchronous else {"Body": b"x"}
    with pytest.raises(ClientError, match=words) as caught:
        getattr(sagemaker, operation)(EndpointName="e", **payload)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match=r"Endpoint absent of account .* not found"):
        getattr(sagemaker, operation)(EndpointName="absent", **payload)


def test_sessions(start: Start, container: Server) -> None:
    """A new one has an id; the container closes it."""
    sagemaker = client(start(target=container.url))
    new = sagemaker.invoke_endpoint(EndpointName="e", Body=b"x", SessionId="NEW_SESSION")
    id_, _, expires = new["NewSessionId"].partition("; Expires=")
    assert id_
    assert expires.endswith("Z")
    container.answer(200, {X + "closed-session-id": id_}, b"")
    closed = sagemaker.invoke_endpoint(EndpointName="e", Body=b"x", SessionId=id_)
    assert closed["ClosedSessionId"] == id_
    assert container.asked[-1][1][X + "session-id"] == id_


def test_describe_endpoint(start: Start, container: Server) -> None:
    """InService once the container answers `/ping`; the kind is seen; unknown ones are refused."""
    options: Any = {
        "endpoint_url": start(kind="async", target=container.url),
        "region_name": "us-east-1",
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
    }
    sagemaker = boto3.client("sagemaker", **options)
    found: Any = sagemaker.describe_endpoint(EndpointName="e")
    assert found["EndpointStatus"] == "InService"
    assert found["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"].startswith("s3://")
    assert container.asked == [("/ping", {}, b"")]
    container.well = False
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName="absent")
    with pytest.raises(ClientError, match="is not emulated"):
        sagemaker.list_endpoints()


def control(url: str) -> "SageMakerClient":
    """A client of the control plane."""
    return boto3.client(
        "sagemaker",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def test_describe_endpoint_config(start: Start) -> None:
    """An asynchronous endpoint's paths, a serverless one's limit; unknown ones are refused."""
    sagemaker = control(start(kind="async", failure_path=False, serverless=5))
    name = sagemaker.describe_endpoint(EndpointName="e")["EndpointConfigName"]
    found = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert found["AsyncInferenceConfig"]["OutputConfig"] == {"S3OutputPath": "s3://bucket/outputs"}
    assert found["ProductionVariants"][0]["ServerlessConfig"]["MaxConcurrency"] == 5
    realtime = control(start(kind="realtime"))
    other: Any = realtime.describe_endpoint_config(EndpointConfigName=name)
    assert "AsyncInferenceConfig" not in other
    assert "ServerlessConfig" not in other["ProductionVariants"][0]
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.describe_endpoint_config(EndpointConfigName="absent-config")


@pytest.mark.parametrize(("status", "serves"), [("Updating", True), ("Failed", False)])
def test_an_endpoint_has_the_status_it_was_given(start: Start, status: str, serves: bool) -> None:
    """One that is being updated serves; of one that failed, calls find nothing."""
    url = start(status=status)
    assert control(url).describe_endpoint(EndpointName="e")["EndpointStatus"] == status
    runtime = client(url)
    if serves:
        assert runtime.invoke_endpoint(EndpointName="e", Body=b"x")["Body"].read() == b"x"
    else:
        with pytest.raises(ClientError, match="not found"):
            runtime.invoke_endpoint(EndpointName="e", Body=b"x")
