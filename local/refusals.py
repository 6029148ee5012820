"""Errors as the service writes them: status, `x-amzn-errortype`, a JSON body."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

#: HTTP status of each error.
STATUS: Mapping[str, int] = {
    "ValidationError": 400,
    "ThrottlingException": 400,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "RequestEntityTooLarge": 413,
    "ModelError": 424,
    "ModelNotReadyException": 429,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "InternalDependencyException": 530,
}

ACCOUNT = "123456789012"


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str, members: Mapping[str, Any]) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.members = members

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return STATUS.get(self.code, 500)

    def response(self) -> JSONResponse:
        """Return the answer."""
        content = {"Message": self.message, **self.members}
        return JSONResponse(content, self.status, headers={"x-amzn-errortype": self.code})


def refusal(name: str, endpoint: str) -> Refusal:
    """Return the error of a name; `ModelError:503` is a model that answered 503."""
    code, _, status = name.partition(":")
    if code == "ModelError":
        return model_error(endpoint, int(status or 500), "injected by the emulator")
    return Refusal(code, f"{code}, injected by the emulator.", {})


def model_error(endpoint: str, status: int, message: str) -> Refusal:
    """Return the error of a model that answered badly; status 0 is one that took too long."""
    kind = "client" if 400 <= status < 500 else "server"  # noqa: PLR2004 - client errors
    text = f'Received {kind} error ({status}) from model with message "{message}".'
    members = {
        "OriginalStatusCode": status,
        "OriginalMessage": message[:2048],
        "LogStreamArn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/"
        + endpoint,
    }
    return Refusal("ModelError", text, members)


def not_found(endpoint: str) -> Refusal:
    """Return the error for an endpoint that does not exist."""
    return Refusal("ValidationError", f"Endpoint {endpoint} of account {ACCOUNT} not found.", {})


def wrong_kind(endpoint: str, operation: str) -> Refusal:
    """Return the error for an operation that the endpoint does not serve."""
    text = f"Endpoint {endpoint} does not support {operation}:"
    kind = "it is not asynchronous" if operation == "InvokeEndpointAsync" else "it is asynchronous"
    return Refusal("ValidationError", f"{text} {kind}.", {})
