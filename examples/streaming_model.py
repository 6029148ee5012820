"""A model that writes as slowly as a real one, for an emulated endpoint."""

import time
from collections.abc import Iterator

#: Seconds that a word takes.
PACE = 0.08


def tell(body: bytes, _: str) -> Iterator[str]:
    """Tell what was asked, and a story about it, a word at a time."""
    story = f"{body.decode()}. " + "One more time, from the beginning, and slowly. " * 8
    for word in story.split():
        time.sleep(PACE)
        yield f"{word} "
