"""Bytes as JSON, without loss: text where they are UTF-8, base64 where they are not."""

import base64
from collections.abc import Mapping
from typing import Any


def to_json(body: bytes) -> dict[str, str]:
    """Return `{"text": ...}` or `{"base64": ...}`."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def from_json(value: Mapping[str, Any]) -> bytes:
    """Return the bytes that `to_json` was given.

    Raises:
        ValueError: it is no such value.
    """
    match value:
        case {"text": str(text), **rest} if not rest:
            return text.encode()
        case {"base64": str(text), **rest} if not rest:
            return base64.b64decode(text, validate=True)
    raise ValueError("A body is {'text': ...} or {'base64': ...}.")


def is_json(value: object) -> bool:
    """Whether a JSON value looks as `to_json`'s do."""
    return isinstance(value, Mapping) and set(value) in ({"text"}, {"base64"})
