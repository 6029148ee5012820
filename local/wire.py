"""What ASGI cannot say: reset a connection, end it in the middle of a body, answer unchunked."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from http import HTTPStatus

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: struct linger: on, zero seconds. Closing then sends RST instead of FIN.
NO_LINGER = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """uvicorn's HTTP with the connection within the application's reach."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hand the connection on in each request's state."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def reset(scope: Scope) -> None:
    """Reset the connection of a request: its peer gets ECONNRESET."""
    transport = _transport(scope)
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()


def close(scope: Scope) -> None:
    """Close the connection of a request once all that was written is sent."""
    _transport(scope).close()


async def gone(receive: Receive) -> None:
    """Wait until the client has left, or the connection was ended here."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Chunked(StreamingResponse):
    """A body in chunks, one for each piece; it stops being made when the client leaves."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def watch() -> None:
            await gone(receive)
            group.cancel_scope.cancel()

        async with aclosing(self._pieces), anyio.create_task_group() as group:
            group.start_soon(watch)
            await self._send(scope, send)
            group.cancel_scope.cancel()

    async def _send(self, scope: Scope, send: Send) -> None:  # noqa: ARG002 - Unchunked needs it
        await self.stream_response(send)


class Unchunked(Chunked):
    """A body that ends with its connection, as of a server without chunked transfer coding.

    h11 chunks whatever it sends to an HTTP/1.1 client, so this goes past it.
    """

    async def _send(self, scope: Scope, send: Send) -> None:  # noqa: ARG002 - it goes past it
        transport = _transport(scope)
        status = HTTPStatus(self.status_code)
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
        lines += [name + b": " + value for name, value in self.raw_headers]
        transport.write(b"\r\n".join([*lines, b"connection: close", b"", b""]))
        async for piece in self._pieces:
            transport.write(piece)
        transport.close()
        # Sending is over when the connection is: uvicorn would answer 500 before.
        await anyio.sleep_forever()


def _transport(scope: Scope) -> asyncio.Transport:
    found: asyncio.Transport = scope["state"]["transport"]
    return found
