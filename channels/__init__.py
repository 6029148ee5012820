"""Result channels: a producer's records over Redis, to any number of readers, without a gap.

A Redis Stream is the truth, a pub/sub channel the live tail; one Lua script writes both. Readers
get every record once and in order, whenever they come and however often they lose the connection,
or an error that says why not. docs/reference/channels.md describes the format.
"""

from .async_subscribing import asubscribe
from .cancelling import acancel, cancel
from .cursor import EARLIEST, Cursor
from .defaults import Defaults, Unset, configure
from .events import End, Event, Part, Restarted, TextOf, text_of
from .exceptions import (
    Cancelled,
    ChannelError,
    ProducerLost,
    StaleProducer,
    StreamCancelled,
    StreamFailed,
    StreamFinished,
    StreamGap,
    StreamNotFound,
    UnknownVersion,
)
from .feed import Feed, FeedOptions
from .options import ChannelOptions
from .publisher import Publisher
from .subscribing import subscribe

__all__ = [
    "EARLIEST",
    "Cancelled",
    "ChannelError",
    "ChannelOptions",
    "Cursor",
    "Defaults",
    "End",
    "Event",
    "Feed",
    "FeedOptions",
    "Part",
    "ProducerLost",
    "Publisher",
    "Restarted",
    "StaleProducer",
    "StreamCancelled",
    "StreamFailed",
    "StreamFinished",
    "StreamGap",
    "StreamNotFound",
    "TextOf",
    "UnknownVersion",
    "Unset",
    "acancel",
    "asubscribe",
    "cancel",
    "configure",
    "subscribe",
    "text_of",
]
