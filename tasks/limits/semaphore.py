"""The rules of the semaphore: how many permits a request gets, and how long a refused one waits.

The pure form of `semaphore.lua`. A permit is leased: it comes back by itself when its holder has
died. Nobody waits for one in a worker slot; who is refused comes back later.
"""

import math
import random

#: Seconds a refused request waits, at least and at most. A parked request is found by a clock that
#: ticks once a second; a minute bounds what a wrong guess can cost.
MIN_WAIT = 0.5
MAX_WAIT = 60.0

#: Seconds that a call is taken to last until one has been seen. Short: a refusal too many is cheap,
#: a crowd that waits for calls of a second while they take a tenth of it leaves permits idle.
GUESS = 0.1

#: Seconds beyond twice its wait for which a waiting request is expected back: a tick and a queue.
GRACE = 5.0

#: Permits that waiting requests are noted for, at most, per endpoint. Beyond it they wait as if
#: they were the last of these, and Redis keeps no more of them.
WAITING = 1000

#: Parts of a wait that is drawn: those who were refused together do not come back together.
JITTER = (0.5, 1.5)


def grant(want: int, limit: float, in_use: int, waiting: int) -> int:
    """Return how many permits a request gets: at least one whenever one is free.

    A block gets at most half of what is free, so that the next one to come still finds something,
    and no more than its share when others wait: in proportion to what each of them wants.

    Args:
        want: permits asked for.
        limit: permits there are.
        in_use: permits that are out.
        waiting: permits that others wait for.
    """
    free = math.floor(limit) - in_use
    if free < 1:
        return 0
    share = min(0.5, want / (want + waiting))
    return min(want, max(1, math.floor(free * share)))


def asked_back(held: int, limit: float, in_use: int, waiting: int) -> int:
    """Return how many of a block's permits others should have; the block keeps one.

    Its part of what is out over the limit, which may have been cut, or waited for: up to half of
    the limit, so that those who hold permits are not starved in turn.

    Args:
        held: permits of the block.
        limit: permits there are.
        in_use: permits that are out.
        waiting: permits that others wait for.
    """
    over = in_use + min(waiting, math.floor(limit / 2)) - math.floor(limit)
    if over <= 0 or held == 0:
        return 0
    return min(held - 1, math.ceil(held * over / in_use))


def wait_seconds(waiting: int, limit: float, seconds: float) -> float:
    """Return in how many seconds a refused request is likely to get a permit.

    The wait grows with the number of those who wait: they come back at about the rate at which
    permits come free, so that neither permits idle nor refusals pile up.

    Args:
        waiting: permits that others wait for.
        limit: permits there are.
        seconds: what one call takes.
    """
    return max(MIN_WAIT, min(MAX_WAIT, seconds * (waiting + 1) / limit))


def spread(seconds: float, rng: random.Random) -> float:
    """Draw a wait around its expected length."""
    return seconds * rng.uniform(*JITTER)
