"""Follow a stream on the command line, to its end or for a time."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from queue import Empty, Queue
from time import monotonic

from redis.exceptions import RedisError

from ...channels import (
    ChannelError,
    Cursor,
    Event,
    StreamCancelled,
    StreamFailed,
    StreamGap,
    StreamNotFound,
    subscribe,
)
from ...tasks import streams
from ...tasks.deployment import Deployment
from . import console
from .exits import Exit, fail
from .transcript import Transcript

#: Seconds between two chances of the progress line, while nothing has come.
LOOK_SECONDS = 0.5

#: Events that are read ahead of what is printed.
AHEAD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What to read, and for how long."""

    id: str
    cursor: Cursor
    """Where to begin."""
    wait: float
    """Seconds for somebody to open the stream."""
    timeout: float | None = None
    """Seconds for its end; None: any time."""

    def resume(self, at: Cursor) -> str:
        """Return the command that goes on at a position."""
        where = f" --from {at}" if at > Cursor(0, 0) else ""
        return f"go on with: celery-sagemaker subscribe {self.id}{where}"


def follow(parts: Deployment, reading: Reading, transcript: Transcript) -> None:
    """Show a stream to its end; anything but its end is one line on stderr and an exit code.

    Raises:
        KeyboardInterrupt: Ctrl-C; what that means is the command's.
        ValueError: the stream's id is malformed.
    """
    try:
        _read(parts, reading, transcript)
    except StreamNotFound:
        fail(Exit.UNKNOWN_ID, f"no stream with id {reading.id} is known")
    except (StreamFailed, StreamCancelled) as error:
        transcript.failed(error)
        fail(Exit.FAILED, f"{error} (id {reading.id})")
    except ChannelError as error:
        # What a gap has swallowed can only be read from the beginning.
        at = Cursor(0, 0) if isinstance(error, StreamGap) else transcript.cursor
        transcript.failed(error)
        fail(Exit.FAILED, f"{error.code}: {error}; {reading.resume(at)}")
    except TimeoutError:
        transcript.close()
        why = f"no end in {reading.timeout:g} s, and the stream goes on"
        fail(Exit.TIMED_OUT, f"{why}; {reading.resume(transcript.cursor)}")
    except RedisError as error:
        transcript.close()
        fail(Exit.UNREACHABLE, f"Redis: {error}; {reading.resume(transcript.cursor)}")


def _read(parts: Deployment, reading: Reading, transcript: Transcript) -> None:
    source = subscribe(
        reading.id,
        parts.settings.state_url,
        cursor=reading.cursor,
        options=replace(parts.channels, wait=reading.wait),
        to_text=streams.text_of,
    )
    arrivals = Arrivals(source, reading.timeout)
    with console.busy(f"waiting for {reading.id}") as tick:
        event = arrivals.take(tick)
    while event is not None:
        transcript.show(event)
        event = arrivals.take()


class Arrivals:
    """Events from a thread, so that waiting for them ends at Ctrl-C and when the time is up.

    Args:
        source: the events.
        timeout: seconds for the last of them; None: any time.
    """

    def __init__(self, source: Iterable[Event], timeout: float | None = None) -> None:
        self._end = float("inf") if timeout is None else monotonic() + timeout
        self._queue = Queue[Event | Exception | None](AHEAD)
        threading.Thread(target=self._pump, args=(source,), daemon=True).start()

    def take(self, idle: Callable[[], None] = lambda: None) -> Event | None:
        """Wait for the next event; None: there is none any more.

        Args:
            idle: called now and then while nothing comes.

        Raises:
            TimeoutError: the time is up.
            Exception: what the source has raised.
        """
        while (left := self._end - monotonic()) > 0:
            try:
                found = self._queue.get(timeout=min(left, LOOK_SECONDS))
            except Empty:
                idle()
                continue
            if isinstance(found, Exception):
                raise found
            return found
        raise TimeoutError

    def _pump(self, source: Iterable[Event]) -> None:
        try:
            for event in source:
                self._queue.put(event)
        except Exception as error:  # noqa: BLE001 - raised by `take`
            self._queue.put(error)
        else:
            self._queue.put(None)
