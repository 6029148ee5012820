"""Models for the emulator: it finds them where pytest finds the acceptance tests' modules."""


def picky(body: bytes, content_type: str) -> bytes:
    """Answer what was asked, a line for each line; one bad line fails all of them.

    Raises:
        OSError: there is a bad line.
    """
    if b"bad" in body:
        raise OSError(f"bad {content_type}")
    return body
