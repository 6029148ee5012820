"""From records to invocations, and from answers back to records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ....runtime.exceptions import InferenceError, InvalidRequest
from ....runtime.payloads import REALTIME_LIMIT
from .answers import cut
from .exceptions import InputRecordTooLarge
from .filters import Filters
from .values import Input, Record, RecordError, SplitType


class BatchStrategy(StrEnum):
    """How many records an invocation carries."""

    SINGLE_RECORD = "SingleRecord"
    MULTI_RECORD = "MultiRecord"


#: Bytes of Batch Transform's MB: its default of 6 is the service's limit of 6,291,456 bytes.
MB = 1_048_576

JSON = "application/json"
JSON_LINES = "application/jsonlines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How records are packed."""

    content_type: str
    """Of the invocations' bodies."""
    strategy: BatchStrategy = BatchStrategy.SINGLE_RECORD
    max_payload_bytes: int = REALTIME_LIMIT
    """Bytes of a body; Batch Transform's `MaxPayloadInMB` times 1,048,576."""
    max_records: int = 100
    """Records of an invocation, if the strategy is MultiRecord."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is sent at once: records, and the body that they become."""

    records: tuple[Record, ...]
    payloads: tuple[bytes, ...]
    content_type: str

    @property
    def body(self) -> bytes:
        """The payloads, a line each if there are several, without a newline at the end."""
        return b"\n".join(self.payloads)


def packing(
    input_: Input,
    strategy: BatchStrategy | str = BatchStrategy.SINGLE_RECORD,
    *,
    max_payload_in_mb: int = 6,
    max_records: int = 100,
) -> Packing:
    """Return how an input is packed; several JSON records are sent as JSON Lines.

    Args:
        input_: whose records they are.
        strategy: MultiRecord needs records that are lines.
        max_payload_in_mb: of an invocation, in units of 1,048,576 bytes; 0 and whatever is over
            the service's limit stand for that limit, 6.
        max_records: of an invocation, if the strategy is MultiRecord.

    Raises:
        InvalidRequest: these do not go together.
    """
    try:
        chosen = BatchStrategy(strategy)
    except ValueError as error:
        raise InvalidRequest(f"BatchStrategy: {error}.") from error
    several = chosen is BatchStrategy.MULTI_RECORD
    if several and input_.split_type is not SplitType.LINE:
        raise InvalidRequest("MultiRecord puts lines together: it needs SplitType=Line.")
    if max_records < 1 or max_payload_in_mb < 0:
        raise InvalidRequest("An invocation has at least one record.")
    content_type = input_.content_type
    return Packing(
        content_type=JSON_LINES if several and content_type == JSON else content_type,
        strategy=chosen,
        max_payload_bytes=min(max_payload_in_mb * MB or REALTIME_LIMIT, REALTIME_LIMIT),
        max_records=max_records if several else 1,
    )


def pack(
    records: Iterable[Record | RecordError], packing: Packing, filters: Filters | None = None
) -> Iterator[Invocation | RecordError]:
    """Filter and pack records, in order.

    Yields:
        invocations, and the records that cannot be sent: filtered away, too large, unreadable.
    """
    pending: list[tuple[Record, bytes]] = []
    room = packing.max_payload_bytes
    for record in records:
        if isinstance(record, RecordError):
            yield record
            continue
        try:
            payload = _payload(record, packing, filters)
        except InferenceError as error:
            yield RecordError(record, error)
            continue
        if len(payload) > room:
            yield _invocation(pending, packing)
            pending, room = [], packing.max_payload_bytes
        pending.append((record, payload))
        room -= len(payload) + 1
        if len(pending) == packing.max_records:
            yield _invocation(pending, packing)
            pending, room = [], packing.max_payload_bytes
    if pending:
        yield _invocation(pending, packing)


def split_answer(invocation: Invocation, body: bytes, content_type: str | None) -> list[bytes]:
    """Cut an answer into one part for each record, in order.

    An answer to one record is one part. To several: JSON Lines, a JSON array, the array
    `predictions` of a JSON object, lines of text or CSV, or one line of CSV with a column each.

    Raises:
        AnswerMismatch: it does not have that many parts.
    """
    count = len(invocation.records)
    return [body] if count == 1 else cut(body, content_type, count)


def bisect(invocation: Invocation) -> tuple[Invocation, Invocation]:
    """Cut an invocation of several records into halves.

    Raises:
        ValueError: it has one record only.
    """
    middle = len(invocation.records) // 2
    if not middle:
        raise ValueError("one record has no halves")
    records, payloads, kind = invocation.records, invocation.payloads, invocation.content_type
    return (
        Invocation(records[:middle], payloads[:middle], kind),
        Invocation(records[middle:], payloads[middle:], kind),
    )


def _payload(record: Record, packing: Packing, filters: Filters | None) -> bytes:
    payload = filters.payload(record) if filters else record.data
    if len(payload) > packing.max_payload_bytes:
        limit = packing.max_payload_bytes
        raise InputRecordTooLarge(f"{len(payload):,} bytes, at most {limit:,}.")
    return payload


def _invocation(pending: list[tuple[Record, bytes]], packing: Packing) -> Invocation:
    records, payloads = zip(*pending, strict=True)
    return Invocation(records, payloads, packing.content_type)
