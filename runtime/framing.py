"""Framings: how a payload is cut into records, chosen by its content type. No I/O."""

import codecs
import re
from collections.abc import Mapping
from typing import Literal

from . import tokens
from .exceptions import InvalidRequest
from .records import RECORD_LIMIT, Finish, Framer, Record


class RawFramer(Framer):
    """Every piece is a record, however large."""

    name = tokens.RAW

    def _find_end(self) -> int | None:
        return len(self._buffer)

    def _check(self, length: int) -> None:
        """A piece is here already: there is nothing to bound."""


class TextFramer(RawFramer):
    """UTF-8 text: every piece is a record, but for a character that is not whole yet."""

    name = tokens.TEXT

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        super().__init__(limit)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoded = 0

    def _find_end(self) -> int | None:
        self._decoder.decode(bytes(self._buffer[self._decoded :]))
        self._decoded = len(self._buffer)
        begun, _ = self._decoder.getstate()
        return len(self._buffer) - len(begun)

    def _take(self, end: int) -> Record:
        self._decoded -= end
        return super()._take(end)


class LineFramer(Framer):
    r"""A record ends with a line feed, never with another of Unicode's line separators."""

    name = tokens.LINES

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        super().__init__(limit)
        self._seen = 0

    def _find_end(self) -> int | None:
        found = self._buffer.find(b"\n", self._seen)
        self._seen = 0 if found >= 0 else len(self._buffer)
        return found + 1 if found >= 0 else None


class JsonLineFramer(LineFramer):
    """A line is a JSON value."""

    name = tokens.JSON_LINES


class SseFramer(Framer):
    r"""A record is a block of an event stream up to its blank line, comments included.

    Lines end with LF, CR LF or CR. A block that ends with CR alone is given with the next byte,
    because that could be an LF.
    """

    name = tokens.SSE

    _END = re.compile(rb"(?>\r\n|\n|\r(?=[^\n])){2}")
    #: Bytes of an end that may be in the buffer when the rest comes.
    _BEGUN = 3

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        super().__init__(limit)
        self._seen = 0

    def _find_end(self) -> int | None:
        found = self._END.search(self._buffer, self._seen)
        self._seen = 0 if found else max(len(self._buffer) - self._BEGUN, 0)
        return found.end() if found else None


class JsonFramer(Framer):
    """A record is a JSON value with the space before it; between two there need not be any.

    A payload that is one closed value, and of no form that says so itself, is complete.
    """

    name = tokens.JSON

    _BLANK = re.compile(rb"[ \t\r\n]*")
    _BARE_END = re.compile(rb'[ \t\r\n{\["]')
    _INSIDE = re.compile(rb'["\\]')
    _OUTSIDE = re.compile(rb'["{}\[\]]')

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        super().__init__(limit)
        self._values = 0
        self._is_single = False
        self._begin()

    @property
    def finish(self) -> Finish:
        """Whether the payload said so, or is a single value that was closed."""
        return "complete" if self._is_single else super().finish

    def _begin(self) -> None:
        self._seen = 0
        self._kind: Literal["blank", "bare", "closable"] = "blank"
        self._depth = 0
        self._in_string = False

    def _take(self, end: int) -> Record:
        is_closed = self._kind == "closable" and not self._is_open()
        self._values += self._kind != "blank"
        was_single = self._is_single and self._kind == "blank"
        self._begin()
        record = super()._take(end)
        says_nothing = not record.text and record.error is None
        self._is_single = was_single or (self._values == 1 and is_closed and says_nothing)
        return record

    def _find_end(self) -> int | None:
        if self._kind == "blank":
            self._open()
        end = self._bare_end() if self._kind == "bare" else self._closing()
        if end is None:
            self._seen = max(self._seen, len(self._buffer))
        return end

    def _open(self) -> None:
        """Find the next value's first byte; what is no value is bare, and ends before one."""
        found = self._BLANK.match(self._buffer, self._seen)
        self._seen = found.end() if found else self._seen
        if self._seen < len(self._buffer):
            is_closable = self._buffer[self._seen] in b'{["'
            self._kind = "closable" if is_closable else "bare"

    def _bare_end(self) -> int | None:
        found = self._BARE_END.search(self._buffer, self._seen)
        return found.start() if found else None

    def _closing(self) -> int | None:
        """Follow brackets and strings to where the value is closed."""
        while found := self._structure().search(self._buffer, self._seen):
            self._seen = found.end()
            self._follow(found[0])
            if not self._is_open():
                return self._seen
        return None

    def _is_open(self) -> bool:
        return bool(self._depth or self._in_string)

    def _structure(self) -> re.Pattern[bytes]:
        return self._INSIDE if self._in_string else self._OUTSIDE

    def _follow(self, found: bytes) -> None:
        if found == b"\\":
            self._seen += 1
        elif found == b'"':
            self._in_string = not self._in_string
        else:
            self._depth += 1 if found in b"{[" else -1


FRAMERS: Mapping[str, type[Framer]] = {
    framer.name: framer
    for framer in (RawFramer, TextFramer, LineFramer, JsonLineFramer, JsonFramer, SseFramer)
}

_BY_TYPE: Mapping[str, type[Framer]] = {
    "text/event-stream": SseFramer,
    "application/jsonlines": JsonLineFramer,
    "application/jsonl": JsonLineFramer,
    "application/x-jsonlines": JsonLineFramer,
    "application/ndjson": JsonLineFramer,
    "application/x-ndjson": JsonLineFramer,
    "application/json": JsonFramer,
    "text/csv": LineFramer,
}

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}


def framing_for(
    content_type: str | None, explicit: str | None = None, *, limit: int = RECORD_LIMIT
) -> Framer:
    """Return a framer for a payload.

    Args:
        content_type: the response's; without one, and for a type that is not known, pieces stay
            as they are (`raw`), and so does text that is not UTF-8.
        explicit: a framing's name, for a container whose content type says something else.
        limit: bytes; how long a record may become.

    Raises:
        InvalidRequest: there is no such framing.
    """
    if explicit is None:
        return _framer(content_type or "")(limit)
    if explicit not in FRAMERS:
        raise InvalidRequest(f"There is no framing {explicit!r}; there are {', '.join(FRAMERS)}.")
    return FRAMERS[explicit](limit)


def _framer(content_type: str) -> type[Framer]:
    plain = content_type.partition(";")[0].strip().lower()
    if plain in _BY_TYPE:
        return _BY_TYPE[plain]
    if plain.endswith("+json"):
        return JsonFramer
    charset = _CHARSET.search(content_type)
    is_utf8 = charset is None or charset[1].lower() in _UTF8
    return TextFramer if plain.startswith("text/") and is_utf8 else RawFramer
