"""What the outcome of a call says about the endpoint's load and health.

Load moves the limit (`aimd`), health moves the breaker (`breaker`). Outcomes are named by the lines
of the retry table, `config.retries.key_of`. Whatever is not listed is the caller's own affair
(credentials, permissions, a request that was refused, S3) and says nothing about the endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from types import MappingProxyType

from ...config import retries
from ...runtime.exceptions import InferenceError

#: Outcome of a call that was answered.
SUCCESS = "success"

#: Outcome of a call that ended in no error of ours: it says nothing.
UNKNOWN = "unknown"


class Says(Flag):
    """What one outcome says."""

    NOTHING = 0
    GROW = auto()
    """The model ran: there may be room for more."""
    CUT = auto()
    """There was no room for this call."""
    UP = auto()
    """The endpoint answered."""
    DOWN = auto()
    """The endpoint did not answer, or could not."""


_SAYS: Mapping[str, Says] = MappingProxyType(
    {
        SUCCESS: Says.GROW | Says.UP,
        # The container refused the payload: it is alive and took the call.
        "ModelError:4xx": Says.GROW | Says.UP,
        # The usual answer of a handler to a payload that it cannot read: were it DOWN, a batch
        # of bad records would close the endpoint to everybody, and no probe could ever open it.
        "ModelError:5xx": Says.UP,
        # The container's queue is full. It says so itself, hence it is up.
        "ModelError:429|503|507": Says.CUT | Says.UP,
        # Said by the front door, for the account: nothing about this endpoint's health.
        "ThrottlingException": Says.CUT,
        # No capacity, or no healthy instance: nobody can tell which.
        "ServiceUnavailable": Says.CUT | Says.DOWN,
        # The calls in front of it took all the time there is, or the endpoint hangs.
        "ModelError:0": Says.CUT | Says.DOWN,
        "ReadTimeout": Says.CUT | Says.DOWN,
        "UnknownServiceError:504": Says.CUT | Says.DOWN,
        # Failures of SageMaker, or of the way to it; fewer calls would not help.
        "InternalFailure": Says.DOWN,
        "InternalDependencyException": Says.DOWN,
        "UnknownServiceError:5xx": Says.DOWN,
        "ConnectTimeout": Says.DOWN,
        "EndpointUnreachable": Says.DOWN,
        "ConnectionLost": Says.DOWN,
        # A model is being loaded. That ends by itself, at any concurrency; cutting would leave
        # the endpoint at one call when the cold start is over, and opening would prolong it.
        "ModelNotReadyException": Says.NOTHING,
    }
)


def says(outcome: str) -> Says:
    """Return what an outcome says; nothing if it is not one of the endpoint's."""
    return _SAYS.get(outcome, Says.NOTHING)


def outcome_of(error: BaseException) -> str:
    """Name the outcome of a call that raised."""
    return retries.key_of(error) if isinstance(error, InferenceError) else UNKNOWN


@dataclass(frozen=True, slots=True)
class Tally:
    """How many calls there were, and how many of them say what."""

    calls: int = 0
    grow: int = 0
    cut: int = 0
    up: int = 0
    down: int = 0

    @classmethod
    def of(cls, outcomes: Mapping[str, int]) -> "Tally":
        """Count outcomes by what they say."""

        def count(what: Says) -> int:
            return sum(n for outcome, n in outcomes.items() if what in says(outcome))

        return cls(
            sum(outcomes.values()),
            count(Says.GROW),
            count(Says.CUT),
            count(Says.UP),
            count(Says.DOWN),
        )
