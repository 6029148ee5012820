"""InputFilter, JoinSource and OutputFilter, as Batch Transform's DataProcessing has them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from .values import Format, Record


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


class Filters:
    """`DataProcessing`, compiled for records of one format."""

    @classmethod
    def compile(cls, processing: DataProcessing, format_: Format) -> Self:
        """Compile the expressions.

        Raises:
            InvalidRequest: one of them is no JSONPath that Batch Transform has, or the records
                have neither JSON nor columns.
        """
        raise NotImplementedError

    def payload(self, record: Record) -> bytes:
        """Return what of the record is sent.

        Raises:
            FilterMismatch: the filter does not fit the record.
        """
        raise NotImplementedError

    def output(self, record: Record, answer: bytes) -> bytes:
        """Return what is kept of a record and its answer.

        Raises:
            FilterMismatch: the filter does not fit, or the answer cannot be joined.
        """
        raise NotImplementedError
