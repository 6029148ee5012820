"""Server-sent events: how a reader's events look, and a response that gives up on stuck clients.

sse-starlette would do this, too; it also hooks into uvicorn's shutdown when it is imported. What is
left to do over Starlette's own streaming response is a ping and a time limit.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from .events import Event, Part, Restarted
from .exceptions import ChannelError, StreamCancelled, StreamFailed
from .scripts import AWAY

#: A comment: proxies see traffic, clients ignore it.
PING = b": ping\n\n"

#: Proxies must neither keep nor transform (compress, buffer) the stream.
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

#: What ends a stream; their ids are positions at the end.
ENDINGS = (StreamFailed, StreamCancelled)


def message(name: str, data: Mapping[str, Any], id_: object = None) -> bytes:
    """Write one event. Its data is JSON, thus one line, whatever the record has in it."""
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def of_event(event: Event) -> bytes:
    """Write a reader's event."""
    if isinstance(event, Part):
        text = event.text
        data = {"base64": b64encode(event.data).decode()} if text is None else {"text": text}
        return message("part", data, event.cursor)
    if isinstance(event, Restarted):
        return message("restarted", {"attempt": event.attempt}, event.cursor)
    return message("end", event.summary, event.cursor)


def of_error(error: ChannelError) -> bytes:
    """Write a reader's error; only one that ends the stream moves the client's position."""
    name = "cancelled" if isinstance(error, StreamCancelled) else "error"
    data = {"code": error.code, "message": error.message, "retryable": error.retryable}
    return message(name, data, error.cursor if isinstance(error, ENDINGS) else None)


async def body(events: AsyncGenerator[Event, None], ping: float) -> AsyncIterator[bytes]:
    """Write all of a reader's events, with a comment after each `ping` seconds of silence."""
    # The status line alone does not get through every proxy.
    yield PING
    async with aclosing(_encoded(events)) as encoded:
        task = asyncio.ensure_future(anext(encoded, None))
        try:
            while True:
                await asyncio.wait({task}, timeout=ping)
                if not task.done():
                    yield PING
                    continue
                written = task.result()
                if written is None:
                    return
                yield written
                task = asyncio.ensure_future(anext(encoded, None))
        finally:
            task.cancel()
            # A generator that is running cannot be closed.
            await asyncio.wait({task})


async def _encoded(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(events):
            async for event in events:
                yield of_event(event)
    except ChannelError as error:
        yield of_error(error)
    except AWAY:
        # The client comes back, with the position it has reached.
        return


class EventStream(StreamingResponse):
    """A response of server-sent events.

    Args:
        events: what to send.
        headers: besides those that a stream needs.
        ping: seconds of silence between two comments.
        send_timeout: seconds for a client to take what it is sent; then it is let go.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        headers: Mapping[str, str],
        *,
        ping: float,
        send_timeout: float,
    ) -> None:
        super().__init__(body(events, ping), headers={**HEADERS, **headers})
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or as much as the client takes in time."""

        async def send_in_time(part: Any) -> None:
            async with asyncio.timeout(self._send_timeout):
                await send(part)

        await super().__call__(scope, receive, send_in_time)
