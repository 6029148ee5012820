"""The fast transport's own affairs: connections, TLS, proxies, and credentials that change."""

import asyncio
import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from celery_sagemaker.runtime import InvokeEndpointRequest, awsconfig, exceptions
from celery_sagemaker.runtime.fast import FastTransport
from celery_sagemaker.runtime.transport import BotoTransport
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from recorder import Recorded, Recorder, Reply, reply

REQUEST = InvokeEndpointRequest(endpoint_name="e", body=b"body", content_type="text/csv")
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, a region, and no proxy of the machine's own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A server that boto3's configuration points at."""
    with Recorder() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", made.url)
        yield made


def run(
    body: Callable[[FastTransport], Awaitable[None]],
    *,
    max_connections: int = 4,
    connect_timeout: float = 5.0,
    read_timeout: float = 10.0,
) -> None:
    """Run a test's coroutine with a transport."""

    async def limited() -> None:
        async with (
            asyncio.timeout(30),
            FastTransport(
                max_connections=max_connections,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
            ) as transport,
        ):
            await body(transport)

    asyncio.run(limited())


def access_keys(recorder: Recorder) -> list[str]:
    """Return whose signatures came, in order."""
    signatures = [request.header("Authorization") or "" for request in recorder.requests]
    return [text.partition("Credential=")[2].partition("/")[0] for text in signatures]


def test_connections_are_kept(recorder: Recorder) -> None:
    """Requests one after the other share a connection."""

    async def body(transport: FastTransport) -> None:
        for _ in range(20):
            await transport.invoke(REQUEST)

    run(body)
    assert recorder.connections == 1


