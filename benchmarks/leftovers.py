"""Leave nothing behind: all that was started ends with the run, whatever ends that.

A signal ends the children at once, then the run. `timeout`, `make` and a terminal send it to the
whole group, and uv passes it on, so it may come several times: only the first one counts, else the
second would interrupt the clearing up. What a killed peer leaves becomes a child of this process.
After SIGKILL nobody is here to clear up: services end by their guardian, peers by themselves.
"""

import ctypes
import signal
import sys
from contextlib import suppress
from types import FrameType

import psutil

#: Signals that end a run.
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: Of prctl(2): orphans below this process become its children.
PR_SET_CHILD_SUBREAPER = 36

#: Seconds that killed processes may take to be gone.
PATIENCE = 5.0


def clear_up_when_ended() -> None:
    """From now on nothing outlives this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    for ending in ENDINGS:
        signal.signal(ending, _end)


def end_children() -> list[str]:
    """Kill all processes below this one; return their names."""
    children = psutil.Process().children(recursive=True)
    named = list[str]()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            named.append(child.name())
            child.kill()
    psutil.wait_procs(children, timeout=PATIENCE)
    return named


def _end(number: int, _: FrameType | None) -> None:
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    end_children()
    sys.stderr.write(f"Ended by {signal.Signals(number).name}.\n")
    sys.stderr.flush()
    # The context managers on the stack remove folders; there is nothing for them to wait for.
    sys.exit(128 + number)
