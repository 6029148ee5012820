"""Where asynchronous outputs are, and the cheapest way to see which have appeared. No I/O.

S3 asks $0.005 for 1,000 LIST requests and $0.0004 for 1,000 HEAD requests (us-east-1, standard
storage); one LIST page shows up to 1,000 objects. Below about 12 awaited objects a page, HEAD wins.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .ledger import Pending

#: Weight of the newest inference in the moving average of an endpoint's durations.
NEWEST = 0.2

#: Part of an inference's usual duration that is waited between two looks.
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for 1,000 requests."""

    list_: float
    head: float


def parent(location: str) -> str:
    """Return the S3 location, ending in a slash, under which an object lies."""
    return location.rpartition("/")[0] + "/"


def extension(prefix: str, now: float) -> str:
    """Return the `S3OutputPathExtension` of this hour, so that one LIST sees many."""
    return f"{prefix}/{datetime.fromtimestamp(now, UTC):%Y%m%d%H}"


def root_of(output_location: str, path_extension: str, filename: str) -> str | None:
    """Return the endpoint's own output path, if the location was made of what we asked for."""
    tail = f"/{path_extension.strip('/')}/{filename}"
    return output_location.removesuffix(tail) if output_location.endswith(tail) else None


def keys_of(pending: Iterable[Pending]) -> set[str]:
    """Return every location at which an answer may appear."""
    found = {p.output_location for p in pending}
    return found | {p.failure_location for p in pending if p.failure_location}


def listing_is_cheaper(locations: int, pages: int, prices: Prices) -> bool:
    """Whether LISTing `pages` pages costs less than a HEAD for each location."""
    return pages * prices.list_ < locations * prices.head


def answered(pending: Pending, present: Iterable[str]) -> str | None:
    """Return the kind of answer that is there: output, failure, or None."""
    there = set(present)
    if pending.output_location in there:
        return "output"
    return "failure" if pending.failure_location in there else None


def average(before: float | None, seconds: Sequence[float]) -> float | None:
    """Return the moving average of durations after some new ones, in seconds."""
    for duration in seconds:
        before = duration if before is None else before + NEWEST * (duration - before)
    return before


def next_look(usual: float | None, shortest: float, longest: float) -> float:
    """Return seconds until the next look: a tenth of the usual duration, within bounds."""
    return shortest if usual is None else min(max(usual * LOOK_EVERY, shortest), longest)
