"""The model behind an emulated endpoint: an HTTP container, or a Python function. Blocking."""

import http.client
import importlib
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

#: Seconds SageMaker gives a container to answer its health check.
PING_SECONDS = 2.0

#: Bytes read at once from a container; a part of a stream is no larger.
CHUNK = 65_536

#: Where a container puts what it wants SageMaker to hand on.
PREFIX = "x-amzn-sagemaker-"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container answered; `parts` are read as they come."""

    status: int
    content_type: str
    parts: Iterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those for SageMaker: custom attributes, sessions. Names in lower case."""
    close: Callable[[], None] = lambda: None
    """Gives the rest up; may be called while another thread reads."""

    @property
    def ok(self) -> bool:
        """Whether the container was content."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success

    def body(self) -> bytes:
        """Read all of it."""
        return b"".join(self.parts)


class Container(Protocol):
    """A model that can be invoked."""

    def __call__(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Answer one invocation; `seconds` bound each read."""

    def ping(self) -> bool:
        """Whether it is well."""


def echo(body: bytes, content_type: str) -> bytes:  # noqa: ARG001 - a container's signature
    """Answer what was asked."""
    return body


def open_container(target: str) -> Container:
    """Return the container of a target.

    Args:
        target: `http://host:port`, or `module:function` taking body and content type and
            returning bytes, a string, a JSON value, or an iterator of bytes or strings.

    Raises:
        ValueError: there is no such function.
    """
    if target.startswith("http://"):
        return HttpContainer(target)
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"target: {target!r} is neither http://host:port nor module:function: {error}"
        ) from error
    return FunctionContainer(function)


class FunctionContainer:
    """A model that is a function. What it raises is the caller's to catch."""

    def __init__(self, function: Callable[[bytes, str], Any]) -> None:
        self._function = function

    def __call__(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:  # noqa: ARG002 - a function cannot be stopped
        """Call the function."""
        content_type = headers.get("content-type", "application/octet-stream")
        made = self._function(body, content_type)
        if isinstance(made, bytes | bytearray | memoryview):
            return Answer(200, content_type, iter([bytes(made)]))
        if isinstance(made, str):
            return Answer(200, "text/plain; charset=utf-8", iter([made.encode()]))
        if isinstance(made, Iterator):
            return Answer(200, content_type, map(_encoded, made))
        return Answer(200, "application/json", iter([json.dumps(made).encode()]))

    def ping(self) -> bool:
        """It is always well."""
        return True


class HttpContainer:
    """A model that is a server: `POST /invocations`, `GET /ping`; a connection for each call."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    def __call__(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Post the body.

        Raises:
            OSError, http.client.HTTPException: the container does not answer.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        try:
            connection.request("POST", "/invocations", body, dict(headers))
            stream = connection.sock
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        handed = {k.lower(): v for k, v in response.getheaders() if k.lower().startswith(PREFIX)}
        content_type = response.getheader("Content-Type", "application/octet-stream")

        def close() -> None:
            # Wakes a thread that reads; closing alone would wait for it.
            _shut(stream)
            response.close()
            connection.close()

        parts = _read(connection, response)
        return Answer(response.status, content_type, parts, handed, close)

    def ping(self) -> bool:
        """Whether `GET /ping` answers 200."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PING_SECONDS)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200  # noqa: PLR2004 - OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _read(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse
) -> Iterator[bytes]:
    try:
        while data := response.read1(CHUNK):
            yield data
        if response.length:
            # read1 takes an early end for the end.
            raise http.client.IncompleteRead(b"", response.length)
    finally:
        response.close()
        connection.close()


def _shut(stream: socket.socket) -> None:
    with suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


def _encoded(part: bytes | str) -> bytes:
    return part.encode() if isinstance(part, str) else bytes(part)
