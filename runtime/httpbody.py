"""The HTTP body behind botocore's event stream: the one place that knows whose it is.

botocore's `EventStream` cannot be stopped while it waits, and waits for blocks of 64 KiB if the
body is not chunked. Its `_raw_stream`, a response of urllib3, can do better.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from urllib3.exceptions import ProtocolError, SSLError

#: Bytes read at most at a time.
READ = 64 * 1024


class HttpBody:
    """The body of a response, as it comes. One thread reads it.

    Args:
        body: botocore's `EventStream`.
    """

    def __init__(self, body: Any) -> None:
        self._raw = body._raw_stream  # noqa: SLF001 - botocore has no public name for it
        # botocore lets a body be shorter than its length, because its own wrapper would notice.
        self._raw.enforce_content_length = True
        self._blocks: Iterator[bytes] | None = None
        if not hasattr(self._raw, "read1"):
            # urllib3 before 2.2. Chunks come as they are sent; what is not chunked comes late.
            self._blocks = self._raw.stream(READ, decode_content=False)

    def read(self) -> bytes:
        """Return what has come, or wait for more; empty at the end.

        Raises:
            urllib3.exceptions.HTTPError: the body ended before its end, or nothing came in time.
        """
        try:
            return self._read()
        except SSLError as error:
            # Before a body this means that nothing was sent; here it does not.
            raise ProtocolError(f"The connection broke: {error}", error) from error

    def shutdown(self) -> None:
        """End a read that another thread waits in; what it sees is a connection that ended.

        `close` cannot do that: it waits for the read (urllib3 issue 2868).
        """
        # Whatever is raised says that there is no connection left to shut down.
        with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
            if hasattr(self._raw, "shutdown"):
                self._raw.shutdown()
            else:
                _socket(self._raw).shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Give the connection back: for the next request if the body was read, else closed."""
        self._raw.close()
        self._raw.release_conn()

    def _read(self) -> bytes:
        if self._blocks is not None:
            return next(self._blocks, b"")
        data: bytes = self._raw.read1(READ, decode_content=False)
        return data


def _socket(raw: Any) -> socket.socket:
    """Return the socket of a response of urllib3 before 2.3, through http.client's layers."""
    found: socket.socket = raw._fp.fp.raw._sock  # noqa: SLF001 - there is no public way
    return found
