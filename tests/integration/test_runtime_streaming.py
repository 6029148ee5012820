"""Response streams over real sockets: every way to end, to be stopped, and to be too slow."""

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3
from celery_sagemaker.local import eventstream as encoder
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import (
    InvokeEndpointWithResponseStreamRequest,
    bodyreader,
    exceptions,
    streaming,
)
from celery_sagemaker.runtime.deadlines import UNLIMITED, StreamDeadlines
from celery_sagemaker.runtime.streaming import ResponseStream
from celery_sagemaker.runtime.transport import BotoTransport
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

#: Seconds after which a test that waits for an event has failed.
PATIENCE = 20.0

part = encoder.payload_part
CHUNKED = "Transfer-Encoding: chunked"
REQUEST = InvokeEndpointWithResponseStreamRequest(endpoint_name="scripted", body=b"{}")


class Peer:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def receive(self) -> bool:
        """Read one request; whether there was one."""
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                got = self._connection.recv(65536)
            except OSError:
                return False
            if not got:
                return False
            data += got
        head, _, body = data.partition(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += self._connection.recv(65536)
        return True

    def head(self, *extra: str, status: str = "200 OK") -> None:
        """Send a response's head."""
        lines = [
            f"HTTP/1.1 {status}",
            "Content-Type: application/vnd.amazon.eventstream",
            "X-Amzn-SageMaker-Content-Type: text/event-stream",
            "x-Amzn-Invoked-Production-Variant: AllTraffic",
            "X-Amzn-SageMaker-Custom-Attributes: trace=1",
            *extra,
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def chunk(self, data: bytes) -> None:
        """Send bytes as an HTTP chunk."""
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def stream(self, *messages: bytes, end: bool = True) -> None:
        """Send a chunked response of messages."""
        self.head(CHUNKED)
        for message in messages:
            self.chunk(message)
        if end:
            self.send(b"0\r\n\r\n")

    def close(self) -> None:
        """Close; the client sees an orderly end."""
        self._connection.close()

    def reset(self) -> None:
        """Close; the client sees a reset."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def wait_until_closed(self) -> None:
        """Wait until the client has closed its side."""
        self._connection.settimeout(PATIENCE)
        # A client that closes at once leaves what TLS calls an error.
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            assert self._connection.recv(1) == b""


Handler = Callable[[Peer], None]


class Server:
    """Answers every request on loopback as its handler does; has a client that calls it."""

    def __init__(self, authority: Path | None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.authority = authority
        if authority:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(authority)
        scheme = "https" if authority else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.transport = BotoTransport()
        self._changed = threading.Condition()
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.begin(Peer.close)

    def begin(self, handler: Handler) -> None:
        """Answer as another handler from now on."""
        self._handler = handler
        self.requests = self._running = 0
        self.failed: list[BaseException] = []

    def end(self) -> None:
        """Wait until the handler has returned for every request; raise if it has failed."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._running, PATIENCE)
        if self.failed:
            raise self.failed[0]

    def open(self, deadlines: StreamDeadlines = UNLIMITED) -> ResponseStream:
        """Prepare a call."""
        return self.transport.stream(REQUEST, deadlines)

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._peers)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            if self.authority:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._peers.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            peer = Peer(connection)
            while connection.fileno() >= 0 and peer.receive():
                with self._changed:
                    self.requests += 1
                    self._running += 1
                try:
                    self._handler(peer)
                except Exception as error:  # noqa: BLE001 - raised where the handler is ended
                    self.failed.append(error)
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def stop(self) -> None:
        """Stop listening, and end all connections, those that a client's pool keeps too."""
        for stopped in [self._listening, *self._peers]:
            with contextlib.suppress(OSError):
                stopped.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


Serve = Callable[[Handler], Server]


def point_to(url: str, patch: pytest.MonkeyPatch, authority: Path | None = None) -> None:
    """Set the variables that point botocore to a server."""
    if authority:
        patch.setenv("AWS_CA_BUNDLE", str(authority))
    patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
    patch.setenv("AWS_ACCESS_KEY_ID", "local")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def certificate(folder: Path) -> Path:
    """Make a key, and a certificate by it for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (PrivateFormat.PKCS8, NoEncryption())
    path = folder / "loopback.pem"
    pem = key.private_bytes(Encoding.PEM, *form) + made.public_bytes(Encoding.PEM)
    path.write_bytes(pem)
    return path


@pytest.fixture(scope="module", params=["http", "https"])
def scripted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server, with a client, for the whole module: making a client takes 0.3 s."""
    is_tls = request.param == "https"
    server = Server(certificate(tmp_path_factory.mktemp("tls")) if is_tls else None)
    with pytest.MonkeyPatch.context() as patch:
        point_to(server.url, patch, server.authority)
        assert server.transport._clients.runtime.meta.endpoint_url == server.url
    yield server
    server.stop()


@pytest.fixture
def serve(scripted: Server) -> Iterator[Serve]:
    """Have the server answer with a handler, which has to return before the test is over."""

    def start(handler: Handler) -> Server:
        scripted.begin(handler)
        return scripted

    yield start
    scripted.end()


def broken(stream: ResponseStream) -> tuple[list[bytes], exceptions.InferenceError]:
    """Read a stream that breaks: its parts, and its error."""
    parts: list[bytes] = []
    with pytest.raises(exceptions.InferenceError) as caught, stream:
        parts.extend(stream)
    return parts, caught.value


def test_a_whole_stream(serve: Serve) -> None:
    """Parts as they were sent, an empty one too; head, summary, and an end that stays one."""
    server = serve(lambda peer: peer.stream(part(b"a"), part(b"") + part(b"bc")))
    with server.open() as stream:
        assert stream.content_type == "text/event-stream"
        assert stream.invoked_production_variant == "AllTraffic"
        assert stream.custom_attributes == "trace=1"
        assert list(stream) == [b"a", b"", b"bc"]
        assert list(stream) == []
        assert (stream.summary.parts, stream.summary.size, stream.skipped) == (3, 3, 0)


def test_a_stream_read_whole(serve: Serve) -> None:
    """The response value of a stream is its joined parts, and what its head said."""
    server = serve(lambda peer: peer.stream(part(b"a"), part(b"bc")))
    with server.open() as stream:
        response = stream.read()
    assert response.body == b"abc"
    assert response.content_type == "text/event-stream"
    assert response.invoked_production_variant == "AllTraffic"
    assert response.custom_attributes == "trace=1"


def test_a_connection_serves_many_whole_streams(serve: Serve) -> None:
    """After its end a stream gives the connection back; a broken one closes it."""
    server = serve(lambda peer: peer.stream(part(b"a")))
    before = server.connections
    for _ in range(3):
        with server.open() as stream:
            assert list(stream) == [b"a"]
    assert server.connections <= before + 1
    assert server.requests == 3


CRC = part(b"damaged")[:-1] + b"\0"
BROKEN = encoder.exception("ModelStreamError", {"Message": "gone", "ErrorCode": "StreamBroken"})
FAILED = encoder.exception("InternalStreamFailure", {"Message": "ours"})
UNKNOWN = encoder.exception("Brandnew", {"Message": "new"})
UNMODELLED = encoder.message(
    {":message-type": "error", ":error-code": "Throttled", ":error-message": "slow"}, b""
)


def chunked(*last: bytes, end: bool = True) -> Handler:
    """A chunked response with one part before what is last."""

    def handle(peer: Peer) -> None:
        peer.stream(part(b"first"), *last, end=end)
        peer.close()

    return handle


def unchunked(data: bytes, *extra: str) -> Handler:
    """A response that ends with the connection, or is told to be longer than it is."""

    def handle(peer: Peer) -> None:
        peer.head(*extra)
        peer.send(part(b"first") + data)
        peer.close()

    return handle


def within_a_chunk(peer: Peer) -> None:
    """Promise 100 bytes of a chunk, send some."""
    peer.stream(part(b"first"), end=False)
    peer.send(b"64\r\nsome")
    peer.close()


def with_a_reset(peer: Peer) -> None:
    """Reset the connection once the first part was taken."""
    peer.stream(part(b"first"), end=False)
    taken.wait(PATIENCE)
    peer.reset()


taken = threading.Event()


@pytest.mark.parametrize(
    ("handler", "error", "code"),
    [
        pytest.param(chunked(part(b"x")[:-1]), exceptions.StreamTruncated, None, id="truncated"),
        pytest.param(
            unchunked(part(b"x")[:-1], "Connection: close"),
            exceptions.StreamTruncated,
            None,
            id="truncated, not chunked",
        ),
        pytest.param(
            unchunked(b"", "Content-Length: 1000"),
            exceptions.ConnectionLost,
            None,
            id="shorter than its length",
        ),
        pytest.param(chunked(end=False), exceptions.ConnectionLost, None, id="between chunks"),
        pytest.param(within_a_chunk, exceptions.ConnectionLost, None, id="within a chunk"),
        pytest.param(chunked(CRC), exceptions.StreamChecksumMismatch, None, id="wrong CRC"),
        pytest.param(chunked(BROKEN), exceptions.ModelStreamError, "StreamBroken", id="model"),
        pytest.param(chunked(FAILED), exceptions.InternalStreamFailure, None, id="service"),
        pytest.param(chunked(UNKNOWN), exceptions.UnknownStreamError, "Brandnew", id="exception"),
        pytest.param(chunked(UNMODELLED), exceptions.UnknownStreamError, "Throttled", id="error"),
    ],
)
def test_a_stream_that_breaks(
    serve: Serve, handler: Handler, error: type[exceptions.InferenceError], code: str | None
) -> None:
    """The parts before are given, the error is one of ours, and the model may have run."""
    server = serve(handler)
    parts, raised = broken(server.open())
    assert parts == [b"first"]
    assert type(raised) is error
    assert raised.members.get("error_code") == code
    assert raised.may_have_run


def test_a_tls_error_within_a_body_is_a_lost_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a body it means that nothing was sent; here the model has run."""

    def read1(*_: object, **__: object) -> bytes:
        raise urllib3.exceptions.SSLError("bad record")

    server = serve(lambda peer: peer.stream(part(b"a")))
    monkeypatch.setattr(urllib3.HTTPResponse, "read1", read1, raising=False)
    _, error = broken(server.open())
    assert type(error) is exceptions.ConnectionLost


def test_a_reset_is_a_lost_connection(serve: Serve) -> None:
    """Also when it comes while the stream waits."""
    taken.clear()
    server = serve(with_a_reset)
    with server.open() as stream:
        assert next(stream) == b"first"
        taken.set()
        with pytest.raises(exceptions.ConnectionLost):
            next(stream)


def test_an_error_within_a_stream_closes_the_connection(serve: Serve) -> None:
    """What follows an error is not read, and the connection is not used again."""
    closed = threading.Event()

    def handle(peer: Peer) -> None:
        peer.stream(BROKEN, end=False)
        peer.wait_until_closed()
        closed.set()

    server = serve(handle)
    broken(server.open())
    assert closed.wait(PATIENCE)


def test_unknown_events_are_skipped(serve: Serve) -> None:
    """And counted."""
    newer = encoder.message({":message-type": "event", ":event-type": "Usage"}, b"{}")
    server = serve(lambda peer: peer.stream(newer, part(b"a"), newer))
    with server.open() as stream:
        assert list(stream) == [b"a"]
        assert stream.skipped == 2


def test_silence_beyond_the_read_timeout(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own timeout is an error of ours too."""

    def handle(peer: Peer) -> None:
        peer.stream(part(b"first"), end=False)
        peer.wait_until_closed()

    server = serve(handle)
    point_to(server.url, monkeypatch, server.authority)
    parts, error = broken(BotoTransport(read_timeout=0.2).stream(REQUEST))
    assert parts == [b"first"]
    assert type(error) is exceptions.ReadTimeout


@pytest.mark.parametrize("status", ["424 Failed Dependency", "503 Service Unavailable"])
def test_a_refused_call_raises_when_it_is_entered(serve: Serve, status: str) -> None:
    """Errors before the stream are those of any operation."""

    def handle(peer: Peer) -> None:
        content = json.dumps({"Message": "no", "OriginalStatusCode": 500}).encode()
        code = {"4": "ModelError", "5": "ServiceUnavailable"}[status[0]]
        headers = (f"Content-Length: {len(content)}", f"x-amzn-ErrorType: {code}")
        peer.head(*headers, status=status)
        peer.send(content)

    server = serve(handle)
    parts, error = broken(server.open())
    assert parts == []
    assert type(error) in {exceptions.ModelError, exceptions.ServiceUnavailable}


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is an error of ours too, from the thread that makes the call."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        point_to(f"http://127.0.0.1:{gone.getsockname()[1]}", monkeypatch)
    _, error = broken(BotoTransport().stream(REQUEST))
    assert type(error) is exceptions.EndpointUnreachable


def remove(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make urllib3's response an older one, without some of its methods."""
    for owner in urllib3.HTTPResponse.__mro__[:2]:
        for name in names:
            monkeypatch.delattr(owner, name, raising=False)


needs_read1 = pytest.mark.skipif(
    not hasattr(urllib3.HTTPResponse, "read1"),
    reason="urllib3 without read1 fills its blocks when the body is not chunked",
)


@pytest.mark.parametrize(
    ("extra", "has_read1"),
    [
        (CHUNKED, True),
        (CHUNKED, False),
        pytest.param("Connection: close", True, marks=needs_read1),
        pytest.param("Content-Length: {length}", True, marks=needs_read1),
    ],
)
def test_parts_come_as_they_are_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, extra: str, *, has_read1: bool
) -> None:
    """Each part is given before the next is sent, chunked or not (botocore waits for the end)."""
    if not has_read1:
        remove(monkeypatch, "read1")
    messages = [part(bytes([number])) for number in range(4)]
    turns = [threading.Event() for _ in messages]

    def handle(peer: Peer) -> None:
        peer.head(extra.format(length=len(b"".join(messages))))
        send = peer.chunk if extra == CHUNKED else peer.send
        for message, turn in zip(messages, turns, strict=True):
            send(message)
            assert turn.wait(PATIENCE)
        if extra == CHUNKED:
            peer.send(b"0\r\n\r\n")
        peer.close()

    server = serve(handle)
    with server.open() as stream:
        for number, turn in enumerate(turns):
            assert next(stream) == bytes([number])
            turn.set()
        assert list(stream) == []


class Silent:
    """A server that goes silent, and what it saw."""

    def __init__(self, *messages: bytes, before_head: bool = False) -> None:
        self.messages = messages
        self.before_head = before_head
        self.asked = threading.Event()
        self.saw_close = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, peer: Peer) -> None:
        """Send some, then nothing until the client closes."""
        self.asked.set()
        if self.before_head:
            assert self.go_on.wait(PATIENCE)
        peer.stream(*self.messages, end=False)
        peer.wait_until_closed()
        self.saw_close.set()


