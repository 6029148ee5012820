"""The event stream's encoding, with botocore as the other side."""

import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, EventStreamMessage
from celery_sagemaker.local import eventstream

#: Messages of botocore's own tests (Apache-2.0) that have no headers but strings.
VECTORS = [
    ("000000100000000005c248eb7d98c8ff", {}, b""),
    ("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936", {}, b"{'foo':'bar'}"),
    (
        (
            "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a73"
            "6f6e7b27666f6f273a27626172277d8d9c08b1"
        ),
        {"content-type": "application/json"},
        b"{'foo':'bar'}",
    ),
]


def decoded(data: bytes) -> list[EventStreamMessage]:
    """What botocore makes of it."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


@pytest.mark.parametrize(("encoded", "headers", "payload"), VECTORS)
def test_vectors_are_encoded_byte_for_byte(
    encoded: str, headers: dict[str, str], payload: bytes
) -> None:
    """As other implementations do."""
    assert eventstream.message(headers, payload).hex() == encoded


@pytest.mark.parametrize(
    ("message", "headers", "payload"),
    [
        (
            eventstream.payload_part(bytes(range(256))),
            {
                ":event-type": "PayloadPart",
                ":content-type": "application/octet-stream",
                ":message-type": "event",
            },
            bytes(range(256)),
        ),
        (
            eventstream.exception("ModelStreamError", {"ErrorCode": "StreamBroken"}),
            {
                ":exception-type": "ModelStreamError",
                ":content-type": "application/json",
                ":message-type": "exception",
            },
            json.dumps({"ErrorCode": "StreamBroken"}).encode(),
        ),
        (
            eventstream.error("code", "message"),
            {":message-type": "error", ":error-code": "code", ":error-message": "message"},
            b"",
        ),
    ],
)
def test_botocore_decodes_every_message(
    message: bytes, headers: dict[str, str], payload: bytes
) -> None:
    """Twice in a row and cut at every byte."""
    for cut in range(len(message) * 2):
        buffer = EventStreamBuffer()
        buffer.add_data((message * 2)[:cut])
        found: list[Any] = list(buffer)
        buffer.add_data((message * 2)[cut:])
        found += list(buffer)
        assert [(m.headers, m.payload) for m in found] == [(headers, payload)] * 2


def test_a_wrong_checksum_is_one() -> None:
    """The message has its length, and botocore refuses it."""
    whole = eventstream.payload_part(b"data")
    damaged = eventstream.wrong_checksum(whole)
    assert len(damaged) == len(whole)
    with pytest.raises(ChecksumMismatch):
        decoded(damaged)
