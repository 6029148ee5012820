"""Cancel a stream from any process."""

from typing import Any

from . import async_server, server
from .defaults import choose
from .options import ChannelOptions
from .relay import milliseconds
from .wire import Keys


def cancel(
    stream: str, redis: server.Redis | None = None, *, options: ChannelOptions | None = None
) -> str:
    """Ask the producer to cancel; the stream then ends with `StreamCancelled`.

    The wish is a key and a message: a producer that opens the stream later finds it, too.

    Returns:
        The state that the stream is in, `open`; `complete`, `error` or `cancelled` if there is
        nothing to cancel; empty if nobody has opened it yet.

    Raises:
        ValueError: the stream's id is malformed.
        TypeError: the client decodes responses.
        redis.RedisError: Redis is gone.
    """
    source, chosen, _ = choose(redis, options, None)
    name, keys, kept = _call(stream, chosen)
    return _state(server.of(source).call(name, keys, kept))


async def acancel(
    stream: str,
    redis: async_server.AsyncRedis | None = None,
    *,
    options: ChannelOptions | None = None,
) -> str:
    """Ask the producer to cancel; the same as `cancel`, for asyncio."""
    source, chosen, _ = choose(redis, options, None)
    name, keys, kept = _call(stream, chosen)
    return _state(await async_server.of(source).call(name, keys, kept))


def _call(stream: str, options: ChannelOptions) -> tuple[str, tuple[str, str], int]:
    keys = Keys(options.prefix, stream)
    return "cancel", (keys.meta, keys.ctl), milliseconds(options.ttl)


def _state(answer: Any) -> str:
    return bytes(answer).decode()
