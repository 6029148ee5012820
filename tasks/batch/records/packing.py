"""From records to invocations, and from answers back to records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ....runtime.payloads import REALTIME_LIMIT
from .filters import Filters
from .values import Record, RecordError


class BatchStrategy(StrEnum):
    """How many records an invocation carries."""

    SINGLE_RECORD = "SingleRecord"
    MULTI_RECORD = "MultiRecord"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How records are packed.

    Attributes:
        content_type: of the invocations' bodies.
        max_payload_bytes: of a body; `MaxPayloadInMB` times 1,048,576.
        max_records: of an invocation, if the strategy is MultiRecord.
    """

    content_type: str
    strategy: BatchStrategy = BatchStrategy.SINGLE_RECORD
    max_payload_bytes: int = REALTIME_LIMIT
    max_records: int = 100


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is sent at once: records, and the body that they become."""

    records: tuple[Record, ...]
    payloads: tuple[bytes, ...]
    content_type: str

    @property
    def body(self) -> bytes:
        """The payloads, a line each if there are several."""
        return b"\n".join(self.payloads)


def pack(
    records: Iterable[Record | RecordError], packing: Packing, filters: Filters | None = None
) -> Iterator[Invocation | RecordError]:
    """Filter and pack records, in order.

    Yields:
        invocations, and the records that cannot be sent: filtered away, too large, unreadable.
    """
    raise NotImplementedError


def split_answer(invocation: Invocation, body: bytes, content_type: str | None) -> list[bytes]:
    """Cut an answer into one part for each record, in order.

    Raises:
        AnswerMismatch: it does not have that many parts.
    """
    raise NotImplementedError


def bisect(invocation: Invocation) -> tuple[Invocation, Invocation]:
    """Cut an invocation of several records into halves.

    Raises:
        ValueError: it has one record only.
    """
    raise NotImplementedError
