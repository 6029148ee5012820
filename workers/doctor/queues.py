"""Queues: who takes from them, and how long what waits has waited."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis
from kombu.exceptions import ChannelError

from ...config.queues import ALL
from ...tasks.ledger import Ledger
from .findings import Check, Finding, counted, duration
from .fleet import Fleet
from .fleet import probe as ask
from .target import Target, connected

REACHABLE = Check(
    "queues.reachable",
    "Nothing can be sent, and nothing is taken.",
    "Start the broker, or mend the address, the password or the network in between.",
    "broker_url",
)
CONSUMED = Check(
    "queues.consumed",
    "What is sent there waits until a worker comes: for ever.",
    "Start a worker that takes it: celery-sagemaker worker --queues NAME.",
)
WAITING = Check(
    "queues.waiting",
    "Requests wait long for a worker; their callers, and deadlines, wait with them.",
    "Start more workers for this queue, or give its slow neighbours workers of their own.",
)

#: Seconds of waiting from which more workers are needed.
LONG = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in one queue."""

    name: str
    depth: int
    oldest: float | None = None
    """Seconds since its oldest message was accepted; None: not known."""


def examine(target: Target) -> list[Finding]:
    """Look into every queue of ours."""
    fleet = ask(target)
    waiting = [] if fleet.away is not None else probe(target)
    return list(judge(fleet, waiting))


def judge(fleet: Fleet, waiting: list[Waiting]) -> Iterator[Finding]:
    """Judge queues and their consumers."""
    if fleet.away is not None:
        yield REACHABLE.fault("broker", fleet.away)
        return
    yield REACHABLE.ok("broker", "answers")
    for queue in waiting:
        on = f"queue {queue.name}"
        takers = [worker.name for worker in fleet.workers if queue.name in worker.queues]
        yield CONSUMED.holds(takers, on, _takers(len(takers), queue))
        if queue.oldest is None:
            yield WAITING.ok(on, f"{queue.depth:,} waiting")
        else:
            seen = f"{queue.depth:,} waiting, the oldest for {duration(queue.oldest)}"
            yield WAITING.should(queue.oldest < LONG, on, seen)


def _takers(number: int, queue: Waiting) -> str:
    if number:
        return counted(number, "worker")
    return f"no worker takes from it; {queue.depth:,} waiting"


def probe(target: Target) -> list[Waiting]:
    """Count what waits, and look at the oldest."""
    with target.app.connection_for_read() as given:
        connection: Any = given
        return [_look(target, connection, name) for name in ALL]


def _look(target: Target, connection: Any, name: str) -> Waiting:
    try:
        # A channel of its own: RabbitMQ closes one that asks for what is not there.
        with connection.channel() as channel:
            depth = int(channel.queue_declare(name, passive=True).message_count)
            oldest = _oldest(target, channel, name) if depth and target.redis_broker else None
            return Waiting(name=name, depth=depth, oldest=oldest)
    except ChannelError:
        # Nobody has sent there yet.
        return Waiting(name=name, depth=0)


def _oldest(target: Target, channel: Any, name: str) -> float | None:
    """Return the age of the oldest message, by the ledger; a message alone has no time."""
    keys = [channel._q_for_pri(name, step) for step in channel.priority_steps]  # noqa: SLF001 - kombu has no other
    with connected(target.settings.broker_url, target.seconds) as broker:
        bodies = [broker.lindex(key, -1) for key in keys]
    try:
        with connected(target.settings.state_url, target.seconds) as client:
            ledger = Ledger(client, target.settings.prefix)
            rows = [ledger.status(_id(cast("bytes | None", body))) for body in bodies]
            now = ledger.now()
    except redis.RedisError:
        # Of a ledger that cannot be read another subject tells.
        return None
    ages = [now - row.accepted_at for row in rows if row is not None and row.accepted_at]
    return max(ages, default=None)


def _id(body: bytes | None) -> str:
    try:
        message: Mapping[str, Any] = json.loads(body or b"{}")
        return str(message["headers"]["id"])
    except (ValueError, KeyError, TypeError):
        # Somebody else's message.
        return ""
