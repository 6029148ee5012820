"""The workers, asked through the broker by Celery's remote control."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from celery.app.control import flatten_reply
from kombu.exceptions import OperationalError

from ..inspection import COMMAND
from . import clocks
from .target import Target, connected, reason

#: Share of an answer's time that workers have for a ping. All of it is waited for, since nobody
#: knows how many there are.
SHARE = 0.6

#: Seconds after which Redis delivers a message again, where a worker does not say: kombu's default.
VISIBILITY = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What one worker says of itself."""

    name: str
    queues: tuple[str, ...] = ()
    report: Mapping[str, Any] | None = None
    """Of `sagemaker_report`; None: it does not know the command."""
    skew: float = 0.0
    """Seconds by which its clock is ahead of this machine's."""
    uncertain: float = 0.0
    """Seconds by which that may be off."""
    pool: str = ""
    """The pool's class."""
    slots: int | None = None
    """Tasks that it runs at once."""
    conf: Mapping[str, Any] = field(default_factory=dict)
    """Its Celery settings, where it has no report."""

    @property
    def visibility_timeout(self) -> float:
        """Seconds after which it delivers others' messages again."""
        if self.report is not None:
            return float(self.report["visibility_timeout"] or VISIBILITY)
        options = self.conf.get("broker_transport_options") or {}
        return float(options.get("visibility_timeout", VISIBILITY))

    @property
    def renewing(self) -> bool:
        """Whether it keeps its messages from being delivered again."""
        return bool(self.report and self.report["renewing"])

    @property
    def longest_task(self) -> float | None:
        """Seconds that one of its tasks may take; None: no limit is known."""
        found = self.report["longest_task"] if self.report else self.conf.get("task_time_limit")
        return None if found is None else float(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Who answered."""

    workers: tuple[Worker, ...] = ()
    twice: tuple[str, ...] = ()
    """Names that more than one worker has."""
    away: str | None = None
    """Why the broker cannot be reached."""


def probe(target: Target) -> Fleet:
    """Ask who is there, then what they are."""
    away = broker_away(target)
    if away is not None:
        return Fleet(away=away)
    pongs = cast(
        "list[dict[str, Any]]", target.app.control.ping(timeout=target.seconds * SHARE) or []
    )
    names = [name for pong in pongs for name in pong]
    once = sorted(set(names))
    return Fleet(
        workers=tuple(_ask_all(target, once)) if once else (),
        twice=tuple(name for name in once if names.count(name) > 1),
    )


def broker_away(target: Target) -> str | None:
    """Return why the broker does not answer; None when it does."""
    try:
        if target.redis_broker:
            with connected(target.settings.broker_url, target.seconds) as client:
                client.ping()
        else:
            with target.app.connection_for_write() as connection:
                connection.ensure_connection(
                    max_retries=1, interval_start=0, timeout=math.ceil(target.seconds)
                )
    except (redis.RedisError, OperationalError, OSError) as error:
        return reason(error)
    return None


def _ask_all(target: Target, names: list[str]) -> list[Worker]:
    before = time.time()
    reports = _ask(target, COMMAND, names)
    after = time.time()
    queues, stats = _ask(target, "active_queues", names), _ask(target, "stats", names)
    foreign = [name for name in names if not _is_report(reports.get(name))]
    conf = _ask(target, "conf", foreign) if foreign else {}
    return [
        _worker(name, reports.get(name), queues.get(name), stats.get(name), conf.get(name),
                (before, after))
        for name in names
    ]  # fmt: skip


def _ask(target: Target, command: str, names: list[str]) -> dict[str, Any]:
    # With all answers there it does not wait any longer.
    replies = target.app.control.broadcast(
        command, destination=names, reply=True, timeout=target.seconds, limit=len(names)
    )
    return dict(flatten_reply(replies or []))


def _is_report(reply: Any) -> bool:
    """Tell a report from what a worker says to a command that it does not know."""
    return isinstance(reply, Mapping) and "versions" in reply


def _worker(
    name: str, report: Any, queues: Any, stats: Any, conf: Any, asked: tuple[float, float]
) -> Worker:
    pool = stats.get("pool", {}) if isinstance(stats, Mapping) else {}
    slots = pool.get("max-concurrency")
    ours = report if _is_report(report) else None
    before, after = asked
    return Worker(
        name=name,
        queues=tuple(queue["name"] for queue in queues) if isinstance(queues, list) else (),
        report=ours,
        skew=clocks.skew(before, ours["time"], after) if ours else 0.0,
        uncertain=(after - before) / 2,
        pool=str(pool.get("implementation", "")),
        slots=slots if isinstance(slots, int) else None,
        conf=conf if isinstance(conf, Mapping) else {},
    )
