"""A stream without an end of its own, to which any number of processes write.

A `Publisher` is one attempt of one producer, and its records are numbered where it is. Here the
records are events of something that outlives every process: Redis numbers them, there is no lease
whose end would tell readers that anybody is lost, and only the newest records are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import server
from .options import ChannelOptions
from .relay import milliseconds
from .wire import TEXT, Keys, to_json

#: Records that are kept.
KEEP = 1_000

#: By this many times more keys than records are kept: a repetition may come late.
KEYS_PER_RECORD = 2

#: Seconds a feed is kept after its last sign of life: longer than a year, since what happens once
#: a year is to find its readers. A feed that is ended goes long before.
TTL = 400 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """What is kept of a feed."""

    keep: int = KEEP
    """Records; the oldest ones are trimmed."""
    ttl: float = TTL
    """Seconds after the last record, or the last `open`."""


class Feed:
    """An endless stream, as its producers see it.

    A reader is given what is kept, from the oldest record on, and everything after. One that
    resumes where the next record has been trimmed is told so: `StreamGap`.

    Args:
        stream: the stream's id.
        redis: a client without `decode_responses`, or a URL.
        options: the deployment's.
        feed: what is kept.

    Raises:
        ValueError: the stream's id is malformed.
        TypeError: the client decodes responses.
    """

    def __init__(
        self,
        stream: str,
        redis: server.Redis,
        *,
        options: ChannelOptions | None = None,
        feed: FeedOptions | None = None,
    ) -> None:
        self.stream = stream
        self._options = options or ChannelOptions()
        self._feed = feed or FeedOptions()
        self._keys = Keys(self._options.prefix, stream)
        self._server = server.of(redis)

    def open(
        self,
        *,
        content_type: str = "application/json",
        framing: str = TEXT,
        **more: Any,
    ) -> int:
        """Let readers find the feed, from now on and for another `ttl`.

        One that has ended begins anew, as another attempt: what was kept of it goes.

        Args:
            content_type: of the records.
            framing: by which readers make text of them.
            **more: JSON values for the open frame.

        Returns:
            The attempt.

        Raises:
            redis.RedisError: Redis is gone.
        """
        payload = to_json({"content_type": content_type, "framing": framing, **more})
        kept = milliseconds(self._feed.ttl)
        return int(self._call("feed_open", payload, content_type, framing, kept))

    def append(self, key: str, record: bytes) -> bool:
        """Write a record, unless one with its key has been written. Opens the feed if need be.

        Args:
            key: names the record: a repetition of the call is not a second record.
            record: its bytes.

        Returns:
            Whether it is new. False as well for a feed that has ended, which takes nothing.

        Raises:
            redis.RedisError: Redis is gone. The call can be repeated.
        """
        kept = (self._feed.keep, self._feed.keep * KEYS_PER_RECORD, milliseconds(self._feed.ttl))
        verdict = self._call("feed_append", key, record, *kept)
        if verdict == b"ABSENT":
            self.open()
            verdict = self._call("feed_append", key, record, *kept)
        return bool(verdict == b"OK")

    def end(self, **more: Any) -> bool:
        """End the feed, for all its readers.

        Args:
            **more: JSON values for the terminal frame.

        Returns:
            Whether there was one to end.

        Raises:
            redis.RedisError: Redis is gone. The call can be repeated.
        """
        data: Mapping[str, Any] = {"finish": "complete", **more}
        kept = (milliseconds(self._options.ttl_after_end), milliseconds(self._options.meta_ttl))
        return bool(self._call("feed_end", to_json(data), *kept) == b"OK")

    def _call(self, script: str, *args: str | bytes | float) -> Any:
        keys = self._keys
        return self._server.call(script, (keys.log, keys.meta, keys.seen, keys.live), *args)
