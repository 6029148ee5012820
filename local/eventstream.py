"""Encoding of `application/vnd.amazon.eventstream`, the framing of response streams.

A message is a prelude (total length, headers' length, its CRC-32), headers, payload, and the
CRC-32 of all of it; integers are big-endian.
"""

import json
import struct
import zlib

#: Type of a header's value: a string with a length of 16 bits.
STRING = 7


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """Encode one message whose header values are strings."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    total = 12 + len(encoded) + len(payload) + 4
    prelude = struct.pack(">II", total, len(encoded))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + encoded + payload
    return body + struct.pack(">I", zlib.crc32(body))


def payload_part(data: bytes) -> bytes:
    """Encode a PayloadPart event."""
    headers = {
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    return message(headers, data)


def exception(name: str, members: dict[str, str]) -> bytes:
    """Encode a modelled exception: ModelStreamError or InternalStreamFailure."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps(members).encode())


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", STRING, len(text)) + text
