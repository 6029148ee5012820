"""Models behind the emulated endpoints of the tests: functions that answer in parts."""

import json
import time
from collections.abc import Iterator
from pathlib import Path


def words(body: bytes, _: str) -> Iterator[bytes]:
    """Give the text back, a word at a time."""
    for word in body.decode().split(" "):
        yield f"{word} ".encode()


def gated(body: bytes, _: str) -> Iterator[bytes]:
    """Say "one ", wait until a file is there, say "two ". The body names the file."""
    yield b"one "
    gate = Path(body.decode())
    while not gate.exists():
        time.sleep(0.01)
    yield b"two "


def tokens(body: bytes, _: str) -> Iterator[bytes]:
    """Answer as a chat model does: server-sent events, cut within records and characters."""
    chunks = [{"choices": [{"delta": {"content": word}}]} for word in body.decode().split("|")]
    events = "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks)
    payload = events.encode() + b"data: [DONE]\n\n"
    for start in range(0, len(payload), 7):
        yield payload[start : start + 7]


def halves(body: bytes, _: str) -> Iterator[str]:
    """Count to 50, wait until a file is there, count to 100. The body names the file."""
    for number in range(100):
        gate = Path(body.decode())
        while number == 50 and not gate.exists():
            time.sleep(0.01)
        yield f"{number} "
