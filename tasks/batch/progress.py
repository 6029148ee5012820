"""Which records of a chunk are still to be done. No I/O.

Records are begun in order and end in any order. All before `upto` were begun; of those, the ones
in `left` have no outcome yet.
"""

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

#: First and last offset of a run of records, both included.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """Offsets count the records of one chunk from 0."""

    upto: int = 0
    left: tuple[Span, ...] = ()
    attempts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Failed calls by error code, of records in `left` that had any."""

    @classmethod
    def of(
        cls,
        upto: int,
        left: Iterable[int],
        attempts: Mapping[int, Mapping[str, int]] | None = None,
    ) -> Self:
        """Make it of single offsets."""
        return cls(upto, tuple(_spans(sorted(left))), attempts or {})

    def remaining(self, count: int) -> int:
        """How many of a chunk's `count` records have no outcome."""
        return max(0, count - self.upto) + sum(last - first + 1 for first, last in self.left)

    @property
    def first(self) -> int:
        """The first offset that is to be done."""
        return min((first for first, _ in self.left), default=self.upto)

    def __contains__(self, offset: object) -> bool:
        """Whether a record is to be done."""
        if not isinstance(offset, int) or offset >= self.upto:
            return isinstance(offset, int)
        found = bisect.bisect_right(self.left, offset, key=lambda span: span[0]) - 1
        return found >= 0 and offset <= self.left[found][1]

    def advanced(
        self, cursor: int, undecided: Iterable[int], attempts: Mapping[int, Mapping[str, int]]
    ) -> "Progress":
        """Return what is left after a run.

        Args:
            cursor: what was to be done before this offset was begun.
            undecided: what was begun and has no outcome.
            attempts: failed calls of what has no outcome.
        """
        ahead = tuple((max(f, cursor), last) for f, last in self.left if last >= cursor)
        left = (*_spans(sorted(undecided)), *ahead)
        kept = {offset: c for offset, c in self.attempts.items() if offset >= cursor}
        return Progress(max(self.upto, cursor), left, {**kept, **attempts})

    def with_left(self, offsets: Iterable[int], count: int) -> "Progress":
        """Return the same with some of a chunk's `count` records to be done besides."""
        left = {o for first, last in self.left for o in range(first, last + 1)} | set(offsets)
        upto = min(self.upto, count)
        return Progress.of(upto, (offset for offset in left if offset < upto), self.attempts)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, short ones."""
        values: dict[str, Any] = {"upto": self.upto}
        if self.left:
            values["left"] = [[f] if f == last else [f, last] for f, last in self.left]
        if self.attempts:
            values["attempts"] = {str(offset): counted for offset, counted in self.attempts.items()}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        left = tuple((span[0], span[-1]) for span in values.get("left", ()))
        attempts = {int(offset): c for offset, c in values.get("attempts", {}).items()}
        return cls(values["upto"], left, attempts)


def _spans(offsets: list[int]) -> Iterator[Span]:
    first = last = None
    for offset in offsets:
        if last is not None and first is not None and offset == last + 1:
            last = offset
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = offset
    if first is not None and last is not None:
        yield first, last
