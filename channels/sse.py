"""Server-sent events: how a reader's events look, and a response that gives up on stuck clients.

sse-starlette would do this, too; it also hooks into uvicorn's shutdown when it is imported. What is
left to do over Starlette's own streaming response is a ping and a time limit.
"""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from .events import Event, Part, Restarted
from .exceptions import ChannelError, StreamCancelled, StreamFailed
from .scripts import AWAY

logger = logging.getLogger(__name__)

#: A comment: proxies see traffic, clients ignore it.
PING = b": ping\n\n"

#: Proxies must neither keep nor transform (compress, buffer) the stream.
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

#: Keeps running tasks alive.
PUMPS: set[asyncio.Task[None]] = set()

#: What ends a stream; their ids are positions at the end.
ENDINGS = (StreamFailed, StreamCancelled)


def message(name: str, data: Mapping[str, Any], id_: object = None) -> bytes:
    """Write one event. Its data is JSON, thus one line, whatever the record has in it."""
    head = f"id: {id_}\n" if id_ else ""
    text = f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
    # Half of a surrogate pair is no UTF-8, but Python's escape of it is JSON's.
    return text.encode("utf-8", "backslashreplace")


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


async def body(events: AsyncGenerator[Event, None], ping: float) -> AsyncGenerator[bytes, None]:
    """Write all of a reader's events, with a comment after each `ping` seconds of silence."""
    # The status line alone does not get through every proxy.
    yield PING
    queue = asyncio.Queue[bytes | Exception | None](1)
    # A task of its own ends the reader: what is cancelled here may not wait for it.
    task = asyncio.create_task(_pump(events, queue))
    PUMPS.add(task)
    task.add_done_callback(PUMPS.discard)
    try:
        while (written := await _next(queue, ping)) is not None:
            if isinstance(written, Exception):
                raise written
            yield written
    finally:
        task.cancel()


async def _next(
    queue: asyncio.Queue[bytes | Exception | None], ping: float
) -> bytes | Exception | None:
    try:
        async with asyncio.timeout(ping):
            return await queue.get()
    except TimeoutError:
        return PING


async def _pump(
    events: AsyncGenerator[Event, None], queue: asyncio.Queue[bytes | Exception | None]
) -> None:
    """Put everything that a reader says into the queue, then None."""
    try:
        async with aclosing(events):
            async for event in events:
                await queue.put(of_event(event))
    except ChannelError as error:
        await queue.put(of_error(error))
    except AWAY:
        # The client comes back, with the position it has reached.
        pass
    except Exception as error:  # noqa: BLE001 - raised where the response is written
        await queue.put(error)
    await queue.put(None)


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
        self._body = body(events, ping)
        super().__init__(self._body, headers={**HEADERS, **headers})
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or as much as the client takes in time."""
        limit = asyncio.timeout(None)

        async def send_in_time(part: Any) -> None:
            nonlocal limit
            async with asyncio.timeout(self._send_timeout) as limit:
                await send(part)

        try:
            # Starlette leaves the generator to the garbage collector.
            async with aclosing(self._body):
                await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
            logger.info("slow_client_let_go", extra={"seconds": self._send_timeout})
