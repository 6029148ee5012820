"""What can go wrong on a channel.

ChannelError
├── StreamFinished      open: the stream has ended before
├── StaleProducer       publisher: a later attempt has taken over
├── Cancelled           publisher: somebody asked to cancel
├── StreamNotFound      reader: nobody opened the stream in time, or it has expired
├── StreamFailed        reader: the producer reported an error
├── StreamCancelled     reader: the stream was cancelled
├── StreamGap           reader: what comes next is gone; nothing was skipped
├── ProducerLost        reader: the producer died and no other took over
└── UnknownVersion      reader: a newer version wrote the frame
"""

import json
from collections.abc import Mapping
from typing import Any, Self

from .cursor import EARLIEST, Cursor

__all__ = [
    "Cancelled",
    "ChannelError",
    "ProducerLost",
    "StaleProducer",
    "StreamCancelled",
    "StreamFailed",
    "StreamFinished",
    "StreamGap",
    "StreamNotFound",
    "UnknownVersion",
]


class ChannelError(Exception):
    """An error of a channel.

    Args:
        message: what happened.
        cursor: where the reader stands; reading can be resumed there.
    """

    code = "channel_error"
    retryable = False

    def __init__(self, message: str, cursor: Cursor = EARLIEST) -> None:
        super().__init__(message, cursor)
        self.message = message
        self.cursor = cursor

    def __str__(self) -> str:
        return self.message


class StreamFinished(ChannelError):
    """The stream has ended: a redelivered message must not run the model again.

    Args:
        state: `complete`, `error` or `cancelled`.
        outcome: what the terminal frame says (docs/reference/channels.md).
    """

    code = "stream_finished"

    def __init__(self, state: str, outcome: Mapping[str, Any]) -> None:
        super().__init__(f"the stream has ended: {state}")
        self.args = (state, outcome)
        self.state = state
        self.outcome = outcome

    @classmethod
    def read(cls, state: bytes, outcome: bytes) -> Self:
        """Read what Redis keeps of it."""
        return cls(state.decode(), json.loads(outcome))


class StaleProducer(ChannelError):
    """A later attempt has opened the stream; Redis refuses this one's records."""

    code = "stale_producer"


class Cancelled(ChannelError):
    """Somebody asked to cancel the stream."""

    code = "cancelled"


class StreamNotFound(ChannelError):
    """Nobody opened the stream while the reader waited, or it has expired."""

    code = "not_found"


class StreamFailed(ChannelError):
    """The producer ended the stream with an error.

    Args:
        code: the error's class, or `relay_overflow` (docs/reference/channels.md).
        message: the error's text.
        retryable: whether the same request may succeed when it is sent again.
    """

    def __init__(
        self, code: str, message: str = "", cursor: Cursor = EARLIEST, *, retryable: bool = False
    ) -> None:
        super().__init__(message, cursor)
        self.args = (code, message, cursor)
        self.code = code
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class StreamCancelled(ChannelError):
    """The stream was cancelled."""

    code = "cancelled"


class StreamGap(ChannelError):
    """The records after the cursor are not in Redis any more. Read again from `earliest`."""

    code = "gap"


class ProducerLost(ChannelError):
    """The producer's lease ran out, and no other attempt came within the grace."""

    code = "producer_lost"
    retryable = True


class UnknownVersion(ChannelError):
    """A frame of a version that this reader does not know."""

    code = "unknown_version"
