"""Redis: whether it is there, keeps what it is given, and lets us do what we have to."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import redis

from ...config.addresses import is_redis, mask
from . import clocks, rights
from .findings import Check, Finding, counted, duration, size
from .target import Target, connected, reason

REACHABLE = Check(
    "redis.reachable",
    "No request is accepted, and no worker works.",
    "Start Redis, or mend the address, the password or the network in between.",
    "broker_url, result_url, state_url",
)
VERSION = Check(
    "redis.version",
    "Readers ask for what follows an entry of a stream, which older versions cannot answer.",
    "Use Redis 6.2 or newer, or Valkey.",
)
READ_ONLY = Check(
    "redis.read-only",
    "A replica refuses every write: no request is accepted.",
    "Let the address name the primary: a DNS name that follows it at a failover.",
    "broker_url, result_url, state_url",
)
CLUSTER = Check(
    "redis.cluster",
    "Celery's transport, results and the ledger speak to one server: keys on other nodes fail.",
    "Use a server without cluster mode (a primary with replicas); channels may use a cluster.",
    "broker_url, result_url, state_url",
)
RIGHTS = Check(
    "redis.rights",
    "Requests, results or channels fail with NOPERM where this command is needed.",
    "Grant the Redis user these commands, on these keys and channels (ACL SETUSER). What is "
    "subscribed by pattern has to be granted by the same pattern.",
    "broker_url, result_url, state_url",
)
COMMANDS = Check(
    "redis.commands",
    "What Redis refuses to us it refuses to callers and workers: nothing is accepted.",
    "Do what its answer asks for: OOM wants memory, MISCONF a disk, MOVED another server.",
)
INFO = Check(
    "redis.info",
    "Version, persistence, eviction and memory cannot be looked at.",
    "Grant INFO and CONFIG GET to the user that the doctor has; workers do not need them.",
)
AOF = Check(
    "redis.aof",
    "A restart of Redis forgets accepted requests and what asynchronous endpoints still owe.",
    "appendonly yes (CONFIG SET appendonly yes, and in redis.conf); on a service without it, "
    "replicas in other zones.",
    "appendonly",
)
FSYNC = Check(
    "redis.appendfsync",
    "A crash of the host loses what the kernel has not written: up to half a minute.",
    "appendfsync everysec loses a second at most, always nothing.",
    "appendfsync",
)
SAVING = Check(
    "redis.saving",
    "Redis cannot write to its disk: a restart loses what came since, and writes may be refused.",
    "Look at Redis' log and at the disk's space and rights; then BGREWRITEAOF.",
)
EVICTION = Check(
    "redis.eviction",
    "Under pressure Redis drops keys silently: requests, queues and results vanish.",
    "maxmemory-policy noeviction: writes fail at the caller instead, loudly.",
    "maxmemory-policy",
)
MEMORY = Check(
    "redis.memory",
    "With no memory left every write fails: nothing is accepted, nothing can end.",
    "Raise maxmemory, or keep less: ledger.retention, result_expires, streams.ttl_after_end.",
    "maxmemory",
)
LATENCY = Check(
    "redis.latency",
    "Each request makes about ten round trips; workers wait for Redis instead of models.",
    "Put Redis near the workers (same zone), and look for slow commands: SLOWLOG GET.",
)
CLOCK = Check(
    "redis.clock",
    "Leases and deadlines go by Redis' clock, visibility and countdowns by the workers': they "
    "end too early or too late.",
    "Let both hosts keep time by NTP (chronyc tracking).",
)
PUBSUB = Check(
    "redis.pubsub",
    "Pub/sub knows no database numbers: the readers of one deployment hear the other's channels.",
    "Give each deployment on a server a prefix of its own.",
    "prefix",
)

#: The oldest version whose XRANGE can leave out the entry that it begins at.
OLDEST = (6, 2)

#: Seconds of a round trip from which it shows.
SLOW = 0.010

#: Round trips that are timed: the fastest counts, since a busy moment says nothing of the network.
PINGS = 5

#: Shares of the memory in use.
FULL = 0.9
FILLING = 0.75

#: Bytes of a small request until it ends: docs/state.md.
REQUEST = 2_600

#: Open requests that there should be room for.
ROOM = 10_000

#: Databases that are asked for another deployment's keys.
DATABASES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What was seen of one server."""

    place: str
    roles: tuple[str, ...]
    info: Mapping[str, Any] = field(default_factory=dict)
    """INFO; empty if it was refused."""
    fsync: str | None = None
    """CONFIG GET appendfsync; None if it was refused."""
    denied: tuple[str, ...] = ()
    """Commands that our user may not use."""
    seconds: float = 0.0
    """The fastest round trip."""
    skew: float = 0.0
    """By which its clock is ahead of this machine's."""
    shared: tuple[int, ...] = ()
    """Other databases that hold a ledger with our prefix."""
    unreachable: str | None = None
    """Why it does not answer."""
    refusal: str | None = None
    """What a command was answered that our user has the right to."""

    @property
    def subject(self) -> str:
        """What findings are about."""
        return f"{mask(self.place)} ({', '.join(self.roles)})"


