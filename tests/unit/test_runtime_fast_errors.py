"""aiohttp's exceptions and ours."""

import ssl
from collections.abc import Iterator
from unittest import mock

import aiohttp
import aiohttp.client_exceptions
import pytest
from aiohttp.client_reqrep import ConnectionKey
from celery_sagemaker.runtime import exceptions as ours
from celery_sagemaker.runtime.aiohttp_errors import TABLE, lookup, translate_aiohttp

KEY = ConnectionKey(
    host="h", port=443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
INFO = mock.Mock(real_url="http://h/")

#: One of each of aiohttp's exceptions, and what it becomes.
EXPECTED: list[tuple[BaseException, type[ours.InferenceError]]] = [
    (aiohttp.ClientError("x"), ours.ConnectionLost),
    (aiohttp.ClientResponseError(INFO, (), status=400, message="bad header"), ours.ConnectionLost),
    (aiohttp.ContentTypeError(INFO, ()), ours.ConnectionLost),
    (aiohttp.WSServerHandshakeError(INFO, ()), ours.ConnectionLost),
    (aiohttp.TooManyRedirects(INFO, ()), ours.ConnectionLost),
    (aiohttp.ClientHttpProxyError(INFO, (), status=407), ours.EndpointUnreachable),
    (aiohttp.ClientConnectionError("x"), ours.ConnectionLost),
    (aiohttp.ClientConnectionResetError("x"), ours.ConnectionLost),
    (aiohttp.ClientOSError(104, "reset"), ours.ConnectionLost),
    (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), ours.EndpointUnreachable),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "name")), ours.EndpointUnreachable),
    (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "x")), ours.EndpointUnreachable),
    (
        aiohttp.client_exceptions.UnixClientConnectorError("p", KEY, OSError(2, "x")),
        ours.EndpointUnreachable,
    ),
    (aiohttp.ClientSSLError(KEY, OSError(1, "tls")), ours.EndpointUnreachable),
    (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "tls")), ours.EndpointUnreachable),
    (
        aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "x")),
        ours.EndpointUnreachable,
    ),
    (aiohttp.ServerConnectionError("x"), ours.ConnectionLost),
    (aiohttp.ServerDisconnectedError(), ours.ConnectionLost),
    (aiohttp.ServerTimeoutError("x"), ours.ReadTimeout),
    (aiohttp.ConnectionTimeoutError("x"), ours.ConnectTimeout),
    (aiohttp.SocketTimeoutError("x"), ours.ReadTimeout),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), ours.EndpointUnreachable),
    (aiohttp.ClientPayloadError("x"), ours.ConnectionLost),
    (aiohttp.InvalidURL("u"), ours.ClientConfigurationError),
    (aiohttp.InvalidUrlClientError("u"), ours.ClientConfigurationError),
    (aiohttp.RedirectClientError("x"), ours.ConnectionLost),
    (aiohttp.InvalidUrlRedirectClientError("u"), ours.ClientConfigurationError),
    (aiohttp.NonHttpUrlClientError("u"), ours.ClientConfigurationError),
    (aiohttp.NonHttpUrlRedirectClientError("u"), ours.ClientConfigurationError),
]

#: Newer than the oldest aiohttp that is allowed; each goes by its ancestor.
NEWER: dict[str, type[ours.InferenceError]] = {"UploadAbortedError": ours.ConnectionLost}

#: Not of HTTP requests.
NOT_OURS = {aiohttp.WSMessageTypeError}


def foreign() -> Iterator[type[BaseException]]:
    """Find every exception class of aiohttp's client."""
    for found in vars(aiohttp.client_exceptions).values():
        if isinstance(found, type) and issubclass(found, aiohttp.ClientError):
            yield found


def test_every_exception_of_aiohttp_is_known() -> None:
    """A new class in aiohttp is a decision to be made here."""
    known = {type(error) for error, _ in EXPECTED}
    assert {cls for cls in foreign() if cls.__name__ not in NEWER} == known
    exported = {getattr(aiohttp.client_exceptions, n) for n in aiohttp.client_exceptions.__all__}
    others = {cls for cls in exported if isinstance(cls, type)} - set(foreign())
    assert others <= NOT_OURS


def test_newer_exceptions_go_by_their_ancestor() -> None:
    """Classes that an older aiohttp does not have are looked up all the same."""
    for name, expected in NEWER.items():
        cls = getattr(aiohttp, name, None)
        if cls is not None:
            assert lookup(cls("x")) is expected


def test_the_table_has_no_idle_rows() -> None:
    """Every row of the table decides for some class."""
    decided = {next(cls for cls in type(e).__mro__ if cls in TABLE) for e, _ in EXPECTED}
    assert decided == set(TABLE)


@pytest.mark.parametrize(("error", "expected"), EXPECTED, ids=lambda e: type(e).__name__)
def test_becomes_ours(error: BaseException, expected: type[ours.InferenceError]) -> None:
    """Each becomes its class of ours, with its own text and as the cause."""
    with pytest.raises(ours.InferenceError) as raised, translate_aiohttp():
        raise error
    assert type(raised.value) is expected
    assert raised.value.__cause__ is error
    assert raised.value.message.startswith(f"{expected().message} ({type(error).__name__}: ")


def test_a_timeout_of_the_whole_may_have_run() -> None:
    """The limit of aiohttp for a whole request is a bare TimeoutError."""
    with pytest.raises(ours.ReadTimeout), translate_aiohttp():
        raise TimeoutError


def test_ours_pass_unchanged() -> None:
    """What is ours already stays what it is."""
    error = ours.CredentialsUnavailable("none")
    with pytest.raises(ours.CredentialsUnavailable) as raised, translate_aiohttp():
        raise error
    assert raised.value is error
