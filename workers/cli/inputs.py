"""Where a request's payload comes from: an option, a file or stdin."""

import json
import sys
from pathlib import Path

from .exits import Exit, fail


def read(data: str | None) -> object:
    """The payload that `-d` names.

    Args:
        data: text, `@file`, `-` for stdin, or None for no payload.

    Returns:
        `str` for UTF-8, `bytes` for anything else, None without data. JSON stays text: what was
        typed is what is sent.
    """
    if data is None:
        return None
    if data == "-":
        return _text(sys.stdin.buffer.read())
    if data.startswith("@"):
        return _text(_file(Path(data[1:])))
    return data


def content_type(payload: object, given: str | None) -> str | None:
    """The given content type, else `application/json` for text that is a JSON object or array.

    A lone number or word is JSON too, but as likely a line of CSV: it stays `text/plain`.
    """
    if given is not None or not isinstance(payload, str):
        return given
    try:
        value = json.loads(payload)
    except ValueError:
        return None
    return "application/json" if isinstance(value, dict | list) else None


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(Exit.USAGE, f"cannot read {path}: {error.strerror}")


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
