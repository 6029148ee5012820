"""The boundary for aiohttp: whatever its client raises becomes one of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp

from . import exceptions as ours
from .translation import clean, translate

#: aiohttp's classes. The most derived one found here decides.
TABLE: Mapping[type[BaseException], type[ours.InferenceError]] = {
    # Nothing was sent.
    aiohttp.ConnectionTimeoutError: ours.ConnectTimeout,
    aiohttp.ClientConnectorError: ours.EndpointUnreachable,
    aiohttp.ClientConnectorCertificateError: ours.EndpointUnreachable,
    aiohttp.ServerFingerprintMismatch: ours.EndpointUnreachable,
    aiohttp.ClientHttpProxyError: ours.EndpointUnreachable,
    aiohttp.InvalidURL: ours.ClientConfigurationError,
    aiohttp.NonHttpUrlClientError: ours.ClientConfigurationError,
    # Something may have been sent.
    aiohttp.ServerTimeoutError: ours.ReadTimeout,
    aiohttp.ClientError: ours.ConnectionLost,
}


@contextmanager
def translate_aiohttp() -> Iterator[None]:
    """Let nothing of aiohttp's through, nor what `translate` stops."""
    with translate():
        try:
            yield
        except aiohttp.ClientError as error:
            raise _translated(error) from error


def lookup(error: aiohttp.ClientError) -> type[ours.InferenceError]:
    """Return our class for an error of aiohttp's, by its nearest ancestor."""
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


def _translated(error: aiohttp.ClientError) -> ours.InferenceError:
    found = lookup(error)
    text = clean(str(error))
    return found(f"{found().message} ({type(error).__name__}: {text})")
