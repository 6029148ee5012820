"""Every way a response stream can end, and what botocore makes of each."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.eventstream
import pytest
import urllib3.exceptions
from botocore.config import Config
from botocore.exceptions import EventStreamError
from celery_sagemaker.local import behaviours, serving
from celery_sagemaker.local.endpoint import Emulator

MODEL = "def three(body, content_type):\n    yield from (b'one', b'two', b'three')\n"

#: Begins a stream of three parts on an endpoint with this behaviour of streams.
Begin = Callable[..., Any]


@pytest.fixture
def address(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Starts emulators that stop at the end of the test."""
    (tmp_path / "model_of_streams.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    with ExitStack() as parts:

        def start(**stream: Any) -> str:
            keys = {"target": "model_of_streams:three", "stream": stream}
            emulator = Emulator({"e": behaviours.parse(keys)}, "bucket")
            return parts.enter_context(serving.running(emulator))

        yield start


@pytest.fixture
def begin(address: Callable[..., str]) -> Iterator[Begin]:
    """Streams that are closed at the end of the test."""
    with ExitStack() as parts:

        def call(**stream: Any) -> Any:
            # Only what never comes is waited out.
            patience = 1.0 if stream.get("fault") == "stall" else 30.0
            sagemaker = boto3.client(
                "sagemaker-runtime",
                endpoint_url=address(**stream),
                region_name="us-east-1",
                aws_access_key_id="any",
                aws_secret_access_key="any",
                config=Config(read_timeout=patience, retries={"total_max_attempts": 1}),
            )
            found = sagemaker.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"x")
            return parts.enter_context(closing(found["Body"]))

        yield call


def read(stream: Any) -> tuple[list[bytes], BaseException | None]:
    """The parts, and what was raised after them."""
    parts = []
    try:
        for event in stream:
            parts.append(event["PayloadPart"]["Bytes"])  # noqa: PERF401 - those before the error
    except Exception as error:  # noqa: BLE001 - what is looked at
        return parts, error
    return parts, None


WHOLE = [b"one", b"two", b"three"]


def test_a_whole_stream(begin: Begin) -> None:
    """It ends after its parts."""
    assert read(begin()) == (WHOLE, None)


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("truncated", [b"one", b"two"]),
        ("unknown_event", WHOLE),
        ("empty_part", [b"one", b"two", b"", b"three"]),
    ],
)
def test_faults_that_botocore_does_not_see(begin: Begin, fault: str, parts: list[bytes]) -> None:
    """A message cut off before an end in order, an event nobody knows, a part of no bytes."""
    assert read(begin(fault=fault, after_parts=2)) == (parts, None)


@pytest.mark.parametrize(
    ("fault", "raised", "code"),
    [
        ("ModelStreamError", EventStreamError, "ModelStreamError"),
        ("InternalStreamFailure", EventStreamError, "InternalStreamFailure"),
        ("error", EventStreamError, "InternalError"),
        ("unknown_exception", EventStreamError, ""),
        ("wrong_crc", botocore.eventstream.ChecksumMismatch, None),
        ("cut", urllib3.exceptions.ProtocolError, None),
        ("reset", urllib3.exceptions.ProtocolError, None),
        ("stall", urllib3.exceptions.ReadTimeoutError, None),
    ],
)
@pytest.mark.parametrize("after_parts", [0, 1, 3])
def test_faults_that_botocore_raises(
    begin: Begin, fault: str, raised: type[Exception], code: str | None, after_parts: int
) -> None:
    """After so many parts, with botocore's or urllib3's class."""
    parts, error = read(begin(fault=fault, after_parts=after_parts))
    assert parts == WHOLE[:after_parts]
    assert type(error) is raised
    if isinstance(error, EventStreamError):
        assert error.response["Error"]["Code"] == code


@pytest.mark.parametrize("code", ["StreamBroken", "ModelInvocationTimeExceeded"])
def test_model_stream_errors_have_a_code(begin: Begin, code: str) -> None:
    """Botocore drops it, so it is looked for in the event itself."""
    stream = begin(fault="ModelStreamError", error_code=code, after_parts=0)
    (event,) = stream._event_generator
    assert f'"ErrorCode": "{code}"'.encode() in event.payload


def test_an_unchunked_body_ends_with_its_connection(begin: Begin) -> None:
    """Botocore hands its parts over when all of them are there."""
    stream = begin(chunked=False)
    headers = stream._raw_stream.headers
    assert "transfer-encoding" not in headers
    assert headers["connection"] == "close"
    assert read(stream) == (WHOLE, None)


@pytest.mark.parametrize("fault", ["truncated", "cut"])
def test_an_unchunked_body_that_is_cut_looks_whole(begin: Begin, fault: str) -> None:
    """Nothing tells the client that a message is missing."""
    assert read(begin(chunked=False, fault=fault, after_parts=2)) == ([b"one", b"two"], None)


def test_parts_in_time_and_parts_too_late(
    begin: Begin, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that does not finish within the stream's time: ModelInvocationTimeExceeded."""
    (tmp_path / "model_of_streams.py").write_text(
        "import threading\n"
        "def three(body, content_type):\n"
        "    yield b'one'\n"
        "    threading.Event().wait(1)\n"
    )
    monkeypatch.delitem(__import__("sys").modules, "model_of_streams", raising=False)
    parts, error = read(begin(timeout=0.2))
    assert (parts, type(error)) == ([b"one"], EventStreamError)
    assert "did not finish in time" in str(error)


def test_a_container_that_raises_breaks_the_stream(
    begin: Begin, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ModelStreamError with the reason, after the parts that were made."""
    (tmp_path / "model_of_streams.py").write_text(
        "def three(body, content_type):\n    yield b'one'\n    raise MemoryError\n"
    )
    monkeypatch.delitem(__import__("sys").modules, "model_of_streams", raising=False)
    parts, error = read(begin())
    assert (parts, type(error)) == ([b"one"], EventStreamError)
    assert "MemoryError" in str(error)


def test_the_rate_decides_which_streams_break(address: Callable[..., str]) -> None:
    """The same streams for the same seed; the log says which."""

    def outcomes() -> list[bool]:
        url = address(fault="InternalStreamFailure", rate=0.5)
        sagemaker = boto3.client(
            "sagemaker-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        broken = []
        for _ in range(12):
            found = sagemaker.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"x")
            with closing(found["Body"]) as stream:
                broken.append(read(stream)[1] is not None)
        return broken

    first = outcomes()
    assert first == outcomes()
    assert {True, False} == set(first)


@pytest.mark.parametrize(("fault", "end"), [("cut", b""), ("reset", None)])
def test_the_socket_is_cut_in_the_middle_of_a_message(
    address: Callable[..., str], fault: str, end: bytes | None
) -> None:
    """The last chunk ends inside its message; then FIN or RST, and no terminator before it."""
    host, port = urlsplit(address(fault=fault, after_parts=0)).netloc.split(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /endpoints/e/invocations-response-stream HTTP/1.1\r\nHost: {host}\r\n"
        connection.sendall(f"{head}Authorization: AWS4-x\r\nContent-Length: 1\r\n\r\nx".encode())
        last: bytes | None = None
        try:
            while last := connection.recv(65_536):
                got += last
        except ConnectionResetError:
            last = None
    assert last == end
    assert b"never" in got
    assert not got.endswith(b"0\r\n\r\n")
