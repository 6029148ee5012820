"""Cutting a model's answer to several records into one part for each."""

import csv
from typing import Any

from .exceptions import AnswerMismatch
from .jsontext import SPACE, elements, loads, members
from .values import Format

#: The member in which SageMaker's built-in algorithms put their answers.
PREDICTIONS = "predictions"


def cut(body: bytes, content_type: str | None, count: int) -> list[bytes]:
    """Return `count` parts.

    Raises:
        AnswerMismatch: there are not so many.
    """
    format_ = Format.of(content_type)
    parts = _json(body) if format_ is Format.JSON else None
    if parts is None:
        parts = [line.removesuffix(b"\r") for line in body.removesuffix(b"\n").split(b"\n")]
    if format_ is Format.CSV and len(parts) == 1:
        parts = _columns(parts[0])
    if len(parts) != count:
        raise AnswerMismatch(f"{count} records were sent, and {len(parts)} answers came.")
    return parts


def _json(body: bytes) -> list[bytes] | None:
    """Return the parts of one JSON text, or None: then it is JSON Lines, or wrong."""
    try:
        text = body.decode().strip(SPACE)
        value: Any = loads(text)
    except ValueError:
        return None
    if isinstance(value, dict) and isinstance(value.get(PREDICTIONS), list):
        text = members(text)[PREDICTIONS]
    elif not isinstance(value, list):
        return [body]
    return [part.encode() for part in elements(text)]


def _columns(line: bytes) -> list[bytes]:
    """Return one line's columns: the XGBoost container answers several records so."""
    try:
        return [column.encode() for column in next(csv.reader([line.decode()]), [])]
    except (UnicodeDecodeError, csv.Error):
        return [line]
