"""The ledger: somebody ticks its clock, and nobody fills its list of dead letters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from ...tasks.ledger import Ledger
from .findings import Check, Finding, counted
from .target import Target, connected, reason

READ = Check(
    "ledger.read",
    "Neither requests nor the clock can be looked at.",
    "See what is said of redis.reachable and redis.rights.",
    "state_url",
)
CLOCK = Check(
    "ledger.clock",
    "No worker's clock ticks: outputs are not polled, deadlines not kept, lost messages not sent.",
    "Start a worker with this prefix and state_url; if one runs, its log says clock_tick_failed.",
    "prefix, state_url",
)
DEAD = Check(
    "ledger.dead-letters",
    "Requests were given up whose messages nobody could run or read.",
    "Look at them (LRANGE {PREFIX}:dead 0 9), mend the cause, send them again, delete the list.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen in the ledger."""

    base: str
    """What its keys begin with."""
    ticking: bool = False
    dead: int = 0
    newest: Mapping[str, Any] | None = None
    """The newest dead letter."""
    unread: str | None = None


def examine(target: Target) -> list[Finding]:
    """Look at the clock's lease and at the dead letters."""
    return list(judge(probe(target)))


def judge(seen: Seen) -> Iterator[Finding]:
    """Judge the ledger."""
    on = f"ledger {seen.base}"
    if seen.unread is not None:
        yield READ.fault(on, seen.unread)
        return
    yield READ.ok(on, "can be read")
    yield CLOCK.holds(seen.ticking, on, "a worker ticks" if seen.ticking else "nobody ticks")
    yield DEAD.should(not seen.dead, on, _dead(seen))


def _dead(seen: Seen) -> str:
    if seen.newest is None:
        return "no dead letters"
    why = f"{seen.newest.get('code')}: {seen.newest.get('message')}"
    return f"{counted(seen.dead, 'dead letter')}, the newest {seen.newest.get('id')}, {why}"


def probe(target: Target) -> Seen:
    """Read the clock's lease and the newest dead letter."""
    settings = target.settings
    with connected(settings.state_url, target.seconds) as client:
        ledger = Ledger(client, settings.prefix)
        try:
            letters = ledger.dead_letters(1)
            return Seen(
                base=ledger.base,
                ticking=bool(client.exists(ledger.key("clock"))),
                dead=int(client.llen(ledger.key("dead"))),
                newest=letters[0] if letters else None,
            )
        except (redis.RedisError, OSError) as error:
            return Seen(base=ledger.base, unread=reason(error))
