"""A `celery` command that does not outlive the process that started it.

`python -m celery_sagemaker.workers.cli.child PARENT_PID -A ... worker ...`: a thread looks once a
second whether the parent is still there; when it is not, the worker gets a SIGTERM.
"""

import os
import signal
import sys
import threading
import time

#: Seconds between two looks at the parent.
LOOK_SECONDS = 1.0

#: Seconds an orphan has to end in order.
ORPHAN_SECONDS = 10.0


def end_with(parent: int) -> None:
    """Return never; end this process once its parent is another one."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_SECONDS)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Watch the parent and become Celery's command line."""
    parent = int(sys.argv.pop(1))
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    from celery.__main__ import main as celery  # noqa: PLC0415 - the watch comes first

    celery()


if __name__ == "__main__":
    main()
