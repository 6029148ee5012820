"""From what a caller has to what an endpoint takes: bytes and their content type."""

import json

from . import responses
from .exceptions import InvalidRequest
from .service import async_body_supported

__all__ = ["ASYNC_INLINE_LIMIT", "REALTIME_LIMIT", "async_body_supported", "encode"]

#: Bytes that InvokeEndpoint takes (botocore's model: BodyBlob max).
REALTIME_LIMIT = 6_291_456

#: Bytes that InvokeEndpointAsync takes inline (botocore's model from 1.43.29 on).
ASYNC_INLINE_LIMIT = 128_000


def encode(payload: object, content_type: str | None = None) -> tuple[bytes, str]:
    """Return a payload's bytes and content type.

    Args:
        payload: JSON values become application/json, a string text/plain, bytes
            application/octet-stream; a response, or its JSON form, its own body and type; of a
            stream, the text.
        content_type: overrides what the payload suggests.

    Raises:
        InvalidRequest: the payload is none of these, or is a response without a body.
    """
    if responses.is_response(payload):
        payload = responses.from_json(payload)
    body, suggested = _bytes(payload)
    return body, content_type or suggested


def _bytes(payload: object) -> tuple[bytes, str]:
    match payload:
        case bytes() | bytearray() | memoryview():
            return bytes(payload), "application/octet-stream"
        case str():
            return _text(payload), "text/plain; charset=utf-8"
        case (
            responses.InvokeEndpointResponse()
            | responses.InvokeEndpointWithResponseStreamResponse()
            | responses.AsyncInferenceOutput()
        ) if payload.body is not None:
            return payload.body, payload.content_type or "application/octet-stream"
        case responses.StreamOutput() if payload.text is not None:
            return _text(payload.text), "text/plain; charset=utf-8"
        case dict() | list() | tuple() | int() | float() | None:
            return _json(payload), "application/json"
    raise InvalidRequest(
        f"A payload is JSON values, a string, bytes or a response with a body, not"
        f" {type(payload).__name__}."
    )


def _text(payload: str) -> bytes:
    try:
        return payload.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"The payload cannot be written as UTF-8: {error}.") from error


def _json(payload: object) -> bytes:
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The payload cannot be written as JSON: {error}.") from error
