"""The limit that adapts: additive increase, multiplicative decrease, as TCP does it.

`Aimd` is the model; `aimd.lua` does the same in Redis, where the whole fleet shares one limit. A
report covers any number of calls, and the limit does not depend on how calls are put together in
reports: one more call at once for each round of `limit` calls that were answered.
"""

import math
from dataclasses import dataclass, replace

from .outcomes import Tally

#: What a cut leaves of the limit. TCP's half: a call too many costs a retry, one too few only time.
BACKOFF = 0.5

#: Seconds between two cuts, at least; the time that one call takes if that is longer. Only then do
#: the outcomes come from calls that began after the cut.
INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class Aimd:
    """The limit of one endpoint; starts at the maximum, which is what the user believes in."""

    maximum: int
    limit: float
    cut_at: float = -math.inf
    """When it was last cut, in seconds."""

    def after(self, tally: Tally, *, now: float, in_use: int, seconds: float = 0.0) -> "Aimd":
        """Return what a report makes of it.

        Args:
            tally: the report.
            now: seconds, by the clock of `cut_at`.
            in_use: permits out when the report came. Less than half of the limit in use is no
                evidence that more would be taken.
            seconds: what one call takes.
        """
        if now - self.cut_at < max(INTERVAL, seconds):
            return self
        if tally.cut:
            return replace(self, limit=max(1.0, self.limit * BACKOFF), cut_at=now)
        if not tally.grow or 2 * in_use < self.limit:
            return self
        # The sum of 1/limit over the calls, whatever their number.
        grown = math.sqrt(self.limit * self.limit + 2 * tally.grow)
        return replace(self, limit=min(float(self.maximum), grown))
