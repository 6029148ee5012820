"""The records of a chunk, streamed."""

from collections.abc import Container, Iterator

from ....runtime.s3 import S3Store
from .values import Chunk, Input, Record, RecordError


def read(
    chunk: Chunk,
    input_: Input,
    store: S3Store,
    skip: int = 0,
    *,
    only: Container[int] | None = None,
    fetch: bool = True,
) -> Iterator[Record | RecordError]:
    """Yield the records of a chunk, in order, with one ranged GET and a small buffer.

    Args:
        chunk, input_, store: what to read.
        skip: so many records of the chunk are already done.
        only: positions to yield; the others are passed over.
        fetch: whether the objects that are one record each are fetched; without, a record has its
            location only (an asynchronous endpoint fetches it itself).

    Yields:
        a record, or what kept it from being read: its object is gone, or too large.

    Raises:
        InputChanged: the object is not the one that was scanned.
        S3Error, TransportError: the chunk cannot be read now.
    """
    raise NotImplementedError
