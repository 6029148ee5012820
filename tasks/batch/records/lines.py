"""The lines of output and error objects.

{"id": "a-7", "position": 7, "output": {"score": 0.5}}
{"id": 8, "position": 8, "output": "0.5,0.5", "content_type": "text/csv"}
{"id": 9, "position": 9, "output": "iVBORw0K", "content_type": "image/png", "encoding": "base64"}
{"id": 10, "position": 10, "attempts": 3, "error":
    {"class": "ModelError", "code": "ModelError", "message": "...", "members": {...}}}
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....runtime import exceptions
from ....runtime.exceptions import InferenceError
from .jsontext import SPACE, dump, is_json, loads, members, one_line
from .values import Format, Record

#: What stands for bytes that are neither JSON nor text.
BASE64 = "base64"

UNTYPED = "application/octet-stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class OutputLine:
    """What came of one record."""

    id: str | int
    """The record's own id, else its position."""
    position: int
    output: bytes
    """As the model wrote it, but that a JSON text has no line breaks."""
    content_type: str

    def json(self) -> Any:
        """Return the output's JSON value.

        Raises:
            ValueError: it is not JSON.
        """
        return loads(self.output.decode().strip(SPACE))


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Why there is no output of one record."""

    id: str | int
    """The record's own id, else its position."""
    position: int
    error: InferenceError
    attempts: int
    """How many times the record was sent; 0 if it could not be."""


def encode_output(record: Record, output: bytes, content_type: str | None) -> bytes:
    """Return the output line of a record, with its newline."""
    head = b'{"id":%b,"position":%d,"output":' % (dump(record.key), record.position)
    format_ = Format.of(content_type)
    if (format_ is Format.JSON or content_type is None) and is_json(output):
        return head + one_line(output) + b"}\n"
    tail: dict[str, str] = {"content_type": content_type or UNTYPED}
    try:
        text = output.decode()
    except UnicodeDecodeError:
        text = base64.b64encode(output).decode()
        tail["encoding"] = BASE64
    return head + dump(text) + b"," + dump(tail)[1:] + b"\n"


def decode_output(line: bytes) -> OutputLine:
    """Read an output line.

    Raises:
        ValueError: it is none.
    """
    found = _members(line, {"id", "position", "output"})
    content_type = json.loads(found.get("content_type", f'"{JSON}"'))
    output = found["output"].encode()
    if "content_type" in found:
        output = _plain(json.loads(output), "encoding" in found)
    return OutputLine(json.loads(found["id"]), int(found["position"]), output, content_type)


def encode_error(record: Record, error: InferenceError, attempts: int) -> bytes:
    """Return the error line of a record, with its newline."""
    line = {
        "id": record.key,
        "position": record.position,
        "attempts": attempts,
        "error": {"class": type(error).__name__} | error.to_json(),
    }
    return dump(line) + b"\n"


def decode_error(line: bytes) -> ErrorLine:
    """Read an error line.

    Raises:
        ValueError: it is none.
    """
    try:
        found: Mapping[str, Any] = json.loads(line)
        error = exceptions.from_json(found["error"])
        return ErrorLine(found["id"], found["position"], error, found["attempts"])
    except (KeyError, TypeError) as wrong:
        raise ValueError(f"this is no error line: {wrong}") from wrong


def _members(line: bytes, wanted: set[str]) -> dict[str, str]:
    text = line.decode().strip(SPACE)
    if not isinstance(loads(text), dict) or not wanted <= (found := members(text)).keys():
        raise ValueError("this is no output line")
    return found


def _plain(output: str, is_base64: bool) -> bytes:  # noqa: FBT001 - private
    return base64.b64decode(output, validate=True) if is_base64 else output.encode()
