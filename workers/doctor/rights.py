"""What a Redis user has to be allowed, tried with commands that change nothing.

`ACL DRYRUN` would answer this too, but needs the very rights that a careful policy withholds.
"""

import hashlib
import uuid
from collections.abc import Iterator

import celery
import redis
from redis.exceptions import NoPermissionError, NoScriptError

#: Seconds a key is kept that could not be deleted again.
KEPT = 60

#: Seconds that a subscription's confirmation may take.
ANSWER = 1.0

#: The first Celery that keeps the size of a chord without a PUBLISH.
CHORDS_UNTOLD = (5, 7)

#: Deletes the try's own key.
SCRIPT = "return redis.call('DEL', KEYS[1])"

Command = tuple[str, ...]


def commands(role: str, prefix: str) -> Iterator[Command]:
    """Name what a role does to its keys, on keys and members that are not there.

    Args:
        role: `broker`, `results` or `state`.
        prefix: the setting.
    """
    token = f"doctor-{uuid.uuid4().hex}"
    if role == "broker":
        yield from _broker(token)
    elif role == "results":
        yield from _results(token)
    else:
        yield from _state(token, prefix)


def _broker(token: str) -> Iterator[Command]:
    # Not PUBLISH: whatever is published there, workers or monitors have to read.
    queue = f"sagemaker.{token}"
    yield ("LPUSH", queue, "")
    yield ("EXPIRE", queue, str(KEPT))
    yield ("LLEN", queue)
    yield ("BRPOP", queue, "1")
    yield ("DEL", queue)
    yield ("HDEL", "unacked", token)
    yield ("ZADD", "unacked_index", "XX", "0", token)
    yield ("ZREM", "unacked_index", token)
    yield ("ZREVRANGEBYSCORE", "unacked_index", "0", "0")
    yield ("SMEMBERS", f"_kombu.binding.{queue}")
    yield ("SREM", f"_kombu.binding.{queue}", token)


def _results(token: str) -> Iterator[Command]:
    key = f"celery-task-meta-{token}"
    yield ("SETEX", key, str(KEPT), "")
    yield ("GET", key)
    yield ("MGET", key)
    yield ("DEL", key)
    yield ("PUBLISH", key, "")
    yield ("ZREM", f"celery-taskset-meta-{token}.j", token)
    if celery.VERSION < CHORDS_UNTOLD:
        yield ("PUBLISH", f"celery-taskset-meta-{token}.s", "")


def _state(token: str, prefix: str) -> Iterator[Command]:
    base = f"{{{prefix}}}:"
    scratch = f"{base}{token}"
    yield ("SET", scratch, "", "NX", "PX", str(KEPT * 1_000))
    yield ("SCRIPT LOAD", SCRIPT)
    yield ("EVALSHA", hashlib.sha1(SCRIPT.encode()).hexdigest(), "1", scratch)  # noqa: S324 - Redis' own
    yield ("TIME",)
    yield ("HGETALL", f"{base}row:{token}")
    yield ("HDEL", f"{base}counts", token)
    yield ("ZREM", f"{base}due", token)
    yield ("SREM", f"{base}running:{token}", token)
    yield ("LRANGE", f"{base}dead", "0", "0")
    yield ("XRANGE", f"{prefix}:{{{token}}}:log", "-", "+", "COUNT", "1")
    yield ("XDEL", f"{prefix}:{{{token}}}:log", "0-1")
    yield ("PUBLISH", f"{prefix}:{{{token}}}:live", "")


def subscription(role: str, prefix: str, database: int) -> Command:
    """Name a channel that a role listens to, and how.

    A user needs the very pattern that kombu subscribes to: `&/0.*` does not grant it.
    """
    if role == "broker":
        return ("PSUBSCRIBE", f"/{database}.celery.pidbox")
    token = f"doctor-{uuid.uuid4().hex}"
    live = f"{prefix}:{{{token}}}:live"
    return ("SUBSCRIBE", live if role == "state" else f"celery-task-meta-{token}")


def refused(client: redis.Redis, role: str, prefix: str, database: int) -> list[str]:
    """Try the commands of a role; returns those that were refused, each with its key.

    Raises:
        redis.RedisError: Redis cannot do one for another reason.
    """
    found = []
    for command in commands(role, prefix):
        try:
            client.execute_command(*command)
        except NoPermissionError:
            found.append(_told(command))
        except NoScriptError:
            # It could not be loaded, which is told already.
            continue
    command = subscription(role, prefix, database)
    return found if _hears(client, command) else [*found, _told(command)]


def _hears(client: redis.Redis, command: Command) -> bool:
    name, channel = command
    with client.pubsub() as listening:
        subscribe = listening.psubscribe if name == "PSUBSCRIBE" else listening.subscribe
        try:
            subscribe(channel)
            listening.get_message(timeout=ANSWER)
        except NoPermissionError:
            return False
    return True


def _told(command: Command) -> str:
    name, *arguments = command
    keyless = name in {"SCRIPT LOAD", "EVALSHA", "TIME"}
    return name if keyless else f"{name} {arguments[0]}"
