"""How one attempt's frames get to Redis, whatever happens to Redis meanwhile."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .exceptions import StaleProducer
from .options import ChannelOptions
from .outbox import Numbered, Outbox
from .scripts import TROUBLE
from .server import Server
from .wire import Keys, Kind, to_json

logger = logging.getLogger(__name__)

#: Seconds between two tries while Redis is gone.
RETRY = 0.25

#: Seconds the clock waits for its turn to send.
TURN = 0.05

#: The states in meta by terminal frame.
STATES = {Kind.END: "complete", Kind.ERROR: "error", Kind.CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True)
class Terminal:
    """How the stream ends, once everything before is sent."""

    kind: Kind
    payload: bytes


def milliseconds(seconds: float) -> int:
    """Return what PEXPIRE takes."""
    return max(1, round(seconds * 1000))


class Relay:
    """Sends what is put into it, in order and once; thread-safe.

    Args:
        server: where to.
        keys: of the stream.
        attempt: whose frames they are.
        options: times and limits.

    Attributes:
        outbox: what waits, and what was counted.
        terminal: how the stream ends, if that is decided.
        refused: the error of an attempt that is not the newest any more.
        finished: set when nothing is sent any more.
        away: whether Redis did not answer the last call.
    """

    def __init__(self, server: Server, keys: Keys, attempt: int, options: ChannelOptions) -> None:
        self.outbox = Outbox(attempt, options.buffer_bytes)
        self.terminal: Terminal | None = None
        self.refused: StaleProducer | None = None
        self.finished = threading.Event()
        self.away = False
        self.next_try = 0.0
        self._server = server
        self._keys = keys
        self._attempt = attempt
        self._options = options
        self._times = (milliseconds(options.ttl), milliseconds(options.meta_ttl))
        # Content type and framing that readers are not told yet.
        self._form = ("", "")
        # Guards outbox and terminal; never held during a call.
        self._state = threading.Lock()
        # Whoever holds it talks to Redis.
        self._sending = threading.Lock()

    def describe(self, content_type: str, framing: str) -> None:
        """Let readers know with the next frame how records are cut."""
        self._form = (content_type, framing)

    def put(self, records: Sequence[bytes]) -> None:
        """Take records to be sent as one frame."""
        with self._state:
            self.outbox.put(records)
            if self.outbox.overflowed and self.terminal is None:
                self._give_up("relay_overflow", "Redis was gone for too long")

    def end(self, kind: Kind, data: dict[str, Any]) -> None:
        """Take the end, unless there is one already."""
        with self._state:
            if self.terminal is None:
                self.terminal = Terminal(kind, to_json(data))

    def send(self) -> bool:
        """Send what waits, unless Redis is away; return whether all of it went.

        Waits for another thread that is at it: a producer is not faster than Redis.
        """
        if not self.away:
            with self._sending:
                self._try()
        return not self.away

    def send_again(self) -> None:
        """Send what waits, even if Redis was away."""
        # No longer: a busy producer may leave no gap, and a sign of life must not wait for one.
        if self._sending.acquire(timeout=TURN):
            try:
                self._try()
            finally:
                self._sending.release()

    def beat(self, lease: float | None = None) -> bool:
        """Give a sign of life; return whether somebody wants to cancel.

        Args:
            lease: seconds for which it is one; by default as the options say.
        """
        if self.finished.is_set():
            return False
        try:
            kept = milliseconds(lease or self._options.lease)
            verdict, wish = self._call("beat", self._attempt, *self._times, kept)
        except TROUBLE as error:
            self._lost(error)
            return False
        self._heed(verdict)
        return bool(wish)

    def _try(self) -> None:
        try:
            self._drain()
        except TROUBLE as error:
            self._lost(error)

    def _drain(self) -> None:
        while not self.finished.is_set():
            with self._state:
                frames, terminal = self.outbox.head(), self.terminal
            if frames:
                self._append(frames)
            elif terminal:
                self._finish(terminal)
            else:
                return

    def _append(self, frames: Sequence[Numbered]) -> None:
        flat = [
            value
            for numbered in frames
            for value in (
                numbered.first,
                numbered.frame.cursor.seq,
                numbered.frame.kind,
                numbered.frame.payload,
            )
        ]
        head = (self._attempt, *self._times, self._options.max_entries, *self._form)
        verdict = self._call("append", *head, *flat)
        if self._heed(verdict):
            self._form = ("", "")
            with self._state:
                self.outbox.confirm(len(frames))

    def _finish(self, terminal: Terminal) -> None:
        kept = milliseconds(self._options.ttl_after_end)
        state, payload = STATES[terminal.kind], terminal.payload
        end = (terminal.kind, state, payload, kept, self._times[1])
        if self._call("finish", self._attempt, *end) == b"STALE":
            self._refuse()
        self.finished.set()

    def _call(self, name: str, *args: str | bytes | float) -> Any:
        keys = self._keys
        names = (keys.log, keys.meta, keys.lease, keys.ctl, keys.live)
        answer = self._server.call(name, names, *args)
        if self.away:
            logger.warning("relay_resumed", extra={"stream": self._keys.stream})
        self.away = False
        return answer

    def _heed(self, verdict: bytes) -> bool:
        """Act on a script's verdict; return whether it did what it should."""
        if verdict == b"STALE":
            self._refuse()
        elif verdict == b"GONE":
            with self._state:
                self._give_up("relay_lost", "Redis has lost the stream")
        return verdict == b"OK"

    def _refuse(self) -> None:
        self.refused = StaleProducer("a later attempt has taken over the stream")
        self.finished.set()

    def _give_up(self, code: str, message: str) -> None:
        """End the stream for its readers; whoever calls has `_state`."""
        logger.error("relay_ended", extra={"stream": self._keys.stream, "code": code})
        self.outbox.give_up()
        payload = to_json({"code": code, "message": message, "retryable": False})
        self.terminal = Terminal(Kind.ERROR, payload)

    def _lost(self, error: Exception) -> None:
        if not self.away:
            extra = {"stream": self._keys.stream, "error": str(error)}
            logger.warning("relay_waits", extra=extra)
        self.away, self.next_try = True, time.monotonic() + RETRY
