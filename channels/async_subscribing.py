"""Follow a stream from asyncio: an async generator, the same as `subscribe` otherwise."""

import asyncio
import time
from collections.abc import AsyncGenerator

from . import async_server
from .async_hub import heed_cancellation
from .cursor import Cursor
from .defaults import choose
from .events import Event, TextOf
from .inbox import AsyncInbox
from .options import ChannelOptions
from .reader import Reader
from .scripts import AWAY, LOOK_AGAIN
from .subscribing import BLIND
from .wire import Keys, Look


def asubscribe(
    stream: str,
    redis: async_server.AsyncRedis | None = None,
    *,
    cursor: str | Cursor = "earliest",
    options: ChannelOptions | None = None,
    to_text: TextOf | None = None,
) -> AsyncGenerator[Event, None]:
    """Follow a stream; arguments, events and errors are those of `subscribe`.

    All streams that an event loop follows on one server share one pub/sub connection. Close the
    generator (`contextlib.aclosing`) if you leave it before its end.
    """
    source, chosen, text = choose(redis, options, to_text)
    keys = Keys(chosen.prefix, stream)
    at = cursor if isinstance(cursor, Cursor) else Cursor.parse(cursor)
    return _follow(async_server.of(source), keys, at, chosen, text)


async def _follow(
    source: async_server.AsyncServer,
    keys: Keys,
    at: Cursor,
    options: ChannelOptions,
    to_text: TextOf,
) -> AsyncGenerator[Event, None]:
    inbox = AsyncInbox(options.inbox)
    reader = Reader(at, options, time.monotonic(), to_text)
    with await source.listen(keys.live, inbox.put) as line:
        while not reader.done:
            if reader.wants_look:
                found = await _look(source, keys, reader.cursor, options.grace)
                events = reader.look(found, time.monotonic())
            else:
                events = await _wait(inbox, reader)
            heed_cancellation()
            for event in events:
                yield event
            if reader.blind_looks >= BLIND:
                reader.blind_looks = 0
                line.renew()
            line.check()
    if reader.failure:
        raise reader.failure


async def _wait(inbox: AsyncInbox, reader: Reader) -> list[Event]:
    messages = await inbox.get(reader.timeout(time.monotonic()))
    if not messages:
        reader.idle(time.monotonic())
    now = time.monotonic()
    return [event for message in messages for event in reader.hear(message, now)]


async def _look(source: async_server.AsyncServer, keys: Keys, after: Cursor, grace: float) -> Look:
    give_up = time.monotonic() + grace
    while True:
        try:
            return await source.look(keys, after)
        except AWAY:
            heed_cancellation()
            if time.monotonic() >= give_up:
                raise
            await asyncio.sleep(LOOK_AGAIN)
