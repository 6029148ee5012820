"""A temporary folder for services that leaves nothing behind, whatever happens to its owner.

The guardian is a small process of its own, `python guardian.py PARENT FOLDER`. When its parent is
gone, even by SIGKILL, it kills the services that have a `.pid` file in the folder, and removes the
folder. It looks for its parent, and does not wait for the end of a pipe: a process that the parent
forked would hold the pipe open. It is not left to the kernel's parent death signal: that one comes
with the end of the thread that started a service.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Seconds between two looks at the parent, and between two tries to remove the folder.
LOOK_SECONDS = 0.5
TRY_SECONDS = 0.05

#: Tries to remove the folder: a process that was just killed may still be writing.
TRIES = 100


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """A new folder; removed at the end, or by the guardian."""
    folder = Path(tempfile.mkdtemp(prefix="sagemaker-local-"))
    guardian = subprocess.Popen(  # noqa: S603 - this very file
        [sys.executable, "-P", __file__, str(os.getpid()), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        guardian.kill()
        guardian.wait()


def clear(folder: Path) -> None:
    """Kill the services of a folder and remove it."""
    for note in folder.glob("*.pid"):
        with suppress(OSError, ValueError):
            os.kill(int(note.read_text()), signal.SIGKILL)
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(TRY_SECONDS)


def main(parent: int, folder: Path) -> None:
    """Wait for the parent's end, and clear up after it."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    clear(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