def test_connections_are_limited(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many requests are in flight as the caller allows; the configuration is read once."""
    three = threading.Barrier(3, timeout=10)
    read = mock.Mock(wraps=awsconfig.read)
    monkeypatch.setattr(awsconfig, "read", read)

    def answer(_: Recorded) -> Reply:
        three.wait()  # goes on when there are three
        return reply()

    recorder.answer = answer

    async def body(transport: FastTransport) -> None:
        await asyncio.gather(*[transport.invoke(REQUEST) for _ in range(60)])

    run(body, max_connections=3)
    assert len(recorder.requests) == 60
    assert recorder.connections == 3
    read.assert_called_once()


def test_a_connection_closed_while_idle_is_not_used(recorder: Recorder) -> None:
    """What a server closed after an answer is noticed before the next request is sent."""
    recorder.answer = lambda _: Reply(reply().data, "close")

    async def body(transport: FastTransport) -> None:
        for number in range(5):
            await transport.invoke(REQUEST)
            while recorder.closed <= number:  # noqa: ASYNC110 - another thread's doing
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)  # the loop has to see it

    run(body)
    assert recorder.connections == 5


def test_a_kept_connection_that_breaks_is_not_tried_twice(recorder: Recorder) -> None:
    """A request that reached the server is not sent again, however the connection ends."""
    answers = iter([reply(), Reply(b"", "close"), reply(), Reply(b"", "reset"), reply()])
    recorder.answer = lambda _: next(answers)

    async def body(transport: FastTransport) -> None:
        for _ in range(2):
            await transport.invoke(REQUEST)
            with pytest.raises(exceptions.ConnectionLost):
                await transport.invoke(REQUEST)
        await transport.invoke(REQUEST)

    run(body)
    assert [request.connection for request in recorder.requests] == [0, 0, 1, 1, 2]


def test_half_a_head_is_no_answer(recorder: Recorder) -> None:
    """Headers that break off are a lost connection, where urllib3 sees an empty answer."""
    recorder.answer = lambda _: Reply(b"HTTP/1.1 200 OK\r\nConte", "close")

    async def body(transport: FastTransport) -> None:
        with pytest.raises(exceptions.ConnectionLost):
            await transport.invoke(REQUEST)

    run(body)


def test_a_cancelled_request_leaves_no_trace(recorder: Recorder) -> None:
    """Its connection is not used for another request, which could get its answer."""
    answers = iter([Reply(b"", "hang"), reply(body=b"second")])
    recorder.answer = lambda _: next(answers)

    async def body(transport: FastTransport) -> None:
        first = asyncio.create_task(transport.invoke(REQUEST))
        while not recorder.requests:  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(0.001)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await transport.invoke(REQUEST)).body == b"second"

    run(body, max_connections=1)
    assert recorder.connections == 2


def test_a_server_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending has a limit of its own: connect timeout and twice the read timeout."""

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await over.wait()
        writer.close()

    over = asyncio.Event()

    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server = await asyncio.start_server(deaf, sock=listener)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        large = InvokeEndpointRequest(endpoint_name="e", body=bytes(6_000_000))
        async with server, FastTransport(connect_timeout=0.2, read_timeout=0.1) as transport:
            with pytest.raises(exceptions.ReadTimeout) as raised:
                await transport.invoke(large)
            over.set()
        assert type(raised.value.__cause__) is TimeoutError  # the limit of the whole

    asyncio.run(main())


def test_closed_is_closed(recorder: Recorder) -> None:
    """After its end a transport says what is wrong."""

    async def body(transport: FastTransport) -> None:
        await transport.invoke(REQUEST)
        await transport.close()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.invoke(REQUEST)

    run(body)


def test_credentials_that_come_later(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that found no credentials looks for them again."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    async def body(transport: FastTransport) -> None:
        with pytest.raises(exceptions.CredentialsUnavailable):
            await transport.invoke(REQUEST)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDLATER")
        await transport.invoke(REQUEST)

    run(body)
    assert access_keys(recorder) == ["AKIDLATER"]


def end(seconds: float) -> str:
    """Return when credentials end, as AWS' services write it."""
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_credentials_of_a_container_rotate(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that are about to end are renewed by botocore while requests go on."""
    lifetimes = iter([60, 60, 3600])
    count = iter(range(1, 10))

    def issue(_: Recorded) -> Reply:
        issued = {
            "AccessKeyId": f"ASIA{next(count)}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": end(next(lifetimes)),
        }
        return reply(
            headers=(("Content-Type", "application/json"),), body=json.dumps(issued).encode()
        )

    async def body(transport: FastTransport) -> None:
        for _ in range(4):
            await transport.invoke(REQUEST)

    with Recorder(issue) as container:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url)
        run(body)
    keys = access_keys(recorder)
    assert keys == sorted(keys)
    assert keys[-2:] == ["ASIA3", "ASIA3"]
    assert len(container.requests) == 3


ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult><Credentials><AccessKeyId>ASIAASSUMED</AccessKeyId>
<SecretAccessKey>secret</SecretAccessKey><SessionToken>of the role</SessionToken>
<Expiration>{}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""

PROFILES = """
[profile worker]
role_arn = arn:aws:iam::123456789012:role/worker
source_profile = user

[profile user]
aws_access_key_id = AKIDUSER
aws_secret_access_key = secret
"""


def test_assumed_roles(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile's role is assumed, once, and its session token is sent."""
    (tmp_path / "config").write_text(PROFILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "worker")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    async def body(transport: FastTransport) -> None:
        await asyncio.gather(*[transport.invoke(REQUEST) for _ in range(5)])

    with Recorder(lambda _: reply(body=ASSUMED.format(end(3600)).encode())) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        run(body)
    assert access_keys(recorder) == ["ASIAASSUMED"] * 5
    assert recorder.requests[0].header("X-Amz-Security-Token") == "of the role"
    assert len(sts.requests) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, and its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's own")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def served(authority: Path) -> ssl.SSLContext:
    """Return a server's TLS settings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    return context


def test_tls(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """A server is trusted by the CA bundle that boto3 is told of."""
    with Recorder(tls=served(authority)) as recorder:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", recorder.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))

        async def body(transport: FastTransport) -> None:
            for _ in range(2):
                await transport.invoke(REQUEST)

        run(body)
        BotoTransport().invoke(REQUEST)
    assert [request.connection for request in recorder.requests] == [0, 0, 1]


@pytest.mark.parametrize(("host", "bundle"), [("127.0.0.1", None), ("localhost", "authority")])
def test_tls_without_trust(
    monkeypatch: pytest.MonkeyPatch, authority: Path, host: str, bundle: str | None
) -> None:
    """Neither an unknown authority nor another name is accepted; nothing is sent to them."""
    with Recorder(tls=served(authority)) as recorder:
        url = f"https://{host}:{recorder.port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
        if bundle:
            monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))

        async def body(transport: FastTransport) -> None:
            with pytest.raises(exceptions.EndpointUnreachable):
                await transport.invoke(REQUEST)

        run(body)
        with pytest.raises(exceptions.EndpointUnreachable):
            BotoTransport().invoke(REQUEST)
    assert recorder.requests == []


def test_plain_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy the whole address is asked for, with the proxy's password, as boto3 does."""
    with Recorder() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://elsewhere.example:81/a")
        monkeypatch.setenv("HTTP_PROXY", f"http://us%40er:pass@127.0.0.1:{proxy.port}")

        async def body(transport: FastTransport) -> None:
            await transport.invoke(REQUEST)

        run(body)
        BotoTransport().invoke(REQUEST)
    first, second = proxy.requests
    assert first.target == second.target == "http://elsewhere.example:81/a/endpoints/e/invocations"
    assert first.header("Host") == second.header("Host") == "elsewhere.example:81"
    assert first.header("Proxy-Authorization") == second.header("Proxy-Authorization")
    assert first.header("Proxy-Authorization") is not None


def test_no_proxy(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY is heeded."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    async def body(transport: FastTransport) -> None:
        await transport.invoke(REQUEST)

    run(body)
    assert len(recorder.requests) == 1


def test_tunnel(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """TLS goes through a proxy's tunnel; the proxy sees an address and its password, no more."""
    with Recorder(tunnel=served(authority)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "https://127.0.0.1:81")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")

        async def body(transport: FastTransport) -> None:
            await transport.invoke(REQUEST)

        run(body)
        BotoTransport().invoke(REQUEST)
    seen = [(request.method, request.target) for request in proxy.requests]
    assert seen == [("CONNECT", "127.0.0.1:81"), ("POST", "/endpoints/e/invocations")] * 2
    ours, inner, boto3s, _ = proxy.requests
    assert ours.header("Proxy-Authorization") == boto3s.header("Proxy-Authorization") is not None
    assert ours.header("Authorization") is None
    assert inner.header("Proxy-Authorization") is None


@pytest.mark.parametrize("status", [407, 503])
def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """No tunnel, no request: it cannot have run."""
    with Recorder(lambda _: reply(status)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "https://127.0.0.1:81")
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)

        async def body(transport: FastTransport) -> None:
            with pytest.raises(exceptions.EndpointUnreachable):
                await transport.invoke(REQUEST)

        run(body)
        with pytest.raises(exceptions.EndpointUnreachable):
            BotoTransport().invoke(REQUEST)


def test_a_proxy_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel that does not open is given up."""
    with Recorder(lambda _: Reply(b"", "hang")) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "https://127.0.0.1:81")
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)

        async def body(transport: FastTransport) -> None:
            with pytest.raises(exceptions.ConnectTimeout):
                await transport.invoke(REQUEST)

        run(body, connect_timeout=0.2)
