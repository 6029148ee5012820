"""The boundary: every foreign exception, by enumeration, and every answer of the service."""

import importlib
import inspect
import io
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import boto3.exceptions
import botocore
import botocore.exceptions
import botocore.parsers
import pytest
import urllib3
import urllib3.exceptions
from celery_sagemaker.runtime import exceptions as ours
from celery_sagemaker.runtime.translation import (
    lookup,
    s3_error,
    service_error,
    translate,
)

#: Foreign exceptions that do not reach a caller, each with the reason.
NEVER_SEEN: Mapping[str, str] = {
    "botocore.model.InvalidShapeError": "a model that does not hold together is not released",
    "botocore.model.InvalidShapeReferenceError": "the same",
    "botocore.model.NoShapeFoundError": "the same",
    "botocore.model.OperationNotFoundError": "operations are called by their methods",
    "botocore.utils.BadIMDSRequestError": "botocore's fetcher of credentials catches it",
    "botocore.utils._RetriesExceededError": "botocore's fetcher of credentials catches it",
    "botocore.utils.InvalidArnException": "botocore's S3 handlers catch it",
    "urllib3.util.ssl_match_hostname.CertificateError": "urllib3 makes an SSLError of it",
}
#: Modules whose exceptions are looked at one by one below, whatever else they import.
LEFT_OUT = ("botocore.vendored", "botocore.docs", "botocore.crt", "urllib3.contrib", "boto3.crt")


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """Every module of a package that can be imported here."""
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.startswith(LEFT_OUT):
            continue
        try:
            yield importlib.import_module(found.name)
        except ImportError:
            continue  # needs an extra that is not installed: awscrt, h2


def foreign() -> Iterator[type[Exception]]:
    """Every exception class that botocore, boto3 and urllib3 define; warnings are none."""
    for package in (botocore, boto3, urllib3):
        for module in modules(package):
            for cls in vars(module).values():
                if (
                    inspect.isclass(cls)
                    and issubclass(cls, Exception)
                    and not issubclass(cls, Warning)
                    and cls.__module__ == module.__name__
                ):
                    yield cls


def full_name(cls: type) -> str:
    """Module and name."""
    return f"{cls.__module__}.{cls.__name__}"


FOREIGN = sorted(set(foreign()), key=full_name)


#: Those whose constructors, and texts, need a real response.
BY_HAND: Mapping[type[Exception], Exception] = {
    urllib3.exceptions.IncompleteRead: urllib3.exceptions.IncompleteRead(1, 2),
    urllib3.exceptions.InvalidChunkLength: urllib3.exceptions.InvalidChunkLength(
        urllib3.HTTPResponse(io.BytesIO()), b"x"
    ),
}


def instance(cls: type[Exception]) -> Exception:
    """An instance of a foreign class, made by its constructor where that can be called blindly."""
    if cls in BY_HAND:
        return BY_HAND[cls]
    if issubclass(cls, botocore.exceptions.ClientError):
        return cls({"Error": {"Code": "ValidationError", "Message": "wrong"}}, "InvokeEndpoint")
    for arguments in ((), ("a",), ("a", "b"), (None, "a", "b"), ("a", "b", "c")):
        try:
            return cls(*arguments)
        except KeyError:
            return _by_keywords(cls)
        except (TypeError, AttributeError, ValueError):
            continue
    made = cls.__new__(cls)
    made.args = ("made without its constructor",)
    return made


def _by_keywords(cls: type[Exception]) -> Exception:
    """Give botocore's message one after the other the names that it formats."""
    keywords: dict[str, str] = {}
    while True:
        try:
            return cls(**keywords)
        except KeyError as missing:
            keywords[missing.args[0]] = f"<{missing.args[0]}>"


def test_the_enumeration_finds_what_is_known() -> None:
    """An enumeration that finds nothing would pass everything."""
    names = {full_name(cls) for cls in FOREIGN}
    assert {
        "boto3.exceptions.S3UploadFailedError",
        "botocore.eventstream.ChecksumMismatch",
        "botocore.exceptions.ClientError",
        "botocore.exceptions.EventStreamError",
        "botocore.exceptions.ReadTimeoutError",
        "botocore.parsers.ResponseParserError",
        "urllib3.exceptions.IncompleteRead",
        "urllib3.exceptions.ProtocolError",
    } <= names
    assert set(NEVER_SEEN) <= names
    assert len(names) > 140


