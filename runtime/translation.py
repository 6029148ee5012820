"""The one boundary: whatever botocore, urllib3 or a socket raises becomes one of ours."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3.exceptions
import botocore.eventstream
import botocore.exceptions as boto
import botocore.parsers
import urllib3.exceptions as http

from . import exceptions as ours
from .secrets import masked

#: Characters of a foreign message that are kept; SageMaker's own are no longer.
TEXT_MAX = 2_048

#: Error codes that mean the same wherever they come from.
_BY_CODE: Mapping[str, type[ours.ServiceError]] = {
    "ValidationError": ours.ValidationError,
    "ValidationException": ours.ValidationError,
    "ModelError": ours.ModelError,
    "ModelNotReadyException": ours.ModelNotReadyException,
    "InternalFailure": ours.InternalFailure,
    "InternalServerError": ours.InternalFailure,
    "ServiceUnavailable": ours.ServiceUnavailable,
    "ServiceUnavailableException": ours.ServiceUnavailable,
    "InternalDependencyException": ours.InternalDependencyException,
    "Throttling": ours.ThrottlingException,
    "ThrottlingException": ours.ThrottlingException,
    "ThrottledException": ours.ThrottlingException,
    "RequestThrottled": ours.ThrottlingException,
    "TooManyRequestsException": ours.ThrottlingException,
    "RequestLimitExceeded": ours.ThrottlingException,
    "SlowDown": ours.ThrottlingException,
    "AccessDenied": ours.AccessDeniedException,
    "AccessDeniedException": ours.AccessDeniedException,
    "UnrecognizedClientException": ours.AccessDeniedException,
    "InvalidSignatureException": ours.AccessDeniedException,
    "SignatureDoesNotMatch": ours.AccessDeniedException,
    "IncompleteSignature": ours.AccessDeniedException,
    "InvalidClientTokenId": ours.AccessDeniedException,
    "InvalidAccessKeyId": ours.AccessDeniedException,
    "MissingAuthenticationTokenException": ours.AccessDeniedException,
    "OptInRequired": ours.AccessDeniedException,
    "ExpiredToken": ours.ExpiredTokenException,
    "ExpiredTokenException": ours.ExpiredTokenException,
    "RequestExpired": ours.ExpiredTokenException,
}

#: What an answer's status means when its code says nothing.
_BY_STATUS: Mapping[int, type[ours.ServiceError]] = {
    403: ours.AccessDeniedException,
    413: ours.RequestTooLarge,
    424: ours.ModelError,
    429: ours.ThrottlingException,
    500: ours.InternalFailure,
    503: ours.ServiceUnavailable,
    530: ours.InternalDependencyException,
}

#: SageMaker has one code for whatever is wrong with a request; its text tells these two apart.
_NOT_FOUND = re.compile(r"endpoint .*not found|could not find endpoint", re.IGNORECASE)
_WRONG_KIND = re.compile(
    r"(asynchronous|async\b|real-?time|serverless|streaming).*"
    r"(not support|does not|cannot|can't|only)|"
    r"(not support|does not|cannot|only).*(asynchronous|async\b|real-?time|streaming)",
    re.IGNORECASE,
)

#: Foreign classes that are not answers of the service. The most derived one found here decides.
TABLE: Mapping[type[BaseException], type[ours.InferenceError]] = {
    # No answer, says botocore.
    boto.ConnectTimeoutError: ours.ConnectTimeout,
    boto.EndpointConnectionError: ours.EndpointUnreachable,
    boto.ProxyConnectionError: ours.EndpointUnreachable,
    boto.SSLError: ours.EndpointUnreachable,
    boto.ReadTimeoutError: ours.ReadTimeout,
    boto.ConnectionClosedError: ours.ConnectionLost,
    boto.ConnectionError: ours.ConnectionLost,
    boto.HTTPClientError: ours.ConnectionLost,
    boto.ResponseStreamingError: ours.ConnectionLost,
    boto.IncompleteReadError: ours.ConnectionLost,
    # An answer that cannot be read, most often because the rest of it is missing.
    botocore.parsers.ResponseParserError: ours.ConnectionLost,
    UnicodeDecodeError: ours.ConnectionLost,
    boto.FlexibleChecksumError: ours.StreamChecksumMismatch,
    boto.ChecksumError: ours.StreamChecksumMismatch,
    botocore.eventstream.ChecksumMismatch: ours.StreamChecksumMismatch,
    botocore.eventstream.ParserError: ours.StreamTruncated,
    # No credentials, says botocore.
    boto.NoCredentialsError: ours.CredentialsUnavailable,
    boto.PartialCredentialsError: ours.CredentialsUnavailable,
    boto.CredentialRetrievalError: ours.CredentialsUnavailable,
    boto.NoAuthTokenError: ours.CredentialsUnavailable,
    boto.TokenRetrievalError: ours.CredentialsUnavailable,
    boto.SSOError: ours.CredentialsUnavailable,
    boto.LoginError: ours.CredentialsUnavailable,
    boto.MetadataRetrievalError: ours.CredentialsUnavailable,
    boto.RefreshWithMFAUnsupportedError: ours.CredentialsUnavailable,
    # A request that cannot be made, says botocore.
    boto.ParamValidationError: ours.InvalidRequest,
    boto.ValidationError: ours.InvalidRequest,
    # Whatever else botocore raises comes from its own set-up: region, profile, address, data.
    boto.BotoCoreError: ours.ClientConfigurationError,
    boto.InvalidRegionError: ours.ClientConfigurationError,
    boto.UndefinedModelAttributeError: ours.ClientConfigurationError,
    boto3.exceptions.Boto3Error: ours.ClientConfigurationError,
    # What botocore lets through from urllib3, in the middle of a body.
    http.ConnectTimeoutError: ours.ConnectTimeout,
    http.NewConnectionError: ours.EndpointUnreachable,
    http.ProxyError: ours.EndpointUnreachable,
    http.LocationValueError: ours.ClientConfigurationError,
    http.ProxySchemeUnsupported: ours.ClientConfigurationError,
    http.TimeoutError: ours.ReadTimeout,
    http.HTTPError: ours.ConnectionLost,
    # And from sockets. An SSL error of a handshake is botocore's above.
    socket.gaierror: ours.EndpointUnreachable,
    ssl.SSLError: ours.ConnectionLost,
    ConnectionRefusedError: ours.EndpointUnreachable,
    TimeoutError: ours.ReadTimeout,
    ConnectionError: ours.ConnectionLost,
    # Files and programs that the AWS configuration names: certificates, a credential_process.
    OSError: ours.ClientConfigurationError,
    json.JSONDecodeError: ours.ClientConfigurationError,
}

#: What botocore wraps when it cannot make a request, by the nearest ancestor: a header's value.
_UNSENDABLE = (ValueError, TypeError)

Classify = Callable[[Mapping[str, Any]], ours.InferenceError]


def lookup(error: BaseException) -> type[ours.InferenceError] | None:
    """Return our class for a foreign error that is no answer, by its nearest ancestor."""
    return next((TABLE[cls] for cls in type(error).__mro__ if cls in TABLE), None)


@contextmanager
def translate(classify: Classify | None = None) -> Iterator[None]:
    """Let nothing foreign through.

    botocore wraps whatever is raised while it waits for an answer. What is not of the way there,
    such as Celery's SoftTimeLimitExceeded out of a signal handler, goes on as it was.

    Args:
        classify: makes an error of an answer (botocore's `ClientError.response`); by default
            `service_error`.
    """
    try:
        yield
    except boto.ClientError as error:
        raise (classify or service_error)(error.response) from error
    except tuple(TABLE) as error:
        inner = _wrapped(error)
        found = lookup(inner)
        if found is None and isinstance(inner, _UNSENDABLE):
            found = ours.InvalidRequest
        if found is None:
            raise inner from None
        raise found(f"{found().message} {_text(error)}") from error


def _wrapped(error: BaseException) -> BaseException:
    """Return what botocore could give no name of its own, or the error itself."""
    if type(error) is not boto.HTTPClientError:
        return error
    inner: object = error.kwargs.get("error")
    return inner if isinstance(inner, BaseException) else error


def service_error(response: Mapping[str, Any]) -> ours.ServiceError:
    """Return the error that an answer of SageMaker is."""
    code, message, members = _answer(response)
    found = _BY_CODE.get(code) or _BY_STATUS.get(members.get("http_status", 0))
    if found is ours.ValidationError:
        if _NOT_FOUND.search(message):
            found = ours.EndpointNotFound
        elif _WRONG_KIND.search(message):
            found = ours.WrongEndpointKind
    if found is ours.ModelError:
        members |= _model_error(response)
    if found is None:
        found = ours.UnknownServiceError
        members["error_code"] = code
    return found(message or f"{found().message} (HTTP {members.get('http_status')})", members)


def s3_error(response: Mapping[str, Any]) -> ours.InferenceError:
    """Return the error that an answer of S3 is."""
    code, message, members = _answer(response)
    status = members.get("http_status")
    members["error_code"] = code
    if code == "NoSuchBucket":
        return ours.S3BucketNotFound(message, members)
    if code in {"NoSuchKey", "404", "NotFound"}:
        return ours.S3ObjectNotFound(message, members)
    if _BY_CODE.get(code) is ours.ExpiredTokenException:
        return ours.ExpiredTokenException(message, members)
    if code in {"AccessDenied", "403"} or status == 403:  # noqa: PLR2004 - Forbidden
        return ours.S3AccessDenied(message, members)
    return ours.S3Error(f"{code}: {message}", members)


def _answer(response: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    error = response.get("Error", {})
    metadata = response.get("ResponseMetadata", {})
    found = {
        "http_status": metadata.get("HTTPStatusCode"),
        "request_id": metadata.get("RequestId"),
        "retry_after": _retry_after(metadata.get("HTTPHeaders", {})),
    }
    members = {name: value for name, value in found.items() if value is not None}
    return str(error.get("Code", "")), clean(str(error.get("Message", ""))), members


def _model_error(response: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "original_status_code": response.get("OriginalStatusCode"),
        "original_message": response.get("OriginalMessage"),
        "log_stream_arn": response.get("LogStreamArn"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the wait that the service asks for, in seconds.

    AWS has a header of its own, in milliseconds. Retry-After's form with a date is not used there.
    """
    for name, unit in (("x-amz-retry-after", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return None


def _text(error: BaseException) -> str:
    return f"({type(error).__name__}: {clean(str(error))})"


def clean(text: str) -> str:
    """Return a foreign message without what is nobody's business, and no longer than ours."""
    return masked(text)[:TEXT_MAX]
