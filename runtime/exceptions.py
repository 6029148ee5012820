"""Every way in which an inference can fail, as one family.

::

    InferenceError
    ├─ InvalidRequest                 refused here, nothing was sent
    │  ├─ UnsupportedMember
    │  ├─ PayloadTooLarge
    │  └─ NotAllowed
    ├─ ServiceError                   the service answered
    │  ├─ ValidationError
    │  ├─ ModelError
    │  ├─ ModelNotReadyException
    │  ├─ InternalFailure
    │  ├─ ServiceUnavailable
    │  ├─ InternalDependencyException
    │  ├─ ThrottlingException
    │  ├─ AccessDeniedException
    │  ├─ ExpiredTokenException
    │  ├─ EndpointNotFound
    │  ├─ WrongEndpointKind
    │  ├─ RequestTooLarge
    │  └─ UnknownServiceError
    ├─ StreamError                    a response stream broke after it began
    │  ├─ ModelStreamError
    │  ├─ InternalStreamFailure
    │  ├─ UnknownStreamError
    │  ├─ StreamTruncated
    │  ├─ StreamChecksumMismatch
    │  ├─ StreamMalformed
    │  ├─ RecordTooLarge
    │  ├─ StreamTimeout
    │  └─ StreamCancelled
    ├─ TransportError                 no answer came
    │  ├─ ConnectTimeout
    │  ├─ EndpointUnreachable
    │  ├─ ReadTimeout
    │  └─ ConnectionLost
    ├─ CredentialsUnavailable
    ├─ ClientConfigurationError
    ├─ AsyncError                     an asynchronous inference ended without an output
    │  ├─ AsyncInferenceFailed
    │  └─ AsyncDeadlinePassed
    └─ S3Error
       ├─ S3AccessDenied
       ├─ S3ObjectNotFound
       └─ S3BucketNotFound

An error is its class, a message and its members; `args` holds the latter two, so that pickle and
Celery's JSON result backend rebuild it whole.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

by_code: dict[str, type["InferenceError"]] = {}
"""Every class by its stable code."""


class InferenceError(Exception):
    """The inference failed.

    Args:
        message: for people; by default the first line of the class' docstring.
        members: what the error says beyond it; readable as attributes. JSON values: what is
            none is kept as text, since Celery's JSON backend could not rebuild the error else.
    """

    code: ClassVar[str] = "InferenceError"
    """Names the class in settings and in the ledger; the service's own code where it has one."""
    may_have_run: ClassVar[bool] = False
    """Whether the request was sent, and the model may have run, without its answer being known."""

    def __init__(
        self, message: str | None = None, members: Mapping[str, Any] | None = None
    ) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n", 1)[0]
        self.members = {str(name): _jsonable(value) for name, value in (members or {}).items()}
        super().__init__(self.message, self.members)

    def __init_subclass__(cls) -> None:
        cls.code = cls.__dict__.get("code", cls.__name__)
        by_code[cls.code] = cls

    def __str__(self) -> str:
        return self.message

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["members"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no member {name!r}") from None

    def to_json(self) -> dict[str, Any]:
        """Return code, message and members."""
        return {"code": self.code, "message": self.message, "members": self.members}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "InferenceError":
        """Rebuild an error; one whose code is unknown here becomes an `InferenceError`."""
        found = by_code.get(values["code"], InferenceError)
        return found(values.get("message"), values.get("members"))

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), (self.message, self.members)