def in_thread(stream: ResponseStream) -> tuple[threading.Thread, list[object]]:
    """Read a stream in a thread; what it gives and how it ends is in a list."""
    seen: list[object] = []

    def read() -> None:
        try:
            with stream:
                for found in stream:
                    seen.append(found)  # noqa: PERF402 - seen while it runs
        except exceptions.InferenceError as error:
            seen.append(type(error))

    thread = threading.Thread(target=read)
    thread.start()
    return thread, seen


@pytest.fixture(params=["urllib3 2.3", "urllib3 1.26"])
def urllib3_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without what newer versions of urllib3 have."""
    if request.param == "urllib3 1.26":
        remove(monkeypatch, "shutdown", "read1")
    return str(request.param)


@pytest.mark.parametrize("messages", [(), (part(b"a"),)])
def test_cancelling_a_silent_stream(
    serve: Serve, urllib3_version: str, messages: tuple[bytes, ...]
) -> None:
    """A read that waits ends, and the server sees it, though nothing is ever sent again."""
    silent = Silent(*messages)
    server = serve(silent)
    stream = server.open()
    with stream:
        assert [next(stream) for _ in messages] == [b"a"][: len(messages)]
        canceller = threading.Thread(target=stream.cancel)
        canceller.start()
        with pytest.raises(exceptions.StreamCancelled):
            next(stream)
        canceller.join(PATIENCE)
        assert silent.saw_close.wait(PATIENCE)
    with pytest.raises(StopIteration):
        next(stream)


def test_cancelling_ends_a_read_that_waits_at_once(serve: Serve) -> None:
    """Within 0.2 s, of a read timeout of 70; the best of five, for the machine may be busy."""
    took = []
    for _ in range(5):
        silent = Silent(part(b"a"))
        stream = serve(silent).open()
        thread, seen = in_thread(stream)
        assert silent.asked.wait(PATIENCE)
        while not seen:
            thread.join(0.01)
        began = time.monotonic()
        stream.cancel()
        thread.join(PATIENCE)
        took.append(time.monotonic() - began)
        assert seen == [b"a", exceptions.StreamCancelled]
        assert silent.saw_close.wait(PATIENCE)
    assert min(took) < 0.2


def test_cancelling_before_the_head(serve: Serve) -> None:
    """Who waits is free at once; the connection is closed as soon as the head comes."""
    silent = Silent(part(b"a"), before_head=True)
    server = serve(silent)
    stream = server.open()
    thread, seen = in_thread(stream)
    assert silent.asked.wait(PATIENCE)
    stream.cancel()
    thread.join(PATIENCE)
    assert seen == [exceptions.StreamCancelled]
    assert not silent.saw_close.is_set()
    silent.go_on.set()
    assert silent.saw_close.wait(PATIENCE)


def test_cancelling_before_the_call(serve: Serve) -> None:
    """Nothing is sent."""
    server = serve(lambda peer: peer.stream())
    stream = server.open()
    stream.cancel()
    with pytest.raises(exceptions.StreamCancelled), stream:
        pass
    assert server.requests == 0


def test_cancelling_after_the_end(serve: Serve) -> None:
    """The end was seen: it stays one, and the connection stays usable."""
    server = serve(lambda peer: peer.stream(part(b"a")))
    before = server.connections
    for _ in range(3):
        with server.open() as stream:
            assert list(stream) == [b"a"]
            stream.cancel()
            assert list(stream) == []
    assert server.connections <= before + 1


def test_cancelling_drops_what_was_not_taken(serve: Serve) -> None:
    """Parts that are here already are not given after it."""
    silent = Silent(part(b"a") + part(b"b"))
    server = serve(silent)
    with server.open() as stream:
        assert next(stream) == b"a"
        stream.cancel()
        with pytest.raises(exceptions.StreamCancelled):
            next(stream)


def test_leaving_a_stream_closes_it(serve: Serve) -> None:
    """Half read, by a break or an error of the caller's own."""
    silent = Silent(part(b"a"))
    server = serve(silent)
    with server.open() as stream:
        assert next(stream) == b"a"
    assert silent.saw_close.wait(PATIENCE)
    assert list(stream) == []


