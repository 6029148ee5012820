"""What a reader is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .cursor import Cursor

#: Turns a record into text, given the stream's framing; None: it is not text.
TextOf = Callable[[str, bytes], str | None]

#: Framings whose records are not text.
BINARY: Final = frozenset({"bytes", "binary"})


def text_of(framing: str, data: bytes) -> str | None:
    """Decode a record as UTF-8; what is not UTF-8 is replaced."""
    return None if framing in BINARY else data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Part:
    """One record, as the producer cut it."""

    cursor: Cursor
    """Resuming here gives the next one."""
    data: bytes
    text: str | None = None
    """The record's text in the stream's framing."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """Another attempt begins from the start: forget the parts before."""

    cursor: Cursor

    @property
    def attempt(self) -> int:
        """The attempt's number."""
        return self.cursor.attempt


@dataclass(frozen=True, slots=True)
class End:
    """The stream is complete; nothing comes after."""

    cursor: Cursor
    parts: int
    """Records of the last attempt."""
    bytes: int
    """Their bytes."""
    finish: str
    """`complete`, or `unknown` when the model's output does not tell."""
    result: Any = None
    """Whatever the producer adds: where the result is kept."""
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The whole terminal frame."""


Event = Part | Restarted | End
