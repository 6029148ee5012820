"""Answers that are errors, as the service writes them; and answers that never come."""

import re
from collections.abc import Mapping
from typing import Any

#: HTTP status of each error.
STATUS: Mapping[str, int] = {
    "ValidationError": 400,
    "ThrottlingException": 400,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "MissingAuthenticationTokenException": 403,
    "RequestEntityTooLarge": 413,
    "ModelError": 424,
    "ModelNotReadyException": 429,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "InternalDependencyException": 530,
}

#: Ways to give no answer: the connection stays silent, or is reset.
DROPS = frozenset({"hang", "reset"})

#: A model's error with the status it had; or a bare status, as a proxy before the service answers.
_WITH_STATUS = re.compile(r"ModelError:\d{1,3}|[45]\d\d")

#: Characters of a model's own message that are handed on.
ORIGINAL_MESSAGE_LIMIT = 2_048

ACCOUNT = "123456789012"


class Refusal(Exception):
    """An answer that is an error.

    Args:
        code: the error's name, or a bare HTTP status without a name.
        message: its text.
        members: what the error has besides.
    """

    def __init__(self, code: str, message: str, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.members = dict(members or {})

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return int(self.code) if self.code.isdecimal() else STATUS[self.code]

    @property
    def outcome(self) -> str:
        """What the log of calls says: the code, with the model's status if it has one."""
        original = self.members.get("OriginalStatusCode")
        return self.code if original is None else f"{self.code}:{original}"


class Drop(Exception):
    """No answer: `hang` or `reset`."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def known(name: str) -> bool:
    """Whether a fault of this name can be injected."""
    return name in STATUS or name in DROPS or _WITH_STATUS.fullmatch(name) is not None


def injected(name: str, endpoint: str) -> Refusal | Drop:
    """Return the fault of a name; `ModelError:503` is a model that answered 503."""
    if name in DROPS:
        return Drop(name)
    code, _, status = name.partition(":")
    if code == "ModelError":
        return model_error(endpoint, int(status or 500), "injected by the emulator")
    return Refusal(code, f"{code}, injected by the emulator.")


def model_error(endpoint: str, status: int, message: str) -> Refusal:
    """Return the error of a model that answered badly; status 0 is one that took too long."""
    kind = "client" if 400 <= status < 500 else "server"  # noqa: PLR2004 - client errors
    text = f'Received {kind} error ({status}) from model with message "{message}".'
    members = {
        "OriginalStatusCode": status,
        "OriginalMessage": message[:ORIGINAL_MESSAGE_LIMIT],
        "LogStreamArn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/"
        + endpoint,
    }
    return Refusal("ModelError", text[:ORIGINAL_MESSAGE_LIMIT], members)


def not_found(endpoint: str) -> Refusal:
    """Return the error for an endpoint that does not exist."""
    return Refusal("ValidationError", f"Endpoint {endpoint} of account {ACCOUNT} not found.")


def wrong_kind(endpoint: str, operation: str) -> Refusal:
    """Return the error for an operation that the endpoint does not serve."""
    text = f"Endpoint {endpoint} does not support {operation}:"
    kind = "it is not asynchronous" if operation == "InvokeEndpointAsync" else "it is asynchronous"
    return Refusal("ValidationError", f"{text} {kind}.")
