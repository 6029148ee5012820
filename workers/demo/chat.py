"""How the demo's container talks about an image: as chat models do, in server-sent events.

What it writes is cut at places where no record ends, so that whoever reads it has to put records,
and the characters in them, together again.
"""

import json
from collections.abc import Iterable, Iterator

#: What a request accepts that wants to be told in words; and the answer's type.
CONTENT_TYPE = "text/event-stream"

#: A pixel's shades, each of several bytes; two of a character are about a square.
SHADES = "░▒▓█"

#: Values of a pixel: 0 to 16.
GREYS = 17

#: Pixels of a row.
ROW = 8

#: Bytes of an event that come with the next piece. After a row of the picture has come its line
#: break, its quotation mark and what closes the JSON: 9 bytes. One more is within a character.
HELD = 10

#: Seconds between two pieces, about as fast as a small language model.
PIECE_SECONDS = 0.04


def answer(body: str, digit: int) -> Iterator[str]:
    """Draw an image and say what it shows, a row or a word at a time."""
    greys = [int(value) for value in body.split(",")]
    for start in range(0, len(greys), ROW):
        yield "".join(_shade(grey) * 2 for grey in greys[start : start + ROW]) + "\n"
    for word in f"This looks like a handwritten {digit} to me.\n".split(" "):
        yield word if word.endswith("\n") else f"{word} "


def _shade(grey: int) -> str:
    return SHADES[grey * len(SHADES) // GREYS]


def events(words: Iterable[str]) -> Iterator[bytes]:
    """Write words as chat completion chunks, and the end as OpenAI's servers do."""
    for word in words:
        yield _event({"index": 0, "finish_reason": None, "delta": {"content": word}})
    yield _event({"index": 0, "delta": {}, "finish_reason": "stop"})
    yield b"data: [DONE]\n\n"


def _event(choice: dict[str, object]) -> bytes:
    chunk = {"object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def pieces(whole: Iterable[bytes]) -> Iterator[bytes]:
    """Cut events within, not between them."""
    rest = b""
    for event in whole:
        yield rest + event[:-HELD]
        rest = event[-HELD:]
    yield rest
