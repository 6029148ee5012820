"""InputFilter, JoinSource and OutputFilter, as Batch Transform's DataProcessing has them."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from ....runtime.exceptions import InvalidRequest
from .exceptions import FilterMismatch
from .jsontext import SPACE, dump, is_json, loads, members
from .values import Format, Record

if TYPE_CHECKING:
    from .paths import Project

#: Members of a joined object, as Batch Transform names them.
OUTPUT = "SageMakerOutput"
INPUT = "SageMakerInput"


class JoinSource(StrEnum):
    """Whether the input is joined with the output."""

    INPUT = "Input"
    NONE = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProcessing:
    """What of the input is sent, and what of the joined data is kept."""

    input_filter: str = "$"
    output_filter: str = "$"
    join_source: JoinSource = JoinSource.NONE

    def to_json(self) -> dict[str, str]:
        """Return JSON values, named as Batch Transform's `DataProcessing` does."""
        return {
            "InputFilter": self.input_filter,
            "OutputFilter": self.output_filter,
            "JoinSource": self.join_source.value,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, str]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InvalidRequest: JoinSource is another one.
        """
        try:
            return cls(
                input_filter=values.get("InputFilter", "$"),
                output_filter=values.get("OutputFilter", "$"),
                join_source=JoinSource(values.get("JoinSource", "None")),
            )
        except ValueError as error:
            raise InvalidRequest(f"JoinSource is Input or None: {error}.") from error


class Filters:
    """`DataProcessing`, compiled for records of one format; make it with `compile`.

    Attributes:
        payload_changes: whether what is sent is not simply the record.
        output_changes: whether what is kept is not simply the answer.
    """

    def __init__(
        self, format_: Format, input_: "Project | None", output: "Project | None", *, joins: bool
    ) -> None:
        self._format = format_
        self._input = input_
        self._output = output
        self._joins = joins
        self.payload_changes = input_ is not None
        self.output_changes = joins or output is not None

    @classmethod
    def compile(cls, processing: DataProcessing, format_: Format) -> Self:
        """Compile the expressions.

        Raises:
            InvalidRequest: one of them is no JSONPath that Batch Transform has, or the records
                have neither JSON nor columns.
        """
        from .paths import compile_path  # noqa: PLC0415 - python-jsonpath is for batch jobs

        joins = processing.join_source is JoinSource.INPUT
        input_ = compile_path(processing.input_filter, columns=format_ is Format.CSV)
        output = compile_path(processing.output_filter, columns=joins and format_ is Format.CSV)
        filters = cls(format_, input_, output, joins=joins)
        if format_ is Format.OTHER and (joins or filters.payload_changes):
            raise InvalidRequest("Records are filtered and joined if they are JSON or CSV only.")
        return filters

    def payload(self, record: Record) -> bytes:
        """Return what of the record is sent.

        Raises:
            FilterMismatch: the filter does not fit the record.
        """
        if self._input is None:
            return record.data
        return _write(self._input(_read(record.data, self._format)), self._format)

    def output(
        self, record: Record, answer: bytes, content_type: str | None
    ) -> tuple[bytes, str | None]:
        """Return what is kept of a record and its answer, and its content type.

        Raises:
            FilterMismatch: the filter does not fit, or the answer cannot be joined.
        """
        if not self.output_changes:
            return answer, content_type
        format_ = self._format if self._joins else Format.of(content_type)
        joined = self._join(record.data, answer, content_type) if self._joins else answer
        if self._output is not None:
            joined = _write(self._output(_read(joined, format_)), format_)
        return joined, "text/csv" if format_ is Format.CSV else "application/json"

    def _join(self, data: bytes, answer: bytes, content_type: str | None) -> bytes:
        if self._format is Format.JSON:
            return _join_json(data, answer)
        if Format.of(content_type) is Format.JSON:
            raise FilterMismatch("A row of CSV is joined with an answer in CSV, and this is JSON.")
        return _write(_read(data, Format.CSV) + _read(answer, Format.CSV), Format.CSV)


def _join_json(data: bytes, answer: bytes) -> bytes:
    """Add the answer to an object, whose other members stay as they were written."""
    text = data.decode().strip(SPACE)
    joined = members(text) if text.startswith("{") else {INPUT: text}
    joined[OUTPUT] = _answer(answer)
    return b"{" + b",".join(dump(k) + b":" + v.encode() for k, v in joined.items()) + b"}"


def _answer(answer: bytes) -> str:
    if is_json(answer):
        return answer.decode().strip(SPACE)
    try:
        return dump(answer.decode()).decode()
    except UnicodeDecodeError as error:
        raise FilterMismatch(
            "The answer is neither JSON nor text, and cannot be joined."
        ) from error


def _read(data: bytes, format_: Format) -> Any:
    try:
        match format_:
            case Format.JSON:
                return loads(data.decode().strip(SPACE))
            case Format.CSV:
                return next(csv.reader([data.decode().strip("\r\n")]), [])
    except (ValueError, csv.Error) as error:
        raise FilterMismatch(f"The filter cannot be applied: {error}.") from error
    raise FilterMismatch("A filter is applied to JSON or CSV only.")


def _write(value: Any, format_: Format) -> bytes:
    if format_ is Format.CSV:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value)
        return line.getvalue().encode()
    try:
        return dump(value)
    except ValueError as error:
        raise FilterMismatch("A number is larger than Python can write.") from error
