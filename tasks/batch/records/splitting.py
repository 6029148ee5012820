"""From blocks of bytes to lines, and from lines to what they carry. No I/O."""

import re

from .exceptions import InputRecordTooLarge, InvalidCustomId, InvalidJson
from .jsontext import first_members, is_json, loads, members, parse
from .values import Format

#: White space around a line; a line of nothing else is no record.
BLANK = b" \t\r\n"

#: UTF-8's byte order mark.
BOM = b"\xef\xbb\xbf"

#: Characters that a custom_id may have.
MAX_ID = 512

#: Bytes that a line may have beyond its payload: the longest custom_id, escaped, and the names.
ENVELOPE = 6 * MAX_ID + 1_024

#: The members of an object whose payload is its `body`.
_ENVELOPE = {"custom_id", "body"}

#: How such an object nearly always begins: with an id that has no escapes.
_USUAL = re.compile(rb'{\s*"custom_id"\s*:\s*"([^"\\]*)"\s*,\s*"body"\s*:')


class LineSplitter:
    r"""Cuts blocks at `\n`, wherever the blocks were cut.

    Args:
        limit: bytes; of a longer line the first `limit + 1` come, and the rest is dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._carry = b""
        self._dropping = False

    def feed(self, block: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their newlines."""
        lines = (self._carry + block).split(b"\n")
        self._carry = lines.pop()
        if self._dropping and lines:
            # The rest of a line whose beginning has been returned.
            del lines[0]
            self._dropping = False
        if self._dropping:
            self._carry = b""
        elif len(self._carry) > self._limit:
            lines.append(self._carry[: self._limit + 1])
            self._carry, self._dropping = b"", True
        return lines

    def flush(self) -> list[bytes]:
        """Return the last line, if it ended without a newline."""
        last, self._carry = self._carry, b""
        return [last] if last else []


def strip(line: bytes, format_: Format) -> bytes:
    """Return what of a line is its record: without white space (JSON), or a CR at its end.

    Returns:
        nothing, if the line is blank.
    """
    stripped = line.strip(BLANK)
    if format_ is Format.JSON or not stripped:
        return stripped
    return line.removesuffix(b"\r")


def validate(data: bytes, format_: Format, limit: int) -> str | None:
    """Check a record, and return its custom_id if it has one.

    Args:
        data: the record, stripped.
        format_: what it has to be.
        limit: bytes that its payload may have.

    Raises:
        InputRecordTooLarge, InvalidJson, InvalidCustomId: what is wrong with it.
    """
    if format_ is not Format.JSON:
        _check_size(data, limit)
        return None
    if len(data) > limit + ENVELOPE:
        _check_size(data, limit)
    value = _json(data)
    id_ = _custom_id(value) if type(value) is dict and "custom_id" in value else None
    if len(data) > limit:
        _check_size(payload(data, Format.JSON)[1], limit)
    return id_


def payload(data: bytes, format_: Format) -> tuple[str | None, bytes]:
    """Return the id and the payload of a valid record.

    A JSON object with exactly the members `custom_id` and `body` carries its `body`; whatever
    else is its own payload.
    """
    if format_ is not Format.JSON:
        return None, data
    if usual := _USUAL.match(data):
        body = data[usual.end() : -1].strip(BLANK)
        # With a further member behind it, that is not one JSON text.
        if is_json(body):
            return usual[1].decode(), body
    if not _may_have(data, b"custom_id"):
        return None, data
    text = data.decode()
    if _may_have(data, b"body") and len(few := first_members(text, 3)) == len(_ENVELOPE):
        found = dict(few)
        if found.keys() == _ENVELOPE:
            return loads(found["custom_id"]), found["body"].encode()
    value = loads(text)
    if type(value) is not dict or "custom_id" not in value:
        return None, data
    if value.keys() == _ENVELOPE:
        # Some member is there twice; the last counts.
        data = members(text)["body"].encode()
    return value["custom_id"], data


def _may_have(data: bytes, name: bytes) -> bool:
    """Whether a JSON text can have a member: its name is written as it is, or with escapes."""
    return b'"%b"' % name in data or b"\\" in data


def _json(data: bytes) -> object:
    try:
        return parse(data)
    except ValueError as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise InvalidJson(f"The line is not JSON: {reason}.") from error


def _custom_id(value: dict[str, object]) -> str:
    id_ = value["custom_id"]
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID:
        raise InvalidCustomId
    return id_


def _check_size(data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise InputRecordTooLarge(
            f"The record is larger than the endpoint takes: over {limit:,} bytes."
        )
