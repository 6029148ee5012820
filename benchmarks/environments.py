"""Interpreters for peers that cannot share ours, each with what its file in `peers/` asks for.

aiobotocore pins another botocore; the SageMaker SDK brings two hundred megabytes; dramatiq and
taskiq are nobody's dependency here. uv makes the environments, in `build/`, once.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PINS = Path(__file__).with_name("peers")

#: Seconds that an installation may take.
PATIENCE = 300


class NotInstalledError(Exception):
    """An environment could not be made."""


@cache
def python(name: str) -> Path:
    """Return the interpreter of an environment: `aio`, `queues` or `sdk`.

    Raises:
        NotInstalledError: says why.
    """
    folder, asked = ROOT / "build" / "peers" / name, PINS / f"{name}.txt"
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != asked.read_text():
        interpreter = str(folder / "bin/python")
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", interpreter, "-r", str(asked))
        installed.write_text(asked.read_text())
    return folder / "bin/python"


def wanted() -> dict[str, str]:
    """Return the versions that are asked for."""
    lines = [line for file in PINS.glob("*.txt") for line in file.read_text().split()]
    return dict(line.split("==") for line in lines if "==" in line)


def _uv(*arguments: str) -> None:
    command = [os.environ.get("UV", str(ROOT / ".uv/bin/uv")), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(str(error)) from error
    if done.returncode:
        raise NotInstalledError(done.stderr.strip()[-500:])
