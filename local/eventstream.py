"""Encoding of `application/vnd.amazon.eventstream`, the framing of response streams.

A message is a prelude (total length, headers' length, its CRC-32), headers, payload, and the
CRC-32 of all of it; integers are big-endian.
"""

import json
import struct
import zlib
from collections.abc import Mapping

#: What a response stream's HTTP Content-Type says.
CONTENT_TYPE = "application/vnd.amazon.eventstream"

#: Bytes of the lengths and their checksum, and of the message's checksum.
PRELUDE = 12
CHECKSUM = 4

#: Type of a header's value: a string with a length of 16 bits.
STRING = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Encode one message whose header values are strings."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    total = PRELUDE + len(encoded) + len(payload) + CHECKSUM
    prelude = struct.pack(">II", total, len(encoded))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + encoded + payload
    return body + struct.pack(">I", zlib.crc32(body))


def event(name: str, data: bytes) -> bytes:
    """Encode an event."""
    headers = {
        ":event-type": name,
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    return message(headers, data)


def payload_part(data: bytes) -> bytes:
    """Encode a PayloadPart event."""
    return event("PayloadPart", data)


def exception(name: str, members: Mapping[str, str]) -> bytes:
    """Encode a modelled exception: ModelStreamError or InternalStreamFailure."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps(dict(members)).encode())


def error(code: str, text: str) -> bytes:
    """Encode an error that the service's model does not have."""
    headers = {":message-type": "error", ":error-code": code, ":error-message": text}
    return message(headers, b"")


def wrong_checksum(encoded: bytes) -> bytes:
    """Return a message whose last checksum is another one."""
    found = int.from_bytes(encoded[-CHECKSUM:], "big")
    return encoded[:-CHECKSUM] + struct.pack(">I", found ^ 1)


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", STRING, len(text)) + text
