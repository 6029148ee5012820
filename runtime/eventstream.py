"""Decoding of `application/vnd.amazon.eventstream`, the framing of response streams. No I/O.

A message is a prelude (total length, headers' length, their CRC-32), headers, payload, and the
CRC-32 of all of it; integers are big-endian. The encoding is described in Smithy's "Amazon Event
Stream Specification".
"""

import struct
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from zlib import crc32

from .exceptions import StreamChecksumMismatch, StreamMalformed, StreamTruncated

#: Bytes; the specification's limits. A length above them is damage, and is not waited for.
MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024

#: Bytes of the prelude with its checksum, of a checksum, and so of the smallest message.
PRELUDE = 12
CHECKSUM = 4
SMALLEST = PRELUDE + CHECKSUM

_PRELUDE = struct.Struct(">III")
_UINT32 = struct.Struct(">I")
_UINT16 = struct.Struct(">H")

#: Types of header values.
TRUE, FALSE, BYTE_ARRAY, STRING, UUID = 0, 1, 6, 7, 9
#: Integers by type: byte, short, integer, long, and timestamp (milliseconds since 1970).
_INTEGERS = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}

HeaderValue = bool | int | bytes | str | uuid.UUID


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A timestamp header is an int, in milliseconds since 1970."""

    headers: Mapping[str, HeaderValue]
    payload: bytes


class Decoder:
    """Takes bytes as they come and gives whole messages.

    After an error the decoder is at the message that is wrong and cannot go on.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._total = 0
        # Parts of one stream have the same headers, byte for byte: they are decoded once.
        self._last_headers = b""
        self._last_decoded: Mapping[str, HeaderValue] = MappingProxyType({})

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes; iterate over the messages that are whole now.

        The bytes are taken at once, the messages are decoded one by one: those before a wrong one
        are given before it raises.

        Raises:
            StreamChecksumMismatch: a message was damaged on its way.
            StreamMalformed: a message does not follow the encoding, or is over its limits.
        """
        self._buffer += data
        return self._messages()

    def close(self) -> None:
        """Say that no more bytes will come.

        Raises:
            StreamTruncated: a message was not whole.
        """
        if self._buffer:
            raise StreamTruncated(None, {"left_over": len(self._buffer)})

    def _messages(self) -> Iterator[Message]:
        while self._is_whole():
            # Checked and cut from one copy; only the buffer's rest stays behind.
            with memoryview(self._buffer) as view:
                message = bytes(view[: self._total])
            decoded = self._decode(message)
            del self._buffer[: self._total]
            self._total = 0
            yield decoded

    def _is_whole(self) -> bool:
        if not self._total:
            if len(self._buffer) < PRELUDE:
                return False
            self._total = _total_length(self._buffer)
        return len(self._buffer) >= self._total

    def _decode(self, message: bytes) -> Message:
        with memoryview(message) as view, view[:-CHECKSUM] as summed:
            _check(summed, _UINT32.unpack_from(message, len(message) - CHECKSUM)[0])
        end = PRELUDE + _UINT32.unpack_from(message, CHECKSUM)[0]
        return Message(self._headers(message[PRELUDE:end]), message[end:-CHECKSUM])

    def _headers(self, data: bytes) -> Mapping[str, HeaderValue]:
        if data != self._last_headers:
            self._last_decoded = MappingProxyType(decode_headers(data))
            self._last_headers = data
        return self._last_decoded


def decode_headers(data: bytes) -> dict[str, HeaderValue]:
    """Decode the headers of one message.

    Raises:
        StreamMalformed: they do not follow the encoding; a header that comes twice is an error.
    """
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(data):
            name, at = _name(data, at)
            if name in headers:
                raise StreamMalformed(f"The header {name!r} comes twice.")
            headers[name], at = _value(data, at)
    except (IndexError, struct.error) as error:
        raise StreamMalformed("A header ends outside of the headers.") from error
    except UnicodeDecodeError as error:
        raise StreamMalformed("A header is not UTF-8.") from error
    return headers


def _total_length(buffer: bytearray) -> int:
    total, headers, checksum = _PRELUDE.unpack_from(buffer)
    _check(buffer[: PRELUDE - CHECKSUM], checksum)
    if headers > MAX_HEADERS:
        raise StreamMalformed(f"{headers} bytes of headers are over {MAX_HEADERS}.")
    payload = total - headers - SMALLEST
    if not 0 <= payload <= MAX_PAYLOAD:
        raise StreamMalformed(f"{payload} bytes of payload are not within 0 and {MAX_PAYLOAD}.")
    return int(total)


def _check(data: bytes | bytearray | memoryview, checksum: int) -> None:
    if crc32(data) != checksum:
        raise StreamChecksumMismatch


def _name(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return str(_slice(data, at + 1, end), "utf-8"), end


def _value(data: bytes, at: int) -> tuple[HeaderValue, int]:
    kind, at = data[at], at + 1
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind in _INTEGERS:
        form = _INTEGERS[kind]
        return form.unpack_from(data, at)[0], at + form.size
    if kind in (BYTE_ARRAY, STRING):
        start = at + _UINT16.size
        end = start + _UINT16.unpack_from(data, at)[0]
        value = _slice(data, start, end)
        return value if kind == BYTE_ARRAY else value.decode(), end
    if kind == UUID:
        end = at + 16
        return uuid.UUID(bytes=_slice(data, at, end)), end
    raise StreamMalformed(f"There is no header of type {kind}.")


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise IndexError(end)
    return data[start:end]
