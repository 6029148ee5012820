"""Streams for browsers: an ASGI application of server-sent events, to be mounted or run."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import async_server
from .async_subscribing import asubscribe
from .cancelling import acancel
from .cursor import EARLIEST, Cursor
from .events import TextOf, text_of
from .exceptions import StreamNotFound
from .inbox import AsyncInbox
from .options import ChannelOptions
from .reader import FIRST, Reader
from .scripts import AWAY
from .sse import EventStream
from .wire import Keys, Look

#: Decides whether a request (GET reads, DELETE cancels) may have a stream. If not, the answer is
#: 404, as for an unknown one: whether a stream exists is not everybody's business.
Authorize = Callable[[Request, str], Awaitable[bool]]

#: The response's header that names the first position it serves.
FIRST_ID = "Stream-First-Id"

#: Seconds until a response begins: proxies wait for a minute or less.
PATIENCE = 10.0

#: What a script of another origin may send.
ALLOW_HEADERS = ("Authorization", "Last-Event-ID", "Cache-Control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the application is made of. Times in seconds."""

    redis: async_server.AsyncRedis
    authorize: Authorize
    options: ChannelOptions = field(default_factory=ChannelOptions)
    to_text: TextOf = text_of
    patience: float = PATIENCE
    ping: float = 15.0
    send_timeout: float = 30.0


def create_app(
    redis: async_server.AsyncRedis,
    authorize: Authorize,
    *,
    options: ChannelOptions | None = None,
    to_text: TextOf = text_of,
    allow_origins: Sequence[str] = (),
    patience: float = PATIENCE,
    ping: float = 15.0,
    send_timeout: float = 30.0,
) -> Starlette:
    """Make the application: `GET` and `DELETE` of `/streams/{id}`.

    Args:
        redis: an asyncio client without `decode_responses`, or a URL.
        authorize: decides who may have a stream; `tokens.StreamTokens` does it by signed tokens.
        options: the deployment's; `wait` is how long a stream may be unknown.
        to_text: makes a part's text from its framing and data.
        allow_origins: other origins whose scripts may read.
        patience: seconds for which a response waits for a stream that is unknown, to be a 404
            if `wait` is over then. Otherwise it begins, and `not_found` would be an event of it.
        ping: seconds of silence between two comments.
        send_timeout: seconds for a client to take what it is sent; then it is let go.
    """
    serving = Serving(
        redis=redis,
        authorize=authorize,
        options=options or ChannelOptions(),
        to_text=to_text,
        patience=patience,
        ping=ping,
        send_timeout=send_timeout,
    )
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(allow_origins),
        allow_methods=["GET", "DELETE"],
        allow_headers=list(ALLOW_HEADERS),
        expose_headers=[FIRST_ID],
    )
    route = Route("/streams/{stream}", partial(_answer, serving), methods=["GET", "DELETE"])
    return Starlette(routes=[route], middleware=[cors] if allow_origins else [])


async def _answer(serving: Serving, request: Request) -> Response:
    stream = request.path_params["stream"]
    if request.method == "HEAD":
        # Starlette adds it to GET; a stream has no head without its body.
        return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        keys = Keys(serving.options.prefix, stream)
    except ValueError:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    if not await serving.authorize(request, stream):
        return Response(status_code=HTTPStatus.NOT_FOUND)
    try:
        if request.method == "DELETE":
            return await _cancel(serving, stream)
        return await _read(serving, request, keys)
    except AWAY:
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "1"})


async def _cancel(serving: Serving, stream: str) -> Response:
    state = await acancel(stream, serving.redis, options=serving.options)
    ended = state not in ("", "open")
    status = HTTPStatus.CONFLICT if ended else HTTPStatus.ACCEPTED
    return JSONResponse({"state": state}, status_code=status)


async def _read(serving: Serving, request: Request, keys: Keys) -> Response:
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    try:
        cursor = Cursor.parse(given or "earliest")
    except ValueError as error:
        return JSONResponse({"message": str(error)}, status_code=HTTPStatus.BAD_REQUEST)
    # A trial: what would a reader be told now?
    reader = Reader(cursor, serving.options, time.monotonic())
    found = await _opened(serving, keys, cursor)
    events = reader.look(found, time.monotonic())
    if reader.failure and not events and reader.failure.cursor == cursor:
        lost = isinstance(reader.failure, StreamNotFound)
        return Response(status_code=HTTPStatus.NOT_FOUND if lost else HTTPStatus.GONE)
    if reader.done and reader.cursor == cursor:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    begin = max(cursor, FIRST)
    first = events[0].cursor if events else max(reader.cursor, begin.at(begin.seq + 1))
    return EventStream(
        asubscribe(
            keys.stream,
            serving.redis,
            cursor=cursor,
            options=serving.options,
            to_text=serving.to_text,
        ),
        {FIRST_ID: str(first)},
        ping=serving.ping,
        send_timeout=serving.send_timeout,
    )


async def _opened(serving: Serving, keys: Keys, cursor: Cursor) -> Look:
    """Look at a stream; wait for one that begins here and is not open yet."""
    source, inbox = async_server.of(serving.redis), AsyncInbox(1)
    give_up = time.monotonic() + min(serving.options.wait, serving.patience)
    with await source.listen(keys.live, inbox.put):
        while True:
            found = await source.look(keys, cursor)
            left = give_up - time.monotonic()
            if found.meta.state or cursor > EARLIEST or left <= 0:
                return found
            await inbox.get(left)
