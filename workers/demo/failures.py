"""Failed calls that the ledger noted: how many of each class, at which attempt."""

from collections import Counter
from collections.abc import Iterable

from celery import Celery


def by_class_and_attempt(app: Celery, ids: Iterable[str]) -> Counter[tuple[str, int]]:
    """Count failed calls by error code and by which failure of that code it was.

    A request that was throttled twice and then answered counts once under
    `("ThrottlingException", 1)` and once under `("ThrottlingException", 2)`.
    """
    from ...tasks import status  # noqa: PLC0415

    counted: Counter[tuple[str, int]] = Counter()
    for id_ in ids:
        found = status(id_, app=app)
        for code, times in found.attempts.items() if found else ():
            counted.update((code, number + 1) for number in range(times))
    return counted
