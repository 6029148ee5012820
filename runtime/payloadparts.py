"""What the messages of a response stream mean: parts of its payload, or an error. No I/O.

The service's `ResponseStream` has three members: PayloadPart, ModelStreamError, and
InternalStreamFailure. It has no member that ends a stream, so only what the payload itself says
tells a complete one from one that stopped between two parts.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from . import exceptions as ours
from .eventstream import Decoder, Message

_EXCEPTIONS: Mapping[str, type[ours.StreamError]] = {
    "ModelStreamError": ours.ModelStreamError,
    "InternalStreamFailure": ours.InternalStreamFailure,
}


class PayloadParts:
    """Takes the bytes of a response stream and gives its payload's parts.

    Attributes:
        skipped: events that are not in the service's model, and were passed over.
    """

    def __init__(self) -> None:
        self._decoder = Decoder()
        self.skipped = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; iterate over the parts that are whole now. A part may be empty.

        Raises:
            ModelStreamError, InternalStreamFailure: the stream says so.
            UnknownStreamError: the stream ends with an error that is not in its model.
            StreamChecksumMismatch, StreamMalformed: a message is wrong.
        """
        return self._parts(self._decoder.feed(data))

    def close(self) -> None:
        """Say that no more bytes will come.

        Raises:
            StreamTruncated: a message was not whole.
        """
        self._decoder.close()

    def _parts(self, messages: Iterator[Message]) -> Iterator[bytes]:
        for message in messages:
            kind = message.headers.get(":message-type", "event")
            if kind == "exception":
                raise _modelled(message)
            if kind == "error":
                raise _unmodelled(message)
            if kind == "event" and message.headers.get(":event-type") == "PayloadPart":
                yield message.payload
            else:
                self.skipped += 1


def _modelled(message: Message) -> ours.StreamError:
    code = str(message.headers.get(":exception-type", ""))
    content = _json(message.payload)
    text = content.get("Message") or content.get("message")
    found = _EXCEPTIONS.get(code, ours.UnknownStreamError)
    members = {}
    if found is ours.UnknownStreamError:
        members["error_code"] = code
    elif "ErrorCode" in content:
        members["error_code"] = str(content["ErrorCode"])
    return found(str(text) if text else None, members)


def _unmodelled(message: Message) -> ours.StreamError:
    code = str(message.headers.get(":error-code", ""))
    text = str(message.headers.get(":error-message", ""))
    return ours.UnknownStreamError(text or None, {"error_code": code})


def _json(payload: bytes) -> Mapping[str, Any]:
    """Read an exception's members; what is not JSON becomes its message."""
    try:
        content = json.loads(payload)
    except ValueError:
        content = None
    if isinstance(content, Mapping):
        return content
    return {"Message": payload.decode("utf-8", "replace")}
