"""What the doctor says of Redis, of what was seen of it."""

from dataclasses import replace
from typing import Any

import pytest
from celery_sagemaker.workers.doctor import Finding, Severity
from celery_sagemaker.workers.doctor.redis_server import Server, judge
from celery_sagemaker.workers.doctor.rights import commands

WELL: dict[str, Any] = {
    "redis_version": "7.4.1",
    "role": "master",
    "cluster_enabled": 0,
    "connected_slaves": 0,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": 1_000_000_000,
    "maxmemory_policy": "noeviction",
    "used_memory": 100_000_000,
    "total_system_memory": 8_000_000_000,
}

SERVER = Server(
    place="redis://user:secret@host:6379/0",
    roles=("broker", "results", "state"),
    info=WELL,
    fsync="everysec",
    seconds=0.001,
)


def wrong(server: Server) -> dict[str, Severity]:
    """Return what is not well, by id."""
    return {f.id: f.severity for f in judge(server, 120.0) if not f.well}


def told(server: Server) -> list[Finding]:
    """Return all findings."""
    return list(judge(server, 120.0))


def test_a_healthy_server_has_no_findings() -> None:
    """Everything is looked at, and everything is well."""
    assert wrong(SERVER) == {}
    assert len(told(SERVER)) == 14


@pytest.mark.parametrize(
    ("info", "id_", "severity"),
    [
        ({"aof_enabled": 0}, "redis.aof", "fault"),
        ({"aof_enabled": 0, "connected_slaves": 2}, "redis.aof", "warning"),
        ({"aof_last_write_status": "err"}, "redis.saving", "fault"),
        ({"aof_last_bgrewrite_status": "err"}, "redis.saving", "fault"),
        ({"rdb_last_bgsave_status": "err"}, "redis.saving", "fault"),
        ({"maxmemory_policy": "allkeys-lru"}, "redis.eviction", "fault"),
        ({"maxmemory_policy": "volatile-ttl"}, "redis.eviction", "fault"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 0}, "redis.eviction", "warning"),
        ({"used_memory": 800_000_000}, "redis.memory", "warning"),
        ({"used_memory": 900_000_000}, "redis.memory", "fault"),
        ({"maxmemory": 20_000_000, "used_memory": 1_000_000}, "redis.memory", "warning"),
        ({"maxmemory": 0, "used_memory": 7_500_000_000}, "redis.memory", "fault"),
        ({"role": "slave"}, "redis.read-only", "fault"),
        ({"cluster_enabled": 1}, "redis.cluster", "fault"),
        ({"redis_version": "6.0.16"}, "redis.version", "fault"),
    ],
)
def test_info_shows_what_is_wrong(info: dict[str, Any], id_: str, severity: str) -> None:
    """One cause, one finding."""
    assert wrong(replace(SERVER, info=WELL | info)) == {id_: severity}


@pytest.mark.parametrize(
    ("change", "id_", "severity"),
    [
        ({"unreachable": "Connection refused"}, "redis.reachable", "fault"),
        ({"fsync": "no"}, "redis.appendfsync", "warning"),
        ({"seconds": 0.02}, "redis.latency", "warning"),
        ({"skew": 3.0}, "redis.clock", "warning"),
        ({"skew": -61.0}, "redis.clock", "fault"),
        ({"denied": ("LPUSH queue",)}, "redis.rights", "fault"),
        ({"refusal": "MOVED 1 host:2"}, "redis.commands", "fault"),
        ({"shared": (3,)}, "redis.pubsub", "warning"),
        ({"info": {}}, "redis.info", "warning"),
    ],
)
def test_what_was_tried_shows_what_is_wrong(
    change: dict[str, Any], id_: str, severity: str
) -> None:
    """One cause, one finding, with its consequence and its remedy."""
    server = replace(SERVER, **change)
    assert wrong(server) == {id_: severity}
    (finding,) = [f for f in told(server) if not f.well]
    assert finding.consequence
    assert finding.remedy


def test_only_the_ledger_needs_to_survive_a_restart() -> None:
    """A broker that forgets costs nothing that the ledger does not bring back."""
    server = replace(SERVER, roles=("broker", "results"), info=WELL | {"aof_enabled": 0})
    assert wrong(server) == {"redis.aof": "warning"}


def test_valkey_is_named() -> None:
    """It reports the version of Redis whose commands it has, and its own."""
    server = replace(SERVER, info=WELL | {"redis_version": "7.2.4", "valkey_version": "9.1.2"})
    assert "Valkey 9.1.2" in [f.seen for f in told(server)]


def test_no_password_is_told() -> None:
    """The user is: it is he who lacks rights."""
    subjects = {finding.subject for finding in told(SERVER)}
    assert subjects == {"redis://user:***@host:6379/0 (broker, results, state)"}


@pytest.mark.parametrize("role", ["broker", "results", "state"])
def test_a_try_leaves_what_is_there_alone(role: str) -> None:
    """What is written, deleted or taken has the try's own token in its key or as its member."""
    harmless = {"TIME", "SCRIPT LOAD"}
    reading = {"LLEN", "GET", "MGET", "SMEMBERS", "HGETALL", "LRANGE", "XRANGE", "ZREVRANGEBYSCORE"}
    for command in commands(role, "prefix"):
        if command[0] not in harmless | reading:
            assert any("doctor-" in part for part in command[1:]), command