@pytest.mark.parametrize(
    "cls", [cls for cls in FOREIGN if full_name(cls) not in NEVER_SEEN], ids=full_name
)
def test_no_foreign_exception_gets_through(cls: type[Exception]) -> None:
    """Raised within the boundary it comes out as one of ours, with itself as the cause."""
    error = instance(cls)
    with pytest.raises(ours.InferenceError) as caught, translate():
        raise error
    assert caught.value.__cause__ is error
    assert type(caught.value) is not ours.InferenceError


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (botocore.exceptions.ConnectTimeoutError, ours.ConnectTimeout),
        (botocore.exceptions.EndpointConnectionError, ours.EndpointUnreachable),
        (botocore.exceptions.ProxyConnectionError, ours.EndpointUnreachable),
        (botocore.exceptions.SSLError, ours.EndpointUnreachable),
        (botocore.exceptions.ReadTimeoutError, ours.ReadTimeout),
        (botocore.exceptions.ConnectionClosedError, ours.ConnectionLost),
        (botocore.exceptions.ResponseStreamingError, ours.ConnectionLost),
        (botocore.exceptions.NoCredentialsError, ours.CredentialsUnavailable),
        (botocore.exceptions.UnauthorizedSSOTokenError, ours.CredentialsUnavailable),
        (botocore.exceptions.LoginRefreshRequired, ours.CredentialsUnavailable),
        (botocore.exceptions.NoRegionError, ours.ClientConfigurationError),
        (botocore.exceptions.InvalidRegionError, ours.ClientConfigurationError),
        (botocore.exceptions.ProfileNotFound, ours.ClientConfigurationError),
        (botocore.exceptions.ParamValidationError, ours.InvalidRequest),
        (botocore.parsers.ResponseParserError, ours.ConnectionLost),
        (botocore.eventstream.ChecksumMismatch, ours.StreamChecksumMismatch),
        (botocore.eventstream.InvalidPayloadLength, ours.StreamTruncated),
        (urllib3.exceptions.NameResolutionError, ours.EndpointUnreachable),
        (urllib3.exceptions.ReadTimeoutError, ours.ReadTimeout),
        (urllib3.exceptions.SSLError, ours.ConnectionLost),
        (urllib3.exceptions.IncompleteRead, ours.ConnectionLost),
        (urllib3.exceptions.LocationParseError, ours.ClientConfigurationError),
        (ConnectionRefusedError, ours.EndpointUnreachable),
        (BrokenPipeError, ours.ConnectionLost),
        (TimeoutError, ours.ReadTimeout),
        (FileNotFoundError, ours.ClientConfigurationError),
    ],
)
def test_the_nearest_ancestor_decides(cls: type[Exception], expected: type[Exception]) -> None:
    """What is sent is told from what is not, and a timeout from a loss."""
    assert lookup(instance(cls)) is expected


def wrapped(inner: object) -> Exception:
    """What botocore makes of an exception that it has no name for."""
    return botocore.exceptions.HTTPClientError(error=inner)


class OfAHandler(Exception):
    """What a signal handler raises, as Celery's SoftTimeLimitExceeded is."""


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (urllib3.exceptions.URLSchemeUnknown("ftp"), ours.ClientConfigurationError),
        (urllib3.exceptions.ProxySchemeUnsupported("no"), ours.ClientConfigurationError),
        (urllib3.exceptions.DecodeError("damaged"), ours.ConnectionLost),
        (ConnectionResetError("reset"), ours.ConnectionLost),
        (ValueError("Invalid header value"), ours.InvalidRequest),
        ("only text", ours.ConnectionLost),
    ],
)
def test_what_botocore_wraps_is_looked_at(inner: object, expected: type[Exception]) -> None:
    """A request that could not be made is not a connection that was lost."""
    with pytest.raises(expected), translate():
        raise wrapped(inner)


def test_what_a_signal_handler_raised_goes_on() -> None:
    """Else Celery would not see it: botocore wraps it with everything that it does not know."""
    limit = OfAHandler("time is up")
    with pytest.raises(OfAHandler) as caught, translate():
        raise wrapped(limit)
    assert caught.value is limit


@pytest.mark.parametrize("error", [KeyError("ours"), AssertionError(), ours.ModelError("x")])
def test_what_is_not_foreign_is_left_alone(error: Exception) -> None:
    """A mistake of our own, and an error that is one of ours already."""
    with pytest.raises(type(error)) as caught, translate():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@10.0.0.1:443/endpoints",
        "proxy at https://hunter2@proxy",
        "POST\n/\nx-amz-security-token:hunter2\n\nhost",
        "https://host/?X-Amz-Security-Token=hunter2&X-Amz-Date=1",
        'X-Amz-Credential=hunter2"',
    ],
)
def test_no_secret_is_repeated(text: str) -> None:
    """Neither of a foreign message nor of an answer's; the rest of it stays."""
    foreign_error = botocore.exceptions.EndpointConnectionError(endpoint_url=text)
    with pytest.raises(ours.EndpointUnreachable) as caught, translate():
        raise foreign_error
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)
    answered = service_error({"Error": {"Code": "SignatureDoesNotMatch", "Message": text}})
    assert "hunter2" not in str(answered)


def test_a_message_has_an_end() -> None:
    """Else it would be as long as a parameter that botocore quotes."""
    error = botocore.exceptions.ParamValidationError(report="x" * 1_000_000)
    with pytest.raises(ours.InvalidRequest) as caught, translate():
        raise error
    assert len(str(caught.value)) < 3_000


