"""The lines of output and error objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....runtime.exceptions import InferenceError
from .values import Record


@dataclass(frozen=True, slots=True)
class OutputLine:
    """What came of one record. `id` is its own id, else its position."""

    id: str | int
    position: int
    output: bytes
    content_type: str | None

    def json(self) -> Any:
        """Return the output's JSON value.

        Raises:
            ValueError: it is not JSON.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Why there is no output of one record."""

    id: str | int
    position: int
    code: str
    message: str
    members: Mapping[str, Any]
    attempts: int

    @property
    def error(self) -> InferenceError:
        """The exception that it was."""
        raise NotImplementedError


def encode_output(record: Record, output: bytes, content_type: str | None) -> bytes:
    """Return the output line of a record, with its newline."""
    raise NotImplementedError


def decode_output(line: bytes) -> OutputLine:
    """Read an output line.

    Raises:
        ValueError: it is none.
    """
    raise NotImplementedError


def encode_error(record: Record, error: InferenceError, attempts: int) -> bytes:
    """Return the error line of a record, with its newline."""
    raise NotImplementedError


def decode_error(line: bytes) -> ErrorLine:
    """Read an error line.

    Raises:
        ValueError: it is none.
    """
    raise NotImplementedError
