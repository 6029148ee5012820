"""Which errors are tried again, how often, and how long apart.

The numbers stand on what the service does (docs/reference/retries.md gives each its reason in
full). An error that is not in the table is not tried again.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exponential

if TYPE_CHECKING:
    from .endpoints import RetryOverride
    from .settings import Settings

#: Budget tokens, the same as botocore's own retry quota takes.
TRANSIENT = 14
THROTTLED = 5
FREE = 0
#: Statuses by which a container says "not now": queue full, starting, no memory for the model yet.
BUSY = frozenset({429, 503, 507})


@dataclass(frozen=True)
class RetryPolicy:
    """How often one error is tried again. The wait before try n+1 is drawn between 0 and a bound.

    Attributes:
        attempts: calls in all, the first one included; 1 is no retry.
        wait_initial: seconds, the bound of the first wait; every further one is twice as long.
        wait_max: seconds, the longest bound.
        cost: tokens a retry takes from the endpoint's budget.
        reason: why.
    """

    attempts: int
    wait_initial: float
    wait_max: float
    cost: int
    reason: str = ""

    def bound(self, attempt: int) -> float:
        """Seconds, the longest wait after a given attempt (the first is 1)."""
        state = RetryCallState(_CLOCK, None, (), {})
        state.attempt_number = attempt
        return wait_exponential(multiplier=self.wait_initial, max=self.wait_max)(state)


_CLOCK = Retrying()


def _never(reason: str) -> RetryPolicy:
    return RetryPolicy(1, 0.0, 0.0, FREE, reason)


DEFAULTS: Mapping[str, RetryPolicy] = MappingProxyType(
    {
        "ModelNotReadyException": RetryPolicy(
            40, 2.0, 30.0, FREE, "a cold start takes up to 360 s, and waiting for it costs nothing"
        ),
        "ThrottlingException": RetryPolicy(
            10, 1.0, 60.0, THROTTLED, "nothing ran; the account's quota is shared, so wait longer"
        ),
        "InternalFailure": RetryPolicy(
            4, 0.5, 20.0, TRANSIENT, "usually gone at the next call, which reaches another host"
        ),
        "ServiceUnavailable": RetryPolicy(
            6, 1.0, 30.0, TRANSIENT, "nothing ran; capacity comes back within a minute"
        ),
        "InternalDependencyException": RetryPolicy(
            5, 1.0, 30.0, TRANSIENT, "transient (530), and botocore never retries it"
        ),
        "UnknownServiceError:5xx": RetryPolicy(
            3, 1.0, 20.0, TRANSIENT, "the front end's own failure, such as 502"
        ),
        "UnknownServiceError:504": RetryPolicy(
            3, 1.0, 20.0, TRANSIENT, "the front end gave up waiting: the model may have run"
        ),
        "UnknownServiceError:4xx": _never("the same request gets the same answer"),
        "ModelError:0": _never("the model took more than 60 s and would again; use invoke_async"),
        "ModelError:429|503|507": RetryPolicy(
            6, 1.0, 30.0, THROTTLED, "the container is busy or still loading the model"
        ),
        "ModelError:5xx": RetryPolicy(
            3, 1.0, 10.0, TRANSIENT, "perhaps a bad instance; a bug answers the same each time"
        ),
        "ModelError:4xx": _never("the container refuses this payload"),
        "ConnectTimeout": RetryPolicy(6, 1.0, 30.0, TRANSIENT, "nothing was sent"),
        "EndpointUnreachable": RetryPolicy(
            6, 1.0, 30.0, TRANSIENT, "nothing was sent (refused, DNS, TLS, proxy)"
        ),
        "ReadTimeout": RetryPolicy(3, 1.0, 10.0, TRANSIENT, "the model may have run"),
        "ConnectionLost": RetryPolicy(3, 0.5, 10.0, TRANSIENT, "the model may have run"),
        "ModelStreamError": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model ran, and a part of its output was read"
        ),
        "InternalStreamFailure": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model ran, and a part of its output was read"
        ),
        "UnknownStreamError": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model ran, and a part of its output was read"
        ),
        "StreamTruncated": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model ran, and a part of its output was read"
        ),
        "StreamChecksumMismatch": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model ran, and a part of its output was read"
        ),
        "StreamMalformed": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model ran, and a part of its output was read"
        ),
        "StreamTimeout": RetryPolicy(
            2, 1.0, 10.0, TRANSIENT, "the model may have run, and was too slow for a deadline"
        ),
        "RecordTooLarge": _never("the model would write as long a record again"),
        "StreamCancelled": _never("somebody asked for its end"),
        "ExpiredTokenException": RetryPolicy(
            4, 1.0, 10.0, FREE, "refused before the model; the role's next token is seconds away"
        ),
        "CredentialsUnavailable": RetryPolicy(
            4, 1.0, 10.0, FREE, "nothing was sent; the metadata service answers late under load"
        ),
        "S3Error": RetryPolicy(
            4, 0.5, 10.0, FREE, "the S3 client has tried three times within seconds already"
        ),
        "InvalidRequest": _never("the request is wrong and was not sent"),
        "UnsupportedMember": _never("the installed botocore does not know the member"),
        "PayloadTooLarge": _never("the payload stays too large"),
        "NotAllowed": _never("the settings have to be changed first"),
        "ValidationError": _never("the service refuses this request"),
        "RequestTooLarge": _never("the payload stays too large (413)"),
        "AccessDeniedException": _never("a policy has to be changed first"),
        "EndpointNotFound": _never("an endpoint has to be made first"),
        "WrongEndpointKind": _never("the endpoint takes the other operation"),
        "ClientConfigurationError": _never("region, profile or address has to be changed first"),
        "AsyncInferenceFailed": _never("the model ran and failed; its failure object says why"),
        "AsyncDeadlinePassed": _never("the time that was granted is over"),
        "S3AccessDenied": _never("a policy has to be changed first"),
        "S3ObjectNotFound": _never(
            "the object is not there; pending outputs are polled, not tried"
        ),
        "S3BucketNotFound": _never("a bucket has to be made first"),
    }
)

NO_RETRY = _never("not in the table")
#: What an override may name: a line of the table, or the class with all its lines.
CODES = tuple(sorted({*DEFAULTS, *(key.partition(":")[0] for key in DEFAULTS)}))


class Failure(Protocol):
    """What a policy depends on; ``runtime.exceptions.InferenceError`` has it."""

    @property
    def code(self) -> str:
        """The stable key of the error's class."""

    @property
    def may_have_run(self) -> bool:
        """Whether the request was sent and the model may have run."""