def _jsonable(value: Any) -> Any:
    match value:
        case None | str() | int() | float():
            return value
        case bytes():
            return value.decode(errors="backslashreplace")
        case Mapping():
            return {str(name): _jsonable(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_jsonable(item) for item in value]
    return str(value)


by_code[InferenceError.code] = InferenceError
from_json = InferenceError.from_json


class InvalidRequest(InferenceError):
    """The request cannot be right, and was not sent.

    Members: violations.
    """


class UnsupportedMember(InvalidRequest):
    """The installed botocore does not have a member of the request."""


class PayloadTooLarge(InvalidRequest):
    """The payload is larger than the operation takes."""


class NotAllowed(InvalidRequest):
    """The settings do not allow it; nothing was sent.

    Members: endpoint, or location.
    """


class ServiceError(InferenceError):
    """SageMaker answered with an error.

    Members: http_status, request_id, retry_after (seconds).
    """


class ValidationError(ServiceError):
    """SageMaker refused the request (400)."""


class ModelError(ServiceError):
    """The model's container failed (424).

    Members: original_status_code (0: it took over 60 s), original_message, log_stream_arn.
    """


class ModelNotReadyException(ServiceError):
    """The model is still being loaded (429)."""


class InternalFailure(ServiceError):
    """SageMaker failed (500)."""


class ServiceUnavailable(ServiceError):
    """SageMaker has no capacity for the request now (503)."""


class InternalDependencyException(ServiceError):
    """Something that SageMaker depends on failed (530)."""


class ThrottlingException(ServiceError):
    """Too many requests."""


class AccessDeniedException(ServiceError):
    """The credentials do not allow the call (403)."""


class ExpiredTokenException(ServiceError):
    """The session's credentials have expired (403)."""


class EndpointNotFound(ServiceError):
    """There is no endpoint of that name in this account and region."""


class WrongEndpointKind(ServiceError):
    """The endpoint does not serve this operation: it is asynchronous, or it is not."""


class RequestTooLarge(ServiceError):
    """SageMaker or the container found the request too large (413)."""


class UnknownServiceError(ServiceError):
    """The answer is an error that is not in SageMaker Runtime's model.

    Members: error_code.
    """


class StreamError(InferenceError):
    """The response stream broke after it had begun."""

    may_have_run = True


class ModelStreamError(StreamError):
    """The model broke the stream.

    Members: error_code.
    """


class InternalStreamFailure(StreamError):
    """SageMaker broke the stream."""


class UnknownStreamError(StreamError):
    """The stream ended with an error that is not in its model.

    Members: error_code.
    """


class StreamTruncated(StreamError):
    """The stream ended within a message."""


class StreamChecksumMismatch(StreamError):
    """A message of the stream was damaged on its way."""


class StreamMalformed(StreamError):
    """A message of the stream arrived whole and does not follow the encoding."""


class RecordTooLarge(StreamError):
    """A record of the stream is longer than was allowed.

    Members: limit (bytes).
    """


class StreamTimeout(StreamError):
    """The stream passed a deadline.

    Members: deadline, seconds.
    """


class StreamCancelled(StreamError):
    """The stream was cancelled here before its end."""


class TransportError(InferenceError):
    """No answer came."""


class ConnectTimeout(TransportError):
    """No connection was made in time; nothing was sent."""


class EndpointUnreachable(TransportError):
    """No connection could be made; nothing was sent."""


class ReadTimeout(TransportError):
    """The request was sent and no answer came in time; the model may have run."""

    may_have_run = True


class ConnectionLost(TransportError):
    """The connection broke after the request was sent; the model may have run."""

    may_have_run = True


class CredentialsUnavailable(InferenceError):
    """No AWS credentials were found."""


class ClientConfigurationError(InferenceError):
    """The AWS configuration is wrong: region, profile or endpoint address."""


class AsyncError(InferenceError):
    """The asynchronous inference ended without an output."""


class AsyncInferenceFailed(AsyncError):
    """The model failed.

    Members: content (of the failure object), failure_location.
    """


class AsyncDeadlinePassed(AsyncError):
    """Neither output nor failure appeared in time.

    Members: deadline, output_location.
    """


class S3Error(InferenceError):
    """S3 failed.

    Members: http_status, error_code.
    """


class S3AccessDenied(S3Error):
    """S3 refused access (403).

    Without s3:ListBucket on the bucket, absent objects look so too.
    """


class S3ObjectNotFound(S3Error):
    """The object is not there."""


class S3BucketNotFound(S3Error):
    """The bucket is not there."""
