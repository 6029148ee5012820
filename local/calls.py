"""What the emulator was asked: the last calls one by one, and all of them counted."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .refusals import Drop, Refusal

#: Calls that are kept one by one; older ones are still counted.
KEPT = 100_000


@dataclass(slots=True)
class Entry:
    """One call.

    Attributes:
        status: HTTP status that was answered; None while the call is under way, 0 if there is no
            answer.
        error: `ThrottlingException`, `ModelError:503`, `hang`, `stream:cut`, ...; None if all went
            well.
        time: of the call, seconds since the epoch.
    """

    endpoint: str
    operation: str
    inference_id: str | None
    status: int | None = None
    error: str | None = None
    time: float = field(default_factory=time.time)


class Calls:
    """The log.

    Args:
        kept: calls that are kept one by one.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._counts: Counter[tuple[str, str, str]] = Counter()

    @contextmanager
    def noting(self, entry: Entry, status: int) -> Iterator[Entry]:
        """Note one call; `status` is what it is answered with if nothing is raised."""
        self._entries.append(entry)
        try:
            yield entry
            entry.status = status
        except Refusal as refused:
            entry.status, entry.error = refused.status, refused.outcome
            raise
        except Drop as drop:
            entry.status, entry.error = 0, drop.outcome
            raise
        finally:
            outcome = entry.error or str(entry.status)
            self._counts[entry.endpoint, entry.operation, outcome] += 1

    def entries(self, endpoint: str | None = None) -> list[Entry]:
        """Return the last calls, of one endpoint or all, oldest first."""
        return [entry for entry in self._entries if endpoint in (None, entry.endpoint)]

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Count by endpoint, operation, and error or status; calls under way are not in it."""
        counted: dict[str, dict[str, dict[str, int]]] = {}
        for (endpoint, operation, outcome), count in self._counts.items():
            counted.setdefault(endpoint, {}).setdefault(operation, {})[outcome] = count
        return counted

    def clear(self) -> None:
        """Forget all of it."""
        self._entries.clear()
        self._counts.clear()