def key_of(error: Failure) -> str:
    """Find an error's line in the table."""
    if error.code == "ModelError":
        return f"ModelError:{_model_status(getattr(error, 'original_status_code', None))}"
    if error.code == "UnknownServiceError":
        status = getattr(error, "http_status", None) or 0
        if status == 504:  # noqa: PLR2004 - Gateway Timeout
            return "UnknownServiceError:504"
        return f"UnknownServiceError:{'5xx' if status >= 500 else '4xx'}"  # noqa: PLR2004
    return error.code


def _model_status(status: int | None) -> str:
    if status == 0:
        return "0"
    if status in BUSY:
        return "429|503|507"
    return "5xx" if status is not None and 500 <= status < 600 else "4xx"  # noqa: PLR2004


def policy_for(
    error: Failure,
    settings: "Settings",
    endpoint_name: str,
    *,
    repeatable: bool = False,
    strict: bool = False,
) -> RetryPolicy:
    """Find the policy for an error: the default, changed for its class, then for the endpoint.

    What may have run already is called once, whatever the tables say, unless it is repeatable.

    Args:
        error: what was raised.
        settings: the deployment's settings.
        endpoint_name: the endpoint that was called.
        repeatable: whether the caller says that a second run does no harm.
        strict: whether that is for the caller alone to say, and not for the endpoint's section.
    """
    key = key_of(error)
    policy = DEFAULTS.get(key, NO_RETRY)
    endpoint = settings.endpoint(endpoint_name)
    for table in (settings.retries, endpoint.retries):
        for name in (error.code, key):
            policy = _changed(policy, table.get(name))
    may_repeat = repeatable or (endpoint.repeatable and not strict)
    if may_have_run(error, key) and not may_repeat:
        return replace(policy, attempts=1)
    return policy


def may_have_run(error: Failure, key: str) -> bool:
    """Tell whether the model may have worked on the request without its answer being known."""
    return error.may_have_run or key == "UnknownServiceError:504"


def _changed(policy: RetryPolicy, override: "RetryOverride | None") -> RetryPolicy:
    if override is None:
        return policy
    return replace(policy, **override.model_dump(exclude_none=True))


def wait_seconds(
    policy: RetryPolicy, attempt: int, rng: random.Random, *, retry_after: float | None = None
) -> float:
    """Draw the wait after a failed attempt: full jitter, as tenacity's wait_random_exponential.

    Args:
        policy: the error's policy.
        attempt: the attempt that failed; the first is 1.
        rng: the source of the jitter.
        retry_after: seconds the service asked for; the wait is no shorter, up to ``wait_max``.
    """
    drawn = rng.uniform(0.0, policy.bound(attempt))
    return max(drawn, min(retry_after or 0.0, policy.wait_max))
