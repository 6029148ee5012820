"""Response streams: the container's parts as events, and every way to break off."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

import anyio
from starlette.types import Scope

from . import eventstream, wire
from .behaviours import Stream

TEXT = "Injected by the emulator."

#: Bytes that a truncated message lacks.
MISSING = 6

#: Faults after which the stream goes on, and what is sent for them.
PASSING: Mapping[str, bytes] = {
    "unknown_event": eventstream.event("Unknown", b"of a later version"),
    "empty_part": eventstream.payload_part(b""),
}

#: Faults that are a last message, after which the body ends in order. A message cut off by `cut`
#: and `reset` is followed by the end of the connection.
LAST: Mapping[str, bytes] = {
    "InternalStreamFailure": eventstream.exception("InternalStreamFailure", {"Message": TEXT}),
    "unknown_exception": eventstream.exception("UnknownFailure", {"Message": TEXT}),
    "error": eventstream.error("InternalError", TEXT),
    "wrong_crc": eventstream.wrong_checksum(eventstream.payload_part(b"damaged")),
    "truncated": eventstream.payload_part(b"never whole")[:-MISSING],
    "cut": eventstream.payload_part(b"never whole")[:-MISSING],
    "reset": eventstream.payload_part(b"never whole")[:-MISSING],
}

#: Faults that end the connection.
ENDS: Mapping[str, Callable[[Scope], None]] = {"cut": wire.close, "reset": wire.reset}


async def events(
    parts: AsyncGenerator[bytes, None], stream: Stream, scope: Scope, *, faulty: bool
) -> AsyncGenerator[bytes, None]:
    """Encode a container's parts.

    Args:
        parts: what the container makes.
        stream: which fault, and when.
        scope: the request's, for faults of the connection.
        faulty: whether this stream meets the fault.
    """
    fault = stream.fault if faulty else None
    async with aclosing(parts):
        async for event in _encoded(parts, None if fault is None else stream.after_parts):
            yield event
        if fault is None:
            return
        if fault == "stall":
            await anyio.sleep_forever()
        yield _message(fault, stream)
        if fault in PASSING:
            async for event in _encoded(parts, None):
                yield event
        elif fault in ENDS:
            ENDS[fault](scope)
            # The client's leaving, which this is, ends the response; it must not end in order.
            await anyio.sleep_forever()


async def _encoded(parts: AsyncIterator[bytes], most: int | None) -> AsyncIterator[bytes]:
    sent = 0
    try:
        while most is None or sent < most:
            part = await anext(parts, None)
            if part is None:
                return
            yield eventstream.payload_part(part)
            sent += 1
    except TimeoutError:
        yield _broken("ModelInvocationTimeExceeded", "The model did not finish in time.")
    except Exception as error:  # noqa: BLE001 - the container's, whatever it is
        yield _broken("StreamBroken", f"The container broke off: {error!r}")


def _message(fault: str, stream: Stream) -> bytes:
    if fault == "ModelStreamError":
        return _broken(stream.error_code, TEXT)
    return PASSING.get(fault) or LAST[fault]


def _broken(error_code: str, text: str) -> bytes:
    members = {"Message": text, "ErrorCode": error_code}
    return eventstream.exception("ModelStreamError", members)
