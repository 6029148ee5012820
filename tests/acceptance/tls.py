"""A certificate authority for one test, and a server that speaks TLS before one that does not."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from celery_sagemaker.local.processes import HOST
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: Names of this machine.
HERE = ("localhost", HOST)

#: Bytes moved at once.
BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("The tests' authority")
        self.certificate = folder / "ca.pem"
        made = (
            _builder("The tests' authority", self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, hosts: Sequence[str] = HERE) -> Identity:
        """Make an identity: a client, or a server on this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        places = [_place(host) for host in hosts]
        made = (
            _builder(name, self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(places), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        found = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        found.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        found.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return found


def _place(host: str) -> x509.GeneralName:
    if host == HOST:
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
    )


class TlsProxy:
    """Takes TLS connections, and hands on what they say.

    Args:
        port: of the server behind it.
        server: who it says it is.
        clients: whose certificates clients must have, if any.
    """

    def __init__(self, port: int, server: Identity, clients: Authority | None) -> None:
        self._behind = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(server.certificate, server.key)
        if clients is not None:
            self._context.load_verify_locations(clients.certificate)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._pumping: list[asyncio.Task[None]] = []
        self.port = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._up.wait()

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._connected, HOST, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._ended.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._pumping)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, to_it = await asyncio.open_connection(HOST, self._behind)
        self._writers += [writer, to_it]
        pumps = [_pump(reader, to_it), _pump(behind, writer)]
        self._pumping += [asyncio.create_task(pump) for pump in pumps]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(BLOCK):
            writer.write(block)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@contextmanager
def tls(port: int, server: Identity, clients: Authority | None = None) -> Iterator[TlsProxy]:
    """TLS before a server, until the end; see `TlsProxy`."""
    proxy = TlsProxy(port, server, clients)
    try:
        yield proxy
    finally:
        proxy.stop()