def examine(target: Target) -> list[Finding]:
    """Look at every server of the settings."""
    patience = target.settings.visibility_timeout
    return [f for server in probe(target) for f in judge(server, patience)]


def judge(server: Server, visibility_timeout: float) -> Iterator[Finding]:
    """Judge a server.

    Args:
        server: what was seen.
        visibility_timeout: seconds; a clock that is off by half of them breaks it.
    """
    on = server.subject
    if server.unreachable is not None:
        yield REACHABLE.fault(on, server.unreachable)
        return
    yield REACHABLE.ok(on, "answers")
    yield LATENCY.should(server.seconds <= SLOW, on, f"{duration(server.seconds)} a round trip")
    yield clocks.judge(
        CLOCK, on, server.skew, uncertain=server.seconds,
        broken=min(clocks.BROKEN, visibility_timeout / 2),
    )  # fmt: skip
    yield COMMANDS.holds(server.refusal is None, on, server.refusal or "does what it is told")
    denied = ", ".join(server.denied)
    seen = f"refused: {denied}" if denied else "its user has every right that is needed"
    yield RIGHTS.holds(not denied, on, seen)
    if "state" in server.roles:
        others = ", ".join(map(str, server.shared))
        seen = (
            f"database {others} has the same prefix"
            if others
            else "no other database has our prefix"
        )
        yield PUBSUB.should(not others, on, seen)
    if not server.info:
        yield INFO.warning(on, "INFO is refused")
        return
    yield from _kind(server)
    yield from _keeping(server)
    yield from _memory(server)


def _kind(server: Server) -> Iterator[Finding]:
    info, on = server.info, server.subject
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    speaks = tuple(map(int, str(info.get("redis_version", "0")).split(".")[:2]))
    yield VERSION.holds(speaks >= OLDEST, on, f"{name} {version}")
    role = str(info.get("role", "master"))
    yield READ_ONLY.holds(role == "master", on, f"a {_role(role)}")
    yield CLUSTER.holds(not info.get("cluster_enabled"), on, _clustered(info))


def _role(role: str) -> str:
    return {"master": "primary", "slave": "replica"}.get(role, role)


def _clustered(info: Mapping[str, Any]) -> str:
    return "cluster mode is on" if info.get("cluster_enabled") else "one server"


def _keeping(server: Server) -> Iterator[Finding]:
    info, on = server.info, server.subject
    if info.get("aof_enabled"):
        yield AOF.ok(on, "the append-only file is on")
        if server.fsync is not None:
            yield FSYNC.should(server.fsync != "no", on, f"appendfsync {server.fsync}")
    else:
        yield _forgetful(server)
    states = {
        name: str(info.get(name, "ok"))
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
    }
    bad = [name for name, state in states.items() if state != "ok"]
    yield SAVING.holds(not bad, on, f"{', '.join(bad)}: err" if bad else "its last saves went well")


def _forgetful(server: Server) -> Finding:
    """Judge a server without an append-only file: what it keeps decides, and who has a copy."""
    replicas = int(server.info.get("connected_slaves", 0))
    seen = "the append-only file is off"
    if replicas:
        return AOF.warning(server.subject, f"{seen}; {counted(replicas, 'replica')} connected")
    if "state" in server.roles:
        return AOF.fault(server.subject, seen)
    return AOF.warning(server.subject, f"{seen}; the ledger is on another server")


