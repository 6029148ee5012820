"""Follow a stream from ordinary code: a generator."""

import time
from collections.abc import Generator

from . import server
from .cursor import Cursor
from .defaults import choose
from .events import Event, TextOf
from .inbox import Inbox
from .options import ChannelOptions
from .reader import Reader
from .scripts import AWAY, LOOK_AGAIN
from .wire import Keys, Look

#: Looks that found what the live channel did not say, before its connection is made anew.
BLIND = 2


def subscribe(
    stream: str,
    redis: server.Redis | None = None,
    *,
    cursor: str | Cursor = "earliest",
    options: ChannelOptions | None = None,
    to_text: TextOf | None = None,
) -> Generator[Event, None, None]:
    """Follow a stream: every record once and in order, from the cursor to the end.

    All streams that a process follows on one server share one pub/sub connection; a slow reader
    loses nothing and holds up nobody. Closing the generator ends it.

    Args:
        stream: its id.
        redis: a client without `decode_responses`, or a URL; by default the deployment's.
        cursor: the last position that was seen, or `earliest`.
        options: by default the deployment's; the reader's own are `wait`, `grace`, `idle` and
            `inbox`.
        to_text: makes a part's text from its framing and data; by default as the deployment does.

    Yields:
        `Part`, `Restarted` when another attempt begins from the start, finally `End`. Nothing, if
        the cursor is at the end already.

    Raises:
        ValueError: the stream's id or the cursor is malformed.
        Unset: no Redis was given, and the process has no deployment.
        TypeError: the client decodes responses.
        StreamNotFound: nobody opened it within `wait`, or it has expired.
        StreamFailed: the producer ended it with an error.
        StreamCancelled: it was cancelled.
        StreamGap: what comes next is gone; nothing was skipped.
        ProducerLost: the producer died, and no other took over within `grace`.
        redis.ConnectionError: Redis was away for `grace`.
    """
    source, chosen, text = choose(redis, options, to_text)
    keys = Keys(chosen.prefix, stream)
    at = cursor if isinstance(cursor, Cursor) else Cursor.parse(cursor)
    return _follow(server.of(source), keys, at, chosen, text)


def _follow(
    source: server.Server, keys: Keys, at: Cursor, options: ChannelOptions, to_text: TextOf
) -> Generator[Event, None, None]:
    inbox = Inbox(options.inbox)
    reader = Reader(at, options, time.monotonic(), to_text)
    with source.listen(keys.live, inbox.put) as line:
        while not reader.done:
            if reader.wants_look:
                found = _look(source, keys, reader.cursor, options.grace)
                events = reader.look(found, time.monotonic())
            else:
                events = _wait(inbox, reader)
            yield from events
            if reader.blind_looks >= BLIND:
                reader.blind_looks = 0
                line.renew()
            line.check()
    if reader.failure:
        raise reader.failure


def _wait(inbox: Inbox, reader: Reader) -> list[Event]:
    messages = inbox.get(reader.timeout(time.monotonic()))
    if not messages:
        reader.idle(time.monotonic())
    now = time.monotonic()
    return [event for message in messages for event in reader.hear(message, now)]


def _look(source: server.Server, keys: Keys, after: Cursor, grace: float) -> Look:
    give_up = time.monotonic() + grace
    while True:
        try:
            return source.look(keys, after)
        except AWAY:
            if time.monotonic() >= give_up:
                raise
            time.sleep(LOOK_AGAIN)
