"""What is asked of Redis: the Lua scripts and a reader's look, for every kind of client."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Protocol

from redis import exceptions as redis_errors

from .cursor import Cursor
from .wire import Frame, Keys, Look, Meta

#: Entries read in one round trip.
PAGE = 500

#: The first Redis with sharded pub/sub.
SHARDED_SINCE = 7

#: Errors of a server that is away, starting or failing over; a look can be tried again.
AWAY = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ClusterDownError,
    redis_errors.MasterDownError,
    redis_errors.RedisClusterException,
)

#: Whatever a client raises; a cluster's has an error that is none of the others.
TROUBLE = (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)

#: Seconds between two looks at a server that is away.
LOOK_AGAIN = 0.2


class HasEncoder(Protocol):
    """A client of redis-py, of whatever kind."""

    def get_encoder(self) -> Any:
        """Return how it turns values into bytes and back."""
        ...


@cache
def sources() -> dict[str, str]:
    """Return the scripts by name."""
    files = resources.files(__package__).iterdir()
    return {f.name[:-4]: f.read_text("utf-8") for f in files if f.name.endswith(".lua")}


def must_carry_bytes(client: HasEncoder) -> None:
    """Refuse a client that would take a record for text.

    Raises:
        TypeError: it was made with `decode_responses=True`.
    """
    if client.get_encoder().decode_responses:
        raise TypeError("channels carry bytes: give a client without decode_responses=True")


def knows_sharded(info: Mapping[str, Any]) -> bool:
    """Tell from `INFO server` whether the server has SPUBLISH and SSUBSCRIBE."""
    return int(str(info["redis_version"]).split(".", 1)[0]) >= SHARDED_SINCE


def add_look(pipeline: Any, keys: Keys, after: Cursor) -> None:
    """Put the commands of a look into a pipeline.

    The lease comes first: a producer that ends its stream between them has written its terminal
    frame before it gave the lease up.
    """
    pipeline.exists(keys.lease)
    pipeline.hmget(keys.meta, Meta.FIELDS)
    pipeline.xrange(keys.log, min=f"({after}", max="+", count=PAGE)


def read_look(answers: Sequence[Any]) -> Look:
    """Read the answers to `add_look`."""
    alive, meta, entries = answers
    frames = [Frame.entry(id_, fields) for id_, fields in entries]
    return Look(bool(alive), Meta.read(meta), frames, more=len(frames) == PAGE)
