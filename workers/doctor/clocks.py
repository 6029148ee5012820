"""Clocks that should agree. No I/O."""

from .findings import Check, Finding, duration

#: Seconds that two clocks may differ by unnoticed: NTP keeps them within a few milliseconds.
SLACK = 2.0

#: Seconds from which it breaks: AWS refuses a signature that is five minutes old or early.
BROKEN = 240.0

#: Seconds a `Date` header may be off, because it has whole seconds.
HEADER = 1.0


def skew(before: float, theirs: float, after: float) -> float:
    """Return how many seconds another clock is ahead of this machine's.

    Args:
        before: this machine's time when the other was asked.
        theirs: what it answered.
        after: this machine's time when the answer was there.
    """
    return theirs - (before + after) / 2


def judge(
    check: Check,
    subject: str,
    seconds: float,
    *,
    uncertain: float = 0.0,
    broken: float = BROKEN,
) -> Finding:
    """Judge a difference.

    Args:
        check: what is asked.
        subject: whose clock.
        seconds: by which it is ahead of this machine's.
        uncertain: seconds by which the measurement may be off.
        broken: seconds from which it is a fault.
    """
    off = max(0.0, abs(seconds) - uncertain)
    which = "ahead of" if seconds > 0 else "behind"
    seen = f"{duration(abs(seconds))} {which} this machine's clock"
    if off >= broken:
        return check.fault(subject, seen)
    return (
        check.warning(subject, seen)
        if off > SLACK
        else check.ok(subject, "its clock agrees with ours")
    )
