"""Bounds what a compressed message may become: kombu inflates it before anybody can look at it.

A megabyte of zeros is a kilobyte on its way. Brotli and Zstandard, which kombu has only where their
packages are installed, stay as they are.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import compression

#: Bytes of a message, inflated; four times the largest one of ours, since an app may have its own.
LIMIT = 67_108_864

#: What inflates step by step, by kombu's name of the method.
METHODS: dict[str, Callable[[], Any]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}


def bound() -> None:
    """Let kombu inflate no message of this process beyond the limit."""
    for kind, make in METHODS.items():
        encoder: Any = compression.get_encoder(kind)
        compression.register(encoder[0], partial(inflate, make), kind)


def inflate(make: Callable[[], Any], body: bytes, limit: int = LIMIT) -> bytes:
    """Inflate a body.

    Raises:
        ValueError: it is longer than the limit, or ends too early.
        zlib.error, lzma.LZMAError, OSError: it is not compressed so.
    """
    inflater = make()
    found: bytes = inflater.decompress(body, limit)
    if not inflater.eof:
        raise ValueError(f"The body is longer than {limit:,} bytes, or not whole.")
    return found
