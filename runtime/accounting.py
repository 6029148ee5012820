"""The account of a stream: what came, so that whoever reassembles it can see that it has all."""

from dataclasses import dataclass
from zlib import crc32

from .records import Finish


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What a stream was.

    Attributes:
        parts: how many.
        size: bytes of all parts.
        crc32: of all parts, joined.
        finish: whether the payload said that it is complete.
    """

    parts: int = 0
    size: int = 0
    crc32: int = 0
    finish: Finish = "unknown"

    def add(self, part: bytes) -> "StreamSummary":
        """Return the account with one part more."""
        return StreamSummary(
            self.parts + 1, self.size + len(part), crc32(part, self.crc32), self.finish
        )

    def to_json(self) -> dict[str, int | str]:
        """Return JSON values; the checksum as eight hexadecimal digits."""
        checksum = f"{self.crc32:08x}"
        members = {"parts": self.parts, "bytes": self.size}
        return members | {"crc32": checksum, "finish": self.finish}