def test_a_dropped_stream_closes_itself(serve: Serve) -> None:
    """Nobody kept it, so nobody can close it."""
    silent = Silent(part(b"a"))
    server = serve(silent)
    stream = server.open().start()
    assert next(stream) == b"a"
    del stream  # by reference counting: there is no cycle
    assert silent.saw_close.wait(PATIENCE)


@pytest.mark.parametrize(
    ("sent", "deadlines", "name"),
    [
        ([part(b"a")], StreamDeadlines(idle=0.1), "idle"),
        ([part(b"a")], StreamDeadlines(idle=0.1, first_part=5.0, total=9.0), "idle"),
        ([part(b"a")], StreamDeadlines(total=0.5, idle=9.0), "total"),
        ([], StreamDeadlines(first_part=0.5, idle=0.0, total=9.0), "first_part"),
        ([part(b"a")[:-1]], StreamDeadlines(first_part=0.5), "first_part"),
        (None, StreamDeadlines(first_part=0.2), "first_part"),
        (None, StreamDeadlines(total=0.2), "total"),
    ],
)
def test_deadlines_end_a_silent_stream(
    serve: Serve, sent: list[bytes] | None, deadlines: StreamDeadlines, name: str
) -> None:
    """Whichever passes first is named, and the server sees the connection close.

    Without a head, too (None).
    """
    silent = Silent(*(sent or []), before_head=sent is None)
    server = serve(silent)
    parts, error = broken(server.open(deadlines))
    assert type(error) is exceptions.StreamTimeout
    assert (error.deadline, error.seconds) == (name, getattr(deadlines, name))
    assert parts == ([b"a"] if sent == [part(b"a")] else [])
    silent.go_on.set()
    assert silent.saw_close.wait(PATIENCE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The stream's clock, which goes on by `later`."""
    made = SimpleNamespace(later=0.0)
    made.monotonic = lambda: time.monotonic() + made.later
    monkeypatch.setattr(streaming, "time", made)
    return made


def test_the_callers_own_time_is_not_the_models(serve: Serve, clock: SimpleNamespace) -> None:
    """What came while nobody asked is given, however late it is asked for."""
    server = serve(lambda peer: peer.stream(part(b"a"), part(b"b")))
    with server.open(StreamDeadlines(first_part=30.0, idle=30.0)) as stream:
        ended = stream._reader._thread
        assert ended is not None
        ended.join(PATIENCE)
        clock.later += 100.0
        assert next(stream) == b"a"
        clock.later += 100.0
        assert next(stream) == b"b"
        assert list(stream) == []


def test_the_total_is_everybodys_time(serve: Serve, clock: SimpleNamespace) -> None:
    """A stream that never falls silent ends too."""
    never_ends = threading.Event()

    def handle(peer: Peer) -> None:
        peer.head(CHUNKED)
        try:
            while not never_ends.wait(0.0):
                peer.chunk(part(b"a"))
        except OSError:
            never_ends.set()
        peer.close()

    server = serve(handle)
    with server.open(StreamDeadlines(total=30.0)) as stream:
        assert [next(stream) for _ in range(5)] == [b"a"] * 5
        clock.later = 100.0
        with pytest.raises(exceptions.StreamTimeout) as caught:
            list(stream)
    assert caught.value.deadline == "total"
    assert never_ends.wait(PATIENCE)


def test_bytes_are_no_part(serve: Serve, clock: SimpleNamespace) -> None:
    """A message that trickles does not keep a stream alive."""
    message = part(bytes(1000))

    first_taken = threading.Event()

    def handle(peer: Peer) -> None:
        peer.stream(part(b"a"), end=False)
        assert first_taken.wait(PATIENCE)
        peer.chunk(message[:10])
        peer.wait_until_closed()

    server = serve(handle)
    with server.open(StreamDeadlines(idle=30.0)) as stream:
        assert next(stream) == b"a"
        first_taken.set()
        inner = stream._reader.read

        def read(timeout: float | None) -> bytes:
            data = inner(timeout)
            clock.later += 31.0
            return data

        stream._reader.read = read  # type: ignore[method-assign]
        with pytest.raises(exceptions.StreamTimeout):
            next(stream)


def test_who_does_not_read_slows_the_sender_down(serve: Serve) -> None:
    """A bounded number of bytes is read ahead; the rest waits in the sender, and is not lost."""
    message, count = part(bytes(2**20)), 64
    stalled = threading.Event()

    def handle(peer: Peer) -> None:
        peer.head(CHUNKED)
        peer._connection.settimeout(0.3)
        whole = b"".join(f"{len(message):x}\r\n".encode() + message + b"\r\n" for _ in range(count))
        at = 0
        while at < len(whole):
            try:
                at += peer._connection.send(whole[at : at + 2**20])
            except TimeoutError:
                stalled.set()
        peer.send(b"0\r\n\r\n")
        peer._connection.settimeout(None)

    server = serve(handle)
    with server.open() as stream:
        assert stalled.wait(PATIENCE)
        assert stream._reader._size < bodyreader.BUFFER + 2**17
        assert sum(map(len, stream)) == count * 2**20


@pytest.fixture
def behave(
    sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]
) -> Callable[[dict[str, object]], None]:
    """Change the emulated endpoint `scripted`."""

    def put(behaviour: dict[str, object]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{sagemaker_local.endpoint_url}/_admin/endpoints/scripted",
            json.dumps(behaviour).encode(),
            method="PUT",
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            assert response.status == 200

    return put


def test_the_emulators_streams(behave: Callable[[dict[str, object]], None]) -> None:
    """A stream of the local stack is read whole."""
    behave({})
    with BotoTransport().stream(REQUEST) as stream:
        assert list(stream) == [b"{}"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("ModelStreamError", exceptions.ModelStreamError),
        ("InternalStreamFailure", exceptions.InternalStreamFailure),
        ("truncated", exceptions.StreamTruncated),
        ("wrong_crc", exceptions.StreamChecksumMismatch),
        ("reset", exceptions.ConnectionLost),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
def test_the_emulators_faults(
    behave: Callable[[dict[str, object]], None],
    fault: str,
    error: type[exceptions.InferenceError],
    after: int,
) -> None:
    """Every fault that the local stack injects is the error that it is named after."""
    behave({"stream": {"fault": fault, "after_parts": after, "error_code": "StreamBroken"}})
    _, raised = broken(BotoTransport().stream(REQUEST))
    assert type(raised) is error
    if fault == "ModelStreamError":
        assert raised.error_code == "StreamBroken"
