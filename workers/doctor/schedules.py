"""Schedules: where there are any, a beat has to run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from ...config.addresses import is_redis
from .findings import Check, Finding, counted
from .target import Target, connected, reason

READ = Check(
    "schedules.read",
    "It is not known whether anything is due.",
    "See what is said of redis.reachable and redis.rights.",
)
BEAT = Check(
    "schedules.beat",
    "No beat holds the lock: nothing scheduled is run.",
    "Start one, under something that restarts it: celery -A APP beat -S redbeat.RedBeatScheduler.",
)

#: RedBeat's own default.
KEY_PREFIX = "redbeat:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of RedBeat."""

    entries: int = 0
    locked: bool = False
    """Whether a beat holds the lock."""
    unread: str | None = None


def examine(target: Target) -> list[Finding]:
    """Look at the entries and at the lock."""
    return list(judge(probe(target)))


def judge(seen: Seen) -> Iterator[Finding]:
    """Judge beat; without schedules it need not run."""
    if seen.unread is not None:
        yield READ.warning("beat", seen.unread)
        return
    yield READ.ok("beat", counted(seen.entries, "schedule"))
    if seen.entries:
        said = "one holds the lock" if seen.locked else "nobody holds the lock"
        yield BEAT.holds(seen.locked, "beat", f"{counted(seen.entries, 'schedule')}, {said}")


def probe(target: Target) -> Seen:
    """Count the entries and look for the lock, where the app's RedBeat settings say they are.

    RedBeat's own reader of them warns, from whatever thread, of settings that only beat needs.
    """
    conf: Any = target.app.conf
    url = str(conf.get("redbeat_redis_url") or target.settings.broker_url)
    if not is_redis(url):
        return Seen()
    prefix = str(conf.get("redbeat_key_prefix") or KEY_PREFIX)
    lock = str(conf.get("redbeat_lock_key") or f"{prefix}:lock")
    lock = lock if lock.startswith(prefix) else prefix + lock
    with connected(url, target.seconds) as client:
        try:
            known: Any = client.zcard(f"{prefix}:schedule")
            # Those of the configuration are in Redis once a beat has run.
            entries = max(int(known), len(conf.beat_schedule or ()))
            return Seen(entries=entries, locked=bool(client.exists(lock)))
        except (redis.RedisError, OSError) as error:
            return Seen(unread=reason(error))
