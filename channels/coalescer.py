"""Which records share an entry: the first one never waits, the next ones a little."""

from .options import ChannelOptions


class Coalescer:
    """Collects records; sans I/O, the caller has the clock.

    A record that comes after a pause goes at once. Those right behind it wait until `seconds`
    have passed since the last flush, or until they are `size` bytes. A record is never cut.

    Args:
        seconds: the longest wait; 0 lets none wait.
        size: bytes that end the wait.
    """

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size
        self._held: list[bytes] = []
        self._bytes = 0
        self._flushed = float("-inf")

    @classmethod
    def of(cls, options: ChannelOptions) -> "Coalescer":
        """Make the coalescer that the options ask for."""
        return cls(options.coalesce_seconds, options.coalesce_bytes)

    @property
    def due(self) -> float | None:
        """When the held records have to go; None if none is held."""
        return self._flushed + self._seconds if self._held else None

    def add(self, record: bytes, now: float) -> list[bytes]:
        """Take a record; return the records that go now."""
        self._held.append(record)
        self._bytes += len(record)
        late = now >= self._flushed + self._seconds
        return self.flush(now) if late or self._bytes >= self._size else []

    def flush(self, now: float) -> list[bytes]:
        """Return what is held."""
        if not self._held:
            return []
        records, self._held, self._bytes, self._flushed = self._held, [], 0, now
        return records
