"""What the emulated endpoints of the chaos runs answer with."""

import time
from collections.abc import Iterator

#: Seconds between two parts of a stream.
PACE = 0.03


def paced(body: bytes, _: str) -> Iterator[bytes]:
    """Give the text back, a word at a time."""
    for word in body.decode().split(" "):
        time.sleep(PACE)
        yield f"{word} ".encode()