def answer(
    code: str, status: int, message: str = "what happened", **more: object
) -> dict[str, Any]:
    """An answer as botocore hands it over."""
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "id", "HTTPHeaders": {}},
        **more,
    }


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ValidationError", 400, ours.ValidationError),
        ("ValidationException", 400, ours.ValidationError),
        ("ModelError", 424, ours.ModelError),
        ("424", 424, ours.ModelError),
        ("ModelNotReadyException", 429, ours.ModelNotReadyException),
        ("InternalFailure", 500, ours.InternalFailure),
        ("500", 500, ours.InternalFailure),
        ("ServiceUnavailable", 503, ours.ServiceUnavailable),
        ("503", 503, ours.ServiceUnavailable),
        ("InternalDependencyException", 530, ours.InternalDependencyException),
        ("ThrottlingException", 400, ours.ThrottlingException),
        ("ThrottlingException", 429, ours.ThrottlingException),
        ("429", 429, ours.ThrottlingException),
        ("AccessDeniedException", 403, ours.AccessDeniedException),
        ("UnrecognizedClientException", 403, ours.AccessDeniedException),
        ("403", 403, ours.AccessDeniedException),
        ("ExpiredTokenException", 403, ours.ExpiredTokenException),
        ("413", 413, ours.RequestTooLarge),
        ("RequestEntityTooLargeException", 413, ours.RequestTooLarge),
        ("502", 502, ours.UnknownServiceError),
        ("504", 504, ours.UnknownServiceError),
        ("OfTomorrow", 418, ours.UnknownServiceError),
    ],
)
def test_an_answer_is_told_by_code_then_status(
    code: str, status: int, expected: type[ours.ServiceError]
) -> None:
    """A code decides; the status does where the code says nothing."""
    error = service_error(answer(code, status))
    assert type(error) is expected
    assert error.http_status == status
    assert error.request_id == "id"
    assert str(error) == "what happened"


def test_every_error_of_the_model_has_a_class() -> None:
    """Of the service's own; those of its streams are events, and never an answer."""
    from celery_sagemaker.runtime import service  # noqa: PLC0415

    for shape in service.model().error_shapes:
        if not issubclass(ours.by_code[shape.name], ours.StreamError):
            assert service_error(answer(shape.name, 0)).code == shape.name


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Endpoint churn of account 123456789012 not found.", ours.EndpointNotFound),
        ('Could not find endpoint "arn:aws:sagemaker:us-east-1:1:e/x".', ours.EndpointNotFound),
        ("Endpoint churn does not support InvokeEndpoint: it is asynchronous.",
         ours.WrongEndpointKind),
        ("This operation cannot be used with real-time endpoints", ours.WrongEndpointKind),
        ("Variant blue not found", ours.ValidationError),
        ("1 validation error detected", ours.ValidationError),
    ],
)  # fmt: skip
def test_a_validation_error_says_what_it_is(message: str, expected: type[Exception]) -> None:
    """SageMaker has one code for them all."""
    assert type(service_error(answer("ValidationError", 400, message))) is expected


def test_a_model_error_has_its_members() -> None:
    """Under their names in snake case; 0 is a status too, and absent ones are absent."""
    error = service_error(
        answer("ModelError", 424, OriginalStatusCode=0, OriginalMessage="slow", LogStreamArn="arn")
    )
    assert error.original_status_code == 0
    assert error.original_message == "slow"
    assert error.log_stream_arn == "arn"
    bare = service_error(answer("ModelError", 424))
    assert not hasattr(bare, "original_status_code")


def test_an_answer_without_a_message_is_described() -> None:
    """By its status, at least."""
    error = service_error(answer("Odd", 418, ""))
    assert "418" in str(error)
    assert error.error_code == "Odd"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"x-amz-retry-after": "1500"}, 1.5),
        ({"x-amz-retry-after": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_service_may_ask_for_a_wait(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds by the standard's header, milliseconds by AWS' own."""
    response = answer("ThrottlingException", 429)
    response["ResponseMetadata"]["HTTPHeaders"] = headers
    assert getattr(service_error(response), "retry_after", None) == seconds


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchBucket", 404, ours.S3BucketNotFound),
        ("NoSuchKey", 404, ours.S3ObjectNotFound),
        ("404", 404, ours.S3ObjectNotFound),
        ("403", 403, ours.S3AccessDenied),
        ("AccessDenied", 403, ours.S3AccessDenied),
        ("SignatureDoesNotMatch", 403, ours.S3AccessDenied),
        ("ExpiredToken", 400, ours.ExpiredTokenException),
        ("SlowDown", 503, ours.S3Error),
        ("InternalError", 500, ours.S3Error),
    ],
)
def test_an_answer_of_s3_is_told_by_its_code(
    code: str, status: int, expected: type[Exception]
) -> None:
    """The same words mean other things there."""
    error = s3_error(answer(code, status))
    assert type(error) is expected
    assert error.http_status == status
    assert error.error_code == code
