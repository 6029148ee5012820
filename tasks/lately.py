"""What a process has asked or told Redis a moment ago, and need not again."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds that an answer is good for; the clock looks as often.
GOOD = 1.0

#: Answers that are kept at most.
MOST = 1_000


class Lately:
    """Answers of the last second; safe for use by several threads.

    Args:
        good: seconds that one is good for.
        clock: seconds of a clock that only goes on.
    """

    def __init__(self, good: float = GOOD, clock: Callable[[], float] = time.monotonic) -> None:
        self._good = good
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable, ask: Callable[[], T]) -> T:
        """Return what `ask` returned for this key; it is called again when that is old."""
        now = self._clock()
        at, known = self._known.get(key, (now - self._good, None))
        if now - at < self._good:
            return known  # type: ignore[no-any-return] # of `ask`, and of nobody else
        answer = ask()
        with self._lock:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = (now, answer)
        return answer
