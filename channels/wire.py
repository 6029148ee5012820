"""The wire format, version 1: key names, frames, and several records in one entry.

A log entry has the id `<attempt>-<seq>` and one field: its name is the frame's kind, its value the
payload. A live message is `1 <id> <kind>`, a line feed, and the payload.
docs/reference/channels.md has both.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from .cursor import EARLIEST, Cursor
from .exceptions import UnknownVersion

#: Stream ids: no braces, since they are hash tags, and nothing a glob or a URL would read.
STREAM = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

#: The first word of a live message.
VERSION: Final = b"1"

#: What a framing is called by default: records are text.
TEXT: Final = "text"


class Kind(StrEnum):
    """Kinds of frames; readers skip those they do not know."""

    OPEN = "o"
    PART = "p"
    """One record, as it is."""
    BATCH = "b"
    """Several records, as netstrings; the entry's id is that of the last one."""
    END = "e"
    ERROR = "x"
    CANCELLED = "c"
    HEARTBEAT = "h"
    """Live only; its id is that of the newest entry."""


TERMINAL: Final = frozenset({Kind.END, Kind.ERROR, Kind.CANCELLED})


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one stream's keys and channels; the hash tag keeps them in one slot.

    Raises:
        ValueError: the stream's id has characters that keys must not have.
    """

    prefix: str
    stream: str
    log: str = field(init=False)
    """Redis Stream: what was published."""
    meta: str = field(init=False)
    """Hash: attempt, state, content type, framing, and how it ended."""
    lease: str = field(init=False)
    """String: the attempt that is alive."""
    ctl: str = field(init=False)
    """String and channel: a wish to cancel."""
    live: str = field(init=False)
    """Channel: what is being published."""
    seen: str = field(init=False)
    """Sorted set, of a feed: the keys of its newest records."""

    def __post_init__(self) -> None:
        if not STREAM.fullmatch(self.stream):
            raise ValueError(f"stream id {self.stream[:140]!r} is not {STREAM.pattern}")
        for name in ("log", "meta", "lease", "ctl", "live", "seen"):
            object.__setattr__(self, name, f"{self.prefix}:{{{self.stream}}}:{name}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One entry of a log, or one live message."""

    cursor: Cursor
    kind: str
    payload: bytes = b""

    def live(self) -> bytes:
        """Return the frame as a live message."""
        head = f"{VERSION.decode()} {self.cursor} {self.kind}\n"
        return head.encode("ascii") + self.payload

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """Read a live message.

        Raises:
            UnknownVersion: it is of another version.
            ValueError: it is no frame.
        """
        head, newline, payload = message.partition(b"\n")
        version, _, rest = head.partition(b" ")
        if version != VERSION:
            raise UnknownVersion(f"a frame of version {version[:16]!r}; 1 is known")
        id_, _, kind = rest.partition(b" ")
        if not newline or not kind:
            raise ValueError(f"no frame: {message[:64]!r}")
        return cls(Cursor.parse(id_), kind.decode("ascii"), payload)

    @classmethod
    def entry(cls, id_: bytes, fields: Mapping[bytes, bytes]) -> Self:
        """Read an entry as redis-py gives it."""
        ((kind, payload),) = fields.items()
        return cls(Cursor.parse(id_), kind.decode("ascii"), payload)

    def records(self) -> list[bytes]:
        """Return the records of a part or a batch, oldest first; the last one has the frame's id.

        Raises:
            ValueError: a batch is malformed.
        """
        if self.kind == Kind.PART:
            return [self.payload]
        return split(self.payload) if self.kind == Kind.BATCH else []

    def data(self) -> dict[str, Any]:
        """Return the JSON object of an open or terminal frame."""
        return dict(json.loads(self.payload or b"{}"))


def pack(attempt: int, last: int, records: Sequence[bytes]) -> Frame:
    """Make the frame of the records that end at sequence `last`: a single one stays as it is."""
    if len(records) == 1:
        return Frame(Cursor(attempt, last), Kind.PART, records[0])
    return Frame(Cursor(attempt, last), Kind.BATCH, join(records))


def join(records: Iterable[bytes]) -> bytes:
    """Write records as netstrings: `5:hello,6:world!,`."""
    return b"".join(b"%d:%b," % (len(record), record) for record in records)


def split(payload: bytes) -> list[bytes]:
    """Read netstrings.

    Raises:
        ValueError: the payload is malformed.
    """
    records, at = [], 0
    while at < len(payload):
        colon = payload.index(b":", at)
        if not payload[at:colon].isdigit():
            raise ValueError("a batch with a malformed length")
        end = colon + 1 + int(payload[at:colon])
        if payload[end : end + 1] != b",":
            raise ValueError("a batch with a cut record")
        records.append(payload[colon + 1 : end])
        at = end + 1
    return records


def to_json(data: Mapping[str, Any]) -> bytes:
    """Write the payload of an open or terminal frame; absent members are left out."""
    given = {name: value for name, value in data.items() if value is not None}
    return json.dumps(given, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Meta:
    """What Redis knows of a stream besides its log."""

    state: str = ""
    """`open`, `complete`, `error`, `cancelled`; empty: there is no such stream."""
    attempt: int = 0
    framing: str | None = None
    """None: the producer does not know yet."""
    end: Cursor = EARLIEST
    """The terminal frame's id; of a feed, the newest entry's."""
    feed: bool = False
    """Whether it is a feed: without a lease, and trimmed."""

    #: In the order of the constructor.
    FIELDS: ClassVar = ("state", "attempt", "framing", "end", "feed")

    @classmethod
    def read(cls, values: Sequence[bytes | None]) -> Self:
        """Read the hash's `FIELDS`, as HMGET gives them."""
        state, attempt, framing, end, feed = ((value or b"").decode() for value in values)
        where = Cursor.parse(end) if end else EARLIEST
        return cls(state, int(attempt or 0), framing or None, where, bool(feed))

    @property
    def ended(self) -> bool:
        """Whether the stream has its terminal frame."""
        return self.state not in ("", "open")


@dataclass(frozen=True, slots=True)
class Look:
    """One look into Redis, in this order: lease, meta, entries after the cursor."""

    alive: bool
    """Whether a producer holds the lease."""
    meta: Meta
    frames: Sequence[Frame] = ()
    more: bool = False
    """Whether the page was full."""
