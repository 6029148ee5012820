"""The producer's end of a channel."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from . import server
from .clock import CLOCK
from .coalescer import Coalescer
from .cursor import Cursor
from .exceptions import Cancelled, StreamFinished
from .options import ChannelOptions
from .relay import Relay, milliseconds
from .wire import TEXT, Keys, Kind, to_json

logger = logging.getLogger(__name__)


class Publisher:
    """One attempt at producing a stream; made by `Publisher.open`.

    The loop that reads the model calls `append` for each record. It is not disturbed by Redis: what
    cannot be sent waits in memory, and what is too much to wait ends the stream for its readers,
    not for the loop. Leaving the `with` block ends the stream: complete, cancelled after
    `Cancelled`, nothing after `StaleProducer`, with an error after any other.

    Attributes:
        stream: the stream's id.
        attempt: this attempt's number.
    """

    def __init__(
        self,
        source: server.Server,
        keys: Keys,
        attempt: int,
        options: ChannelOptions,
        on_cancel: Callable[[], None] | None,
    ) -> None:
        self.stream = keys.stream
        self.attempt = attempt
        self._options = options
        self._on_cancel = on_cancel
        self._coalescer = Coalescer.of(options)
        self._relay = Relay(source, keys, attempt, options)
        # The clock's thread flushes what the producer's thread collects.
        self._collecting = threading.Lock()
        self._cancelled = threading.Event()
        self._next_beat = time.monotonic() + options.heartbeat
        self._give_up_at: float | None = None
        self._line = source.listen(keys.ctl, self._hear)

    @classmethod
    def open(
        cls,
        stream: str,
        redis: server.Redis,
        *,
        content_type: str | None = "text/plain",
        framing: str | None = TEXT,
        on_cancel: Callable[[], None] | None = None,
        options: ChannelOptions | None = None,
        **more: Any,
    ) -> Self:
        """Begin an attempt. Readers of an earlier one are told to start again.

        Args:
            stream: the stream's id.
            redis: a client without `decode_responses`, or a URL.
            content_type: of the model's response; None if it is not known yet.
            framing: how records are cut; readers make text from them by it. None: `describe`
                tells before the first record.
            on_cancel: called once, from another thread, when somebody cancels; must not block.
                The next `append` raises `Cancelled`.
            options: the deployment's.
            **more: JSON values for the open frame, such as the task's id.

        Raises:
            StreamFinished: the stream has ended; tells how.
            ValueError: the stream's id is malformed.
            TypeError: the client decodes responses.
            redis.RedisError: Redis is gone; nothing has been paid for yet.
        """
        chosen = options or ChannelOptions()
        keys, source = Keys(chosen.prefix, stream), server.of(redis)
        data = {"content_type": content_type, "framing": framing, **more}
        answer = source.call(
            "open",
            (keys.log, keys.meta, keys.lease, keys.ctl, keys.live),
            to_json(data),
            content_type or "",
            framing or "",
            milliseconds(chosen.ttl),
            milliseconds(chosen.meta_ttl),
            milliseconds(chosen.lease),
        )
        if answer[0] == b"FINISHED":
            raise StreamFinished.read(answer[1], answer[2])
        publisher = cls(source, keys, int(answer[1]), chosen, on_cancel)
        CLOCK.add(publisher)
        if answer[2]:
            publisher._cancel()
        return publisher

    @property
    def cursor(self) -> Cursor:
        """The id of the last record that was numbered."""
        return Cursor(self.attempt, self._relay.outbox.parts)

    @property
    def relayed(self) -> bool:
        """Whether readers get everything; not after `relay_overflow` or `relay_lost`."""
        return not self._relay.outbox.overflowed

    def describe(self, content_type: str, framing: str) -> None:
        """Tell readers how records are cut, now that the model's response has begun."""
        self._relay.describe(content_type, framing)

    def append(self, record: bytes) -> None:
        """Publish one record.

        Raises:
            StaleProducer: a later attempt has taken over.
            Cancelled: somebody asked to cancel.
            ValueError: the stream was ended.
        """
        self._check()
        with self._collecting:
            records = self._coalescer.add(record, time.monotonic())
            self._relay.put(records)
        # What cannot go now is the clock's.
        if not records or not self._relay.send():
            CLOCK.wake()
        self._check()

    def end(self, *, finish: str = "complete", result: Any = None) -> bool:
        """End the stream: nothing comes after.

        Args:
            finish: `complete`, or `unknown` when the model's output does not tell.
            result: a JSON value for the readers, such as where the result is kept.

        Returns:
            Whether Redis has it. If not, it is tried further in the background.

        Raises:
            StaleProducer: a later attempt has taken over.
        """
        self._flush()
        box = self._relay.outbox
        counted = {"parts": box.parts, "bytes": box.total, "crc32": f"{box.crc32:08x}"}
        return self._close(Kind.END, {**counted, "finish": finish, "result": result})

    def error(self, code: str, message: str = "", *, retryable: bool = False) -> bool:
        """End the stream with an error; returns and raises as `end`."""
        self._flush()
        data = {"code": code, "message": message, "retryable": retryable}
        return self._close(Kind.ERROR, data)

    def cancelled(self) -> bool:
        """End the stream as cancelled; returns and raises as `end`."""
        self._flush()
        return self._close(Kind.CANCELLED, {})

    def suspend(self, seconds: float) -> None:
        """Leave the stream open, without a producer, for another attempt within `seconds`.

        Readers go on waiting; if none comes, they are told that the producer is lost.
        """
        self._flush()
        self._line.close()
        self._relay.beat(seconds + self._options.lease)
        self._give_up_at = time.monotonic()
        self._relay.finished.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()
        if self._give_up_at is not None or self._relay.refused:
            return
        if error is None:
            self.end()
        elif isinstance(error, Cancelled):
            self.cancelled()
        else:
            code = str(getattr(error, "code", None) or type(error).__name__)
            self.error(code, str(error), retryable=bool(getattr(error, "retryable", False)))

    def due(self) -> float | None:
        """Return when `tick` is to be called; the clock asks."""
        relay, held = self._relay, self._coalescer.due
        if relay.finished.is_set() or self._given_up():
            return None
        if relay.away:
            return relay.next_try
        if relay.outbox:
            return 0.0
        return self._next_beat if held is None else min(held, self._next_beat)

    def tick(self) -> None:
        """Flush what was held long enough, try again, give a sign of life; the clock calls."""
        now, held = time.monotonic(), self._coalescer.due
        if held is not None and held <= now:
            self._flush()
        was_away = self._relay.away
        self._relay.send_again()
        still_away = self._relay.away and self._relay.next_try > now
        if not still_away and (was_away or now >= self._next_beat):
            self._next_beat = now + self._options.heartbeat
            if self._relay.beat():
                self._cancel()

    def _flush(self) -> None:
        with self._collecting:
            self._relay.put(self._coalescer.flush(time.monotonic()))

    def _check(self) -> None:
        if self._relay.refused:
            self._line.close()
            raise self._relay.refused
        if self._give_up_at is not None:
            raise ValueError(f"the stream {self.stream} was ended")
        if self._cancelled.is_set():
            raise Cancelled(f"the stream {self.stream} is to be cancelled", self.cursor)

    def _close(self, kind: Kind, data: dict[str, Any]) -> bool:
        """Send the end, or wait a while until the clock could."""
        if self._give_up_at is None:
            wait = self._options.end_wait
            self._give_up_at = time.monotonic() + wait + self._options.grace
            self._line.close()
            self._relay.end(kind, data)
            if not self._relay.send():
                CLOCK.wake()
        self._relay.finished.wait(self._options.end_wait)
        if self._relay.refused:
            raise self._relay.refused
        return self._relay.finished.is_set()

    def _given_up(self) -> bool:
        """Whether readers have been told by now that the producer is lost."""
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _hear(self, message: bytes | None) -> None:
        """Take a message of the control channel, in the hub's thread."""
        if message is None:
            # A wish may have come before the subscription: the next sign of life tells.
            self._next_beat = 0.0
            CLOCK.wake()
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._cancelled.is_set():
            return
        self._cancelled.set()
        if self._on_cancel and self._give_up_at is None:
            try:
                self._on_cancel()
            except Exception:
                # The thread is everybody's.
                logger.exception("on_cancel_failed", extra={"stream": self.stream})
