"""Which ids may have come twice, in eight bytes for each."""

from array import array
from itertools import islice

#: Arrays that the hashes are spread over, so that few are looked through at a time.
BUCKETS = 256


class Seen:
    """Remembers a 64-bit hash of each id, in no order.

    A hash that came twice makes its ids suspect, no more: two ids can have the same. They are
    hashed with this process' own random key, so that no input can be made for that.
    """

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(BUCKETS)]

    def add(self, id_: str) -> None:
        """Remember an id."""
        hashed = hash(id_)
        self._buckets[hashed % BUCKETS].append(hashed)

    def suspects(self, most: int) -> set[int]:
        """Return up to `most` hashes that came more than once."""
        found: set[int] = set()
        for bucket in self._buckets:
            if len(unique := set(bucket)) < len(bucket):
                found.update(islice(_repeated(bucket, unique), most - len(found)))
            if len(found) == most:
                break
        return found


def _repeated(bucket: "array[int]", unique: set[int]) -> set[int]:
    again = set()
    for hashed in bucket:
        if hashed in unique:
            unique.remove(hashed)
        else:
            again.add(hashed)
    return again