def _memory(server: Server) -> Iterator[Finding]:
    info, on = server.info, server.subject
    policy, most = str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0))
    if policy != "noeviction" and most:
        yield EVICTION.fault(on, f"maxmemory-policy {policy}, maxmemory {size(most)}")
    else:
        seen = policy if most else f"{policy}, without a maxmemory"
        yield EVICTION.should(policy == "noeviction", on, seen)
    used, whole = int(info.get("used_memory", 0)), most or int(info.get("total_system_memory", 0))
    if not whole:
        return
    share, free = used / whole, max(0, whole - used)
    seen = f"{size(used)} of {size(whole)} in use" + ("" if most else " (the machine's memory)")
    if share >= FULL:
        yield MEMORY.fault(on, seen)
    elif share >= FILLING or free < REQUEST * ROOM:
        yield MEMORY.warning(on, f"{seen}: room for {free // REQUEST:,} small requests")
    else:
        yield MEMORY.ok(on, seen)


def probe(target: Target) -> list[Server]:
    """Look at each server once, whatever it is used for."""
    settings = target.settings
    urls = {
        "broker": settings.broker_url,
        "results": settings.result_url,
        "state": settings.state_url,
    }
    by_server: dict[str, dict[str, str]] = {}
    for role, url in urls.items():
        if is_redis(url):
            by_server.setdefault(urlsplit(url).netloc, {})[role] = url
    return [_look(roles, target) for roles in by_server.values()]


def _look(urls: Mapping[str, str], target: Target) -> Server:
    url = urls.get("state") or next(iter(urls.values()))
    roles = tuple(urls)
    try:
        with connected(url, target.seconds) as client:
            seconds, skew = _measure(client)
            denied, refusal = _try(urls, target)
            return Server(
                place=url,
                roles=roles,
                info=_info(client),
                fsync=_fsync(client),
                denied=denied,
                seconds=seconds,
                skew=skew,
                shared=_shared(url, target) if "state" in urls else (),
                refusal=refusal,
            )
    except (redis.RedisError, OSError, ValueError) as error:
        return Server(place=url, roles=roles, unreachable=reason(error))


def _measure(client: redis.Redis) -> tuple[float, float]:
    """Time round trips; return the fastest one's seconds, and the clock's difference."""
    client.ping()
    found = []
    for _ in range(PINGS):
        began, before = time.monotonic(), time.time()
        theirs = _time(client)
        skew = 0.0 if theirs is None else clocks.skew(before, theirs, time.time())
        found.append((time.monotonic() - began, skew))
    return min(found)


def _time(client: redis.Redis) -> float | None:
    try:
        seconds, micros = client.time()
    except redis.exceptions.NoPermissionError:
        # The ledger needs it, and is told so; others do not.
        client.ping()
        return None
    return seconds + micros / 1e6


def _try(urls: Mapping[str, str], target: Target) -> tuple[tuple[str, ...], str | None]:
    denied: list[str] = []
    for role, url in urls.items():
        with connected(url, target.seconds) as client:
            try:
                database = int(client.connection_pool.connection_kwargs.get("db") or 0)
                denied += rights.refused(client, role, target.settings.prefix, database)
            except redis.exceptions.ReadOnlyError:
                # INFO tells, and better.
                continue
            except redis.exceptions.ResponseError as error:
                return tuple(denied), reason(error)
    return tuple(denied), None


def _info(client: redis.Redis) -> dict[str, Any]:
    try:
        found: Any = client.info()
    except redis.exceptions.NoPermissionError:
        return {}
    return dict(found)


def _fsync(client: redis.Redis) -> str | None:
    try:
        found: Any = client.config_get("appendfsync")
    except redis.exceptions.ResponseError:
        # Managed services have no CONFIG.
        return None
    return str(found["appendfsync"]) if "appendfsync" in found else None


def _shared(url: str, target: Target) -> tuple[int, ...]:
    """Find other databases of the server that hold a ledger with our prefix."""
    counts = f"{{{target.settings.prefix}}}:counts"
    with connected(url, target.seconds) as client:
        ours = int(client.connection_pool.connection_kwargs.get("db") or 0)
        try:
            spaces: Any = client.info("keyspace")
            others = sorted(int(name[2:]) for name in spaces if int(name[2:]) != ours)
            return tuple(n for n in others[:DATABASES] if _has(client, n, counts))
        except redis.exceptions.ResponseError:
            return ()


def _has(client: redis.Redis, database: int, key: str) -> bool:
    with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("SELECT", database)
        pipe.exists(key)
        return bool(pipe.execute()[-1])
