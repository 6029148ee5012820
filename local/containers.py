"""The model behind an emulated endpoint: an HTTP container, or a Python function."""

import http.client
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

#: Seconds SageMaker gives a container to answer.
SECONDS = 60.0

#: Bytes read at once from a streaming container.
CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container answered; `parts` are read as they come."""

    status: int
    content_type: str
    parts: Iterator[bytes]

    def body(self) -> bytes:
        """Read all of it."""
        return b"".join(self.parts)


class Container(Protocol):
    """A model that can be invoked."""

    def __call__(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Answer one invocation."""


def echo(body: bytes, content_type: str) -> bytes:  # noqa: ARG001 - a container's signature
    """Answer what was asked."""
    return body


def open_container(target: str) -> Container:
    """Return the container of a target.

    Args:
        target: `http://host:port`, or `module:function` taking body and content type and
            returning bytes, a string, a JSON value, or an iterator of bytes.

    Raises:
        ValueError: there is no such function.
    """
    if target.startswith("http://"):
        return HttpContainer(target)
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"The target {target!r} is neither a URL nor a function: {error}"
        ) from error
    return FunctionContainer(function)


class FunctionContainer:
    """A model that is a function."""

    def __init__(self, function: Callable[[bytes, str], Any]) -> None:
        self._function = function

    def __call__(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Call the function."""
        content_type = headers.get("content-type", "application/octet-stream")
        made = self._function(body, content_type)
        if isinstance(made, bytes):
            return Answer(200, content_type, iter([made]))
        if isinstance(made, str):
            return Answer(200, "text/plain; charset=utf-8", iter([made.encode()]))
        if isinstance(made, Iterator):
            return Answer(200, content_type, iter(made))
        return Answer(200, "application/json", iter([json.dumps(made).encode()]))


class HttpContainer:
    """A model that is a server: `POST /invocations`, `GET /ping`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    def __call__(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Post the body.

        Raises:
            OSError, http.client.HTTPException: the container does not answer.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        connection.request("POST", "/invocations", body, headers)
        response = connection.getresponse()
        content_type = response.getheader("Content-Type", "application/octet-stream")
        return Answer(response.status, content_type, _read(connection, response))


def _read(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse
) -> Iterator[bytes]:
    try:
        while data := response.read1(CHUNK):
            yield data
    finally:
        connection.close()
