"""An object's bytes, block by block.

Each block is a GET of its own: a connection that is read slowly, while a chunk's records are
being sent, would be closed by S3.
"""

from collections.abc import Iterator

import tenacity

from ....runtime.exceptions import ConnectionLost, S3Error, TransportError
from ....runtime.s3 import S3Location, S3Range, S3Store
from .exceptions import InputChanged

#: Bytes of a block, if nothing else is said.
BLOCK = 4 * 1_048_576

#: Times that a block is asked for; botocore repeats what fails before the first byte.
ATTEMPTS = 3


def blocks(
    store: S3Store,
    location: S3Location,
    start: int,
    end: int,
    *,
    etag: str | None = None,
    block: int = BLOCK,
) -> Iterator[bytes]:
    """Yield the bytes [start, end) of an object, as far as it has them, `block` at a time.

    Raises:
        InputChanged: the object has another ETag.
        S3Error, TransportError: it cannot be read now.
        ConnectionLost: nothing came of what should be there.
    """
    while start < end:
        found = fetch(store, location, start, min(start + block, end), etag)
        start, end = start + len(found.body), min(end, found.size)
        if not found.body and start < end:
            raise ConnectionLost(f"{location} ended early, at byte {start:,}.")
        yield found.body


def fetch(
    store: S3Store, location: S3Location, start: int, end: int, etag: str | None = None
) -> S3Range:
    """Fetch a range, again if the connection breaks.

    Raises:
        InputChanged: the object has another ETag.
        S3Error, TransportError: it cannot be read now.
    """
    try:
        return _again(store.get_range, location, start, end, etag)
    except S3Error as error:
        if error.members.get("error_code") == "PreconditionFailed":
            raise InputChanged(f"{location} was replaced while the job was running.") from error
        raise


_again = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(TransportError),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=2.0),
    reraise=True,
)
