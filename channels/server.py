"""A Redis as this process uses it for channels: one client, one pub/sub connection per server."""

import os
import threading
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any
from weakref import WeakValueDictionary

import redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.commands.core import Script
from redis.retry import Retry

from .cursor import Cursor
from .hub import Hub
from .register import Line, Sink
from .scripts import add_look, knows_sharded, must_carry_bytes, read_look, sources
from .wire import Keys, Look

#: A client, or the URL of a server.
Redis = redis.Redis | redis.RedisCluster | str

#: Seconds without an answer after which a server counts as gone, and to connect to it.
SOCKET_TIMEOUT = 5.0
CONNECT_TIMEOUT = 2.0

#: Seconds after which an idle connection is tried before it is used.
HEALTH_CHECK = 30


def of(given: Redis) -> "Server":
    """Return the server behind a URL or a client: the same one each time in this process.

    Raises:
        TypeError: the client decodes responses.
    """
    return REGISTRY.of(given)


class Server:
    """One Redis, or one Redis Cluster.

    Args:
        client: carries bytes.
    """

    def __init__(self, client: redis.Redis | redis.RedisCluster) -> None:
        must_carry_bytes(client)
        self.client = client
        self._hubs: dict[str, Hub] = {}
        self._lock = threading.RLock()
        self._scripts: dict[str, Script] = {}

    @cached_property
    def sharded(self) -> bool:
        """Whether channels are shard channels: on a cluster that has them."""
        if not isinstance(self.client, redis.RedisCluster):
            return False
        return knows_sharded(self.client.info("server"))

    @property
    def publish(self) -> str:
        """The scripts' command to publish."""
        return "SPUBLISH" if self.sharded else "PUBLISH"

    def call(self, name: str, keys: Sequence[str], *args: str | bytes | float) -> Any:
        """Call a script; its first argument, the command to publish, is added."""
        if name not in self._scripts:
            # register_script of a cluster's client is typed for the other one.
            client: Any = self.client
            self._scripts[name] = client.register_script(sources()[name])
        return self._scripts[name](keys=list(keys), args=[self.publish, *args])

    def look(self, keys: Keys, after: Cursor) -> Look:
        """Look at a stream from a position on."""
        pipeline = self.client.pipeline(transaction=False)
        add_look(pipeline, keys, after)
        return read_look(pipeline.execute())

    def listen(self, channel: str, sink: Sink) -> Line:
        """Hand a channel's messages to a sink until the line is closed."""
        return Line(self.hub, channel, sink)

    def hub(self, channel: str) -> Hub:
        """Return the hub of the node that has a channel."""
        client, name = self._node(channel)
        with self._lock:
            if name not in self._hubs:
                connect = partial(_pubsub, client)
                self._hubs[name] = Hub(connect, sharded=self.sharded, lost=self._lost)
            return self._hubs[name]

    def _node(self, channel: str) -> tuple[redis.Redis, str]:
        if not isinstance(self.client, redis.RedisCluster):
            return self.client, ""
        node = self.client.get_node_from_key(channel) if self.sharded else None
        node = node or self.client.get_default_node()
        return self.client.get_redis_connection(node), str(node.name)

    def _lost(self) -> None:
        """A node may have lost its slots, or its life: learn who has them now."""
        if isinstance(self.client, redis.RedisCluster):
            self.client.nodes_manager.initialize()


class Registry:
    """The servers that this process uses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_url: dict[str, Server] = {}
        self._by_client: WeakValueDictionary[int, Server] = WeakValueDictionary()

    def of(self, given: Redis) -> Server:
        """Return the server behind a URL or a client."""
        with self._lock:
            if isinstance(given, str):
                if given not in self._by_url:
                    self._by_url[given] = Server(_client(given))
                return self._by_url[given]
            found = self._by_client.get(id(given)) or Server(given)
            self._by_client[id(given)] = found
            return found

    def forget(self) -> None:
        """Start anew: threads and connections did not survive a fork."""
        self.__init__()  # type: ignore[misc]


def _client(url: str) -> redis.Redis:
    """Make a client that does not repeat on its own: whoever calls knows when to try again."""
    client: redis.Redis = redis.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_keepalive=True,
        health_check_interval=HEALTH_CHECK,
        retry=Retry(NoBackoff(), 0),
    )
    return client


def _pubsub(client: redis.Redis) -> PubSub:
    pubsub: PubSub = client.pubsub()
    return pubsub


REGISTRY = Registry()
os.register_at_fork(after_in_child=REGISTRY.forget)
