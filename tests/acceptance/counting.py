"""A model that says how many calls it has at once; the emulator runs it."""

import threading
import time

_lock = threading.Lock()
_in_flight = 0


def count(body: bytes, content_type: str) -> dict[str, int]:
    """Take a tenth of a second; returns the calls that were being answered, this one included."""
    global _in_flight  # noqa: PLW0603 - the model is one process
    with _lock:
        _in_flight += 1
        found = _in_flight
    time.sleep(0.1)
    with _lock:
        _in_flight -= 1
    return {"in_flight": found}
