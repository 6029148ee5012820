"""Every subject at once, each in a thread of its own, and none longer than its time."""

import encodings.idna  # noqa: F401 - names of hosts need it; imported by two threads at once it breaks
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from . import aws, endpoints, ledger, queues, redis_server, s3, schedules, workers
from .findings import Check, Finding, duration
from .target import Target, reason

Examine = Callable[[Target], list[Finding]]

PROBED = Check(
    "doctor.probed",
    "What it would have found is not known.",
    "Mend what is said here first, or grant more time (--timeout), and ask again.",
)

#: What can be examined, in the order in which it is told.
SUBJECTS: Mapping[str, Examine] = MappingProxyType(
    {
        "redis": redis_server.examine,
        "queues": queues.examine,
        "workers": workers.examine,
        "ledger": ledger.examine,
        "schedules": schedules.examine,
        "aws": aws.examine,
        "endpoints": endpoints.examine,
        "s3": s3.examine,
    }
)

#: A subject asks several times: seconds that it has, in answers' times.
ANSWERS = 6


@dataclass
class Examination:
    """One subject's, under way."""

    name: str
    target: Target
    examine: Examine
    _found: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A daemon: one that hangs (in a resolver, say) must not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"doctor-{self.name}", daemon=True)
        self._thread.start()

    def findings(self, seconds: float) -> list[Finding]:
        """Return what was found; that it took too long, after so many seconds."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return [PROBED.fault(self.name, f"no answer within {duration(seconds)}")]
        return self._found

    def _run(self) -> None:
        try:
            self._found = self.examine(self.target)
        except Exception as error:  # noqa: BLE001 - a finding, and never a traceback
            seen = f"{type(error).__name__}: {reason(error)}"
            self._found = [PROBED.fault(self.name, seen)]


def examine(
    target: Target,
    only: Iterable[str] = SUBJECTS,
    subjects: Mapping[str, Examine] = SUBJECTS,
) -> list[Finding]:
    """Examine a deployment.

    Args:
        target: what is examined.
        only: names of subjects.
        subjects: all of them.

    Returns:
        Findings, by subject in the order of `subjects`; those of one subject as it told them.
    """
    chosen = set(only)
    begun = [Examination(name, target, subjects[name]) for name in subjects if name in chosen]
    patience = target.seconds * ANSWERS
    return [finding for one in begun for finding in one.findings(patience)]


def checks() -> dict[str, Check]:
    """Return every check there is, by its id."""
    modules = (redis_server, queues, workers, ledger, schedules, aws, endpoints, s3)
    found = [PROBED, *(v for m in modules for v in vars(m).values() if isinstance(v, Check))]
    return {check.id: check for check in found}
