"""A wrong wall clock for one process: `time.time()` is off by what a file says.

Python imports this by itself, before anything else, where its folder is on PYTHONPATH. It moves
what Celery, kombu and we take for the time; `datetime.now()` stays. libfaketime would move that as
well, but with the monotonic clock left alone its 0.9.10 lets every `time.sleep` of CPython fail.
"""

import os
import time
from pathlib import Path

#: Seconds between two looks at the file.
LOOK = 0.5

_file = os.environ.get("CHAOS_CLOCK")
_real, _real_ns = time.time, time.time_ns
_looked, _offset = float("-inf"), 0.0


def _by() -> float:
    global _looked, _offset
    if time.monotonic() - _looked >= LOOK:
        _looked, _offset = time.monotonic(), float(Path(str(_file)).read_text("ascii"))
    return _offset


if _file:
    time.time = lambda: _real() + _by()
    time.time_ns = lambda: _real_ns() + int(_by() * 1e9)
