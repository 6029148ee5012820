"""What the doctor says: findings, and the checks that they answer. No I/O."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Good to know; nothing has to be done."""
    WARNING = "warning"
    """It works, and costs more or protects less than it should."""
    FAULT = "fault"
    """Something does not work, or what is promised does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    id: str
    """Of the check; stable, for scripts."""
    severity: Severity
    subject: str
    """What was looked at: a server, an endpoint, a location, a worker, a queue."""
    seen: str
    consequence: str = ""
    """What follows from it; empty if all is well."""
    remedy: str = ""
    """What to do about it; empty if all is well."""
    setting: str = ""
    """The key of our settings, or the option of Redis, that it is about."""

    @property
    def group(self) -> str:
        """The subject's kind: the id's first part."""
        return self.id.partition(".")[0]

    @property
    def well(self) -> bool:
        """Whether nothing has to be done."""
        return self.severity in {Severity.OK, Severity.NOTE}

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return {**asdict(self), "severity": str(self.severity)}


@dataclass(frozen=True, slots=True)
class Check:
    """A question, with what follows from a bad answer and what helps.

    Args:
        id: GROUP.NAME.
        consequence: what a bad answer costs.
        remedy: what helps.
        setting: which key decides it, if one does.
    """

    id: str
    consequence: str
    remedy: str
    setting: str = ""

    def ok(self, subject: str, seen: str) -> Finding:
        """All is well."""
        return Finding(
            id=self.id, severity=Severity.OK, subject=subject, seen=seen, setting=self.setting
        )

    def note(self, subject: str, seen: str) -> Finding:
        """Good to know."""
        return self._bad(Severity.NOTE, subject, seen)

    def warning(self, subject: str, seen: str) -> Finding:
        """It works, and not as it should."""
        return self._bad(Severity.WARNING, subject, seen)

    def fault(self, subject: str, seen: str) -> Finding:
        """It does not work, or a promise does not hold."""
        return self._bad(Severity.FAULT, subject, seen)

    def holds(self, well: object, subject: str, seen: str) -> Finding:
        """All is well or it is a fault."""
        return self.ok(subject, seen) if well else self.fault(subject, seen)

    def should(self, well: object, subject: str, seen: str) -> Finding:
        """All is well or it is worth a warning."""
        return self.ok(subject, seen) if well else self.warning(subject, seen)

    def _bad(self, severity: Severity, subject: str, seen: str) -> Finding:
        return Finding(
            id=self.id,
            severity=severity,
            subject=subject,
            seen=seen,
            consequence=self.consequence,
            remedy=self.remedy,
            setting=self.setting,
        )


def count(findings: Iterable[Finding]) -> dict[Severity, int]:
    """Count findings by severity, the worst first."""
    found = [finding.severity for finding in findings]
    return {severity: found.count(severity) for severity in reversed(Severity)}


def counted(number: int, what: str) -> str:
    """Write a number of things: `1 worker`, `2 workers`, `1,000 workers`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


#: Seconds below which tenths of a millisecond are told.
TENTHS = 0.01


def duration(seconds: float) -> str:
    """Write a duration for people: `250 ms`, `12 s`, `3 h`, `2 d`."""
    if seconds < 1:
        return f"{seconds * 1000:.{1 if seconds < TENTHS else 0}f} ms"
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def size(number: float) -> str:
    """Write a number of bytes for people: `1.2 MB`."""
    for unit in ("B", "KB", "MB"):
        if number < 1_000:  # noqa: PLR2004 - three digits
            return f"{number:.3g} {unit}"
        number /= 1_000
    return f"{number:.3g} GB"
