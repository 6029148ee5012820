"""An HTTP server on a port of 127.0.0.1 that records what comes and answers what it is told to."""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Literal, Self

#: What happens to a connection once the reply's bytes are sent.
Then = Literal["keep", "close", "reset", "hang"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    """Counts the server's connections from 0."""

    def header(self, name: str) -> str | None:
        """Return a header's value; None if it did not come."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """The bytes of an answer, and what follows."""

    data: bytes = b""
    then: Then = "keep"


def reply(
    status: int = 200, headers: tuple[tuple[str, str | bytes], ...] = (), body: bytes = b""
) -> Reply:
    """Make a whole answer."""
    lines = [b"HTTP/1.1 %d Status" % status, b"Content-Length: %d" % len(body)]
    for name, value in headers:
        lines.append(
            name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        )
    return Reply(b"\r\n".join(lines) + b"\r\n\r\n" + body)


@dataclass
class Recorder:
    """The server; a context manager.

    Args:
        answer: makes the reply to a request.
        tls: serves TLS with these settings.
        tunnel: is a proxy as well, at the other end of which it serves TLS with these settings.
    """

    answer: Callable[[Recorded], Reply] = lambda _: reply()
    tls: ssl.SSLContext | None = None
    tunnel: ssl.SSLContext | None = None
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    """Connections that are over."""

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self._serve_until_end, args=(connection, self.connections)
            )
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _serve_until_end(self, plain: socket.socket, number: int) -> None:
        self._serve(plain, number)
        self.closed += 1

    def _serve(self, plain: socket.socket, number: int) -> None:
        with plain:
            try:
                connection = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
            except OSError:
                return  # a client that does not trust the certificate
            with connection:
                try:
                    self._requests(connection, number)
                    if self.tunnel and self.requests[-1].method == "CONNECT":
                        with self.tunnel.wrap_socket(connection, server_side=True) as inner:
                            self._requests(inner, number)
                except OSError:
                    return  # a client that went away

    def _requests(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as stream:
            while self._wait(connection) and self._one(connection, stream, number):
                pass

    def _wait(self, connection: socket.socket) -> bool:
        while not self._over.is_set():
            if select.select([connection], [], [], 0.05)[0]:
                return True
        return False

    def _one(self, connection: socket.socket, stream: IO[bytes], number: int) -> bool:
        line = stream.readline()
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while (line := stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            headers.append((name, value.removeprefix(" ")))
        length = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
        request = Recorded(method, target, tuple(headers), stream.read(length), number)
        self.requests.append(request)
        made = self.answer(request)
        connection.sendall(made.data)
        if made.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if made.then == "hang":
            self._over.wait(30)
        return made.then == "keep" and method != "CONNECT"
