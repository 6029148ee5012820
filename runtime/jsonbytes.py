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
    if set(value) == {"text"}:
        return str(value["text"]).encode()
    if set(value) == {"base64"}:
        return base64.b64decode(value["base64"], validate=True)
    raise ValueError(f"A body is {{'text'}} or {{'base64'}}, not {sorted(value)}.")
