"""How many calls a chunk may have in flight: asked of whoever limits the endpoint's fleet.

The limiter is asked once a beat, with what was answered since, so that a permit costs no round trip
per record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answers:
    """What an endpoint answered since the last time somebody asked for permits."""

    succeeded: int
    failed: Mapping[str, int]
    """Failed calls by error code."""
    in_flight: int
    """Calls that are not answered yet."""


class Permits(Protocol):
    """Limits the calls of one run of a chunk; called from a thread, never by two at once."""

    def renew(self, wanted: int, answers: Answers) -> int:
        """Report, keep the block of permits, and ask for one of another size.

        Args:
            wanted: calls that the run would have in flight.
            answers: since the last renewal.

        Returns:
            Calls that may be in flight until the next renewal; 0 while the breaker is open.
        """

    def release(self) -> None:
        """Give all permits back."""


class Unlimited:
    """Grants what is wanted."""

    def renew(self, wanted: int, answers: Answers) -> int:  # noqa: ARG002 - it limits nothing
        """Grant what is wanted."""
        return wanted

    def release(self) -> None:
        """Do nothing: nothing was counted."""


def permits_for(endpoint: str) -> Permits:  # noqa: ARG001 - nothing limits endpoints yet
    """Return the limits of an endpoint, for one run of a chunk."""
    return Unlimited()
