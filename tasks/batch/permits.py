"""How many calls a chunk may have in flight: asked of whoever limits the endpoint's fleet.

The limiter is asked once a beat, with what was answered since, so that a permit costs no round trip
per record.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..limits import SUCCESS, Admission, Limits, resource
from .spec import Spec


@dataclass(frozen=True, slots=True)
class Answers:
    """What an endpoint answered since the last time somebody asked for permits."""

    succeeded: int
    failed: Mapping[str, int]
    """Failed calls by outcome, as `limits.outcome_of` names them."""
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


class FleetPermits:
    """Permits of the fleet's limits, in blocks.

    Args:
        limits: the deployment's.
        name: of what is limited; `limits.resource`.
    """

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._waiter = uuid.uuid4().hex
        self._blocks: list[Admission] = []

    def renew(self, wanted: int, answers: Answers) -> int:
        """Report, give back what others should have, and ask for what is missing."""
        outcomes = {SUCCESS: answers.succeeded, **answers.failed}
        spare = self._held - max(answers.in_flight, 0)
        asked_back = sum(block.asked_back for block in self._blocks)
        self._report(outcomes, max(0, min(spare, max(asked_back, self._held - wanted))))
        if self._held < wanted and not any(block.asked_back for block in self._blocks):
            more = self._limits.admit(self._name, wanted - self._held, waiter=self._waiter)
            self._blocks += [more] if more else []
        return self._held

    def release(self) -> None:
        """Give all permits back."""
        self._report({}, self._held)

    @property
    def _held(self) -> int:
        return sum(block.permits for block in self._blocks)

    def _report(self, outcomes: Mapping[str, int], release: int) -> None:
        for block in self._blocks:
            given = min(release, block.permits)
            release -= given
            block.report(outcomes, release=given)
            outcomes = {}
        self._blocks = [block for block in self._blocks if block.permits]


def permits_for(limits: Limits, spec: Spec) -> Permits:
    """Return the limits of what a job calls, for one run of a chunk."""
    component = spec.members.get("inference_component_name")
    return FleetPermits(limits, resource(spec.endpoint, component))
