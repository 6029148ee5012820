"""The reader's algorithm, sans I/O: live frames are wake-ups that carry data, the log is the truth.

A live frame is delivered only if it is the very next one. Everything else (a subscription, made or
made again; a jump; another attempt; silence) asks for a look into the log. A look whose first
entry is not the next one is a gap, and no gap is ever delivered.
"""

import zlib

from .cursor import EARLIEST, Cursor
from .events import End, Event, Part, Restarted, TextOf, text_of
from .exceptions import (
    ChannelError,
    ProducerLost,
    StreamCancelled,
    StreamFailed,
    StreamGap,
    StreamNotFound,
)
from .options import ChannelOptions
from .wire import TERMINAL, TEXT, Frame, Kind, Look, Meta

#: Where every stream begins.
FIRST = Cursor(1, 0)


class Reader:
    """One reader of one stream. Times are the caller's monotonic seconds.

    Args:
        cursor: where to go on; `EARLIEST` for everything.
        options: how long to wait for what.
        now: the time.
        to_text: makes a part's text.

    Attributes:
        cursor: the last position that was delivered.
        wants_look: whether the log has to be looked at before anything else.
        failure: why the stream ended, once all before it is delivered.
        done: whether nothing more comes.
        blind_looks: looks after silence that found something, since the last live frame: the
            live channel is broken.
    """

    def __init__(
        self, cursor: Cursor, options: ChannelOptions, now: float, to_text: TextOf = text_of
    ) -> None:
        self.cursor = cursor
        self.wants_look = True
        self.failure: ChannelError | None = None
        self.done = False
        self.blind_looks = 0
        self._options = options
        self._to_text = to_text
        self._framing: str | None = None
        self._feed = False
        self._seen = False
        self._silent = False
        self._began = self._heard = now
        self._lost_since: float | None = None
        # Of the attempt that is being read; None if its beginning was not.
        self._crc32: int | None = None

    def timeout(self, now: float) -> float:
        """Return the seconds to wait for a live frame before `idle` is called."""
        wait = self._heard + self._options.idle - now
        if not self._seen:
            wait = min(wait, self._began + self._options.wait - now)
        if self._lost_since is not None:
            wait = min(wait, self._lost_since + self._options.grace - now)
        return max(wait, 0.0)

    def idle(self, now: float) -> None:
        """Nothing was heard for the time given by `timeout`."""
        self._heard, self._silent, self.wants_look = now, True, True

    def hear(self, message: bytes | None, now: float) -> list[Event]:
        """Take a live message; None: the channel was subscribed, or messages were dropped."""
        self._heard = now
        if message is None:
            self.wants_look = True
            return []
        frame = Frame.parse(message)
        self.blind_looks, self._lost_since = 0, None
        if frame.cursor <= self.cursor or self.done:
            return []
        known = self._framing or frame.kind == Kind.OPEN
        if not known or self.wants_look or frame.kind == Kind.HEARTBEAT or not self._next(frame):
            self.wants_look = True
            return []
        return self._take(frame)

    def look(self, found: Look, now: float) -> list[Event]:
        """Take what a look from `cursor` on has found."""
        self.wants_look = found.more
        before, events = self.cursor, list[Event]()
        self._framing = found.meta.framing or self._framing
        self._feed = found.meta.feed
        for frame in found.frames:
            if not self._follows(frame):
                self._fail(StreamGap(f"{frame.cursor} comes after {self.cursor}", self.cursor))
                break
            events += self._take(frame)
        self.blind_looks += self._silent and self.cursor > before
        self._silent = False
        # What was read before the entries may be older than they are.
        if not self.done and not found.frames:
            self._judge(found, now)
        return events

    def _next(self, frame: Frame) -> bool:
        """Whether a live frame can be taken without a look: another attempt cannot."""
        same = frame.cursor.attempt == self.cursor.attempt
        first = self.cursor == EARLIEST and frame.cursor == FIRST
        return (same or first) and self._follows(frame)

    def _follows(self, frame: Frame) -> bool:
        """Whether nothing is missing between the cursor and a frame of the log."""
        at, seq = frame.cursor, frame.cursor.seq
        if self._feed and self.cursor == EARLIEST:
            # What was trimmed is no loss to who has never been there.
            return True
        if at.attempt > self.cursor.attempt:
            return frame.kind == Kind.OPEN and seq == 0
        first = seq - len(frame.records()) + 1 if frame.kind == Kind.BATCH else seq
        return at.attempt == self.cursor.attempt and first <= self.cursor.seq + 1

    def _take(self, frame: Frame) -> list[Event]:
        """Move on to a frame that follows."""
        before, self.cursor = self.cursor, frame.cursor
        self._seen = True
        if frame.kind == Kind.OPEN:
            return self._open(frame, before)
        if frame.kind in TERMINAL:
            return self._end(frame)
        records = frame.records()
        first = frame.cursor.seq - len(records) + 1
        new = range(max(first, before.seq + 1), frame.cursor.seq + 1)
        return [self._part(frame.cursor.at(seq), records[seq - first]) for seq in new]

    def _open(self, frame: Frame, before: Cursor) -> list[Event]:
        # A later attempt's may be another; without one, a look tells.
        self._framing = frame.data().get("framing", self._framing if not before.attempt else None)
        self._crc32 = 0
        # Whoever was given nothing has nothing to forget.
        return [Restarted(frame.cursor)] if before.seq else []

    def _part(self, cursor: Cursor, data: bytes) -> Part:
        if self._crc32 is not None:
            self._crc32 = zlib.crc32(data, self._crc32)
        return Part(cursor, data, self._to_text(self._framing or TEXT, data))

    def _end(self, frame: Frame) -> list[Event]:
        self.done, self.wants_look = True, False
        data = frame.data()
        if frame.kind == Kind.CANCELLED:
            self._fail(StreamCancelled("the stream was cancelled", frame.cursor))
        elif frame.kind == Kind.ERROR:
            code, message = data.get("code", "error"), data.get("message", "")
            retryable = bool(data.get("retryable"))
            self._fail(StreamFailed(code, message, frame.cursor, retryable=retryable))
        elif self._crc32 is not None and data.get("crc32") not in (None, f"{self._crc32:08x}"):
            self._fail(StreamGap("the records are not those that were sent", frame.cursor))
        else:
            parts, size = data.get("parts", 0), data.get("bytes", 0)
            finish, result = data.get("finish", "unknown"), data.get("result")
            return [End(frame.cursor, parts, size, finish, result, data)]
        return []

    def _judge(self, found: Look, now: float) -> None:
        """Decide whether something can still come, with everything in the log delivered."""
        meta = found.meta
        if not meta.state:
            self._judge_absent(now)
        elif meta.ended and self.cursor == meta.end > EARLIEST:
            self.done = True
        elif meta.ended or self.cursor.attempt > meta.attempt:
            self._fail(StreamGap(f"what came after {self.cursor} is gone", self.cursor))
        elif meta.feed:
            self._judge_feed(meta)
        else:
            self._seen = True
            self._judge_lease(now, alive=found.alive)

    def _judge_absent(self, now: float) -> None:
        if self._seen:
            self._fail(StreamGap("the stream has disappeared from Redis", self.cursor))
        elif self.cursor > EARLIEST or now >= self._began + self._options.wait:
            self._fail(StreamNotFound("no such stream", self.cursor))

    def _judge_feed(self, meta: Meta) -> None:
        """A feed has no producer that could be lost, but a Redis that may have lost its end."""
        self._seen = True
        if self.cursor > meta.end:
            self._fail(StreamGap(f"what came before {self.cursor} is gone", self.cursor))

    def _judge_lease(self, now: float, *, alive: bool) -> None:
        if alive:
            self._lost_since = None
        elif self._lost_since is None:
            self._lost_since = now
        elif now >= self._lost_since + self._options.grace:
            self._fail(ProducerLost("the producer is gone", self.cursor))

    def _fail(self, error: ChannelError) -> None:
        self.failure, self.done, self.wants_look = error, True, False
