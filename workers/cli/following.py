"""Follow a stream on the command line, to its end or for a time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from redis.exceptions import RedisError

from ...channels import (
    ChannelError,
    Cursor,
    Event,
    StreamCancelled,
    StreamFailed,
    StreamGap,
    StreamNotFound,
    asubscribe,
)
from ...tasks import streams
from ...tasks.deployment import Deployment
from . import console
from .exits import Exit, fail
from .transcript import Transcript

#: Seconds between two chances of the progress line, while nothing has come.
LOOK_SECONDS = 0.5


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
        asyncio.run(_read(parts, reading, transcript))
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


async def _read(parts: Deployment, reading: Reading, transcript: Transcript) -> None:
    source = asubscribe(
        reading.id,
        parts.settings.state_url,
        cursor=reading.cursor,
        options=replace(parts.channels, wait=reading.wait),
        to_text=streams.text_of,
    )
    async with asyncio.timeout(reading.timeout), aclosing(source) as events:
        event = await _first(events, f"waiting for {reading.id}")
        while event is not None:
            transcript.show(event)
            event = await anext(events, None)


async def _first(events: AsyncGenerator[Event, None], text: str) -> Event | None:
    with console.busy(text) as tick:
        ticking = asyncio.create_task(_every(LOOK_SECONDS, tick))
        try:
            return await anext(events, None)
        finally:
            ticking.cancel()


async def _every(seconds: float, action: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        action()
