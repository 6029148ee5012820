"""A Redis as an event loop uses it for channels: one client, one pub/sub connection per server."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .async_hub import AsyncHub
from .cursor import Cursor
from .register import Line, Sink
from .scripts import add_look, knows_sharded, must_carry_bytes, read_look, sources
from .server import CONNECT_TIMEOUT, HEALTH_CHECK, SOCKET_TIMEOUT
from .wire import Keys, Look

#: A client of asyncio, or the URL of a server.
AsyncRedis = redis.asyncio.Redis | redis.asyncio.RedisCluster | str

#: The servers that an event loop uses.
SERVERS: WeakKeyDictionary[asyncio.AbstractEventLoop, "AsyncRegistry"] = WeakKeyDictionary()


def of(given: AsyncRedis) -> "AsyncServer":
    """Return the server behind a URL or a client: the same one each time in this event loop.

    Raises:
        TypeError: the client decodes responses.
        RuntimeError: no event loop runs.
    """
    return SERVERS.setdefault(asyncio.get_running_loop(), AsyncRegistry()).of(given)


class AsyncServer:
    """One Redis, or one Redis Cluster.

    Args:
        client: carries bytes.
        owned: whether the client is closed when the event loop ends.
    """

    def __init__(
        self, client: redis.asyncio.Redis | redis.asyncio.RedisCluster, *, owned: bool = False
    ) -> None:
        must_carry_bytes(client)
        self.client = client
        self._owned = owned
        self._hubs: dict[str, AsyncHub] = {}
        self._scripts: dict[str, Any] = {}
        self._sharded: bool | None = None

    async def sharded(self) -> bool:
        """Whether channels are shard channels: on a cluster that has them.

        Raises:
            NotImplementedError: the server has them, this redis-py has not.
        """
        if self._sharded is None:
            self._sharded = await self._find_sharded()
        return self._sharded

    async def _find_sharded(self) -> bool:
        if not isinstance(self.client, redis.asyncio.RedisCluster):
            return False
        await self.client.initialize()
        if not knows_sharded(await self.client.info("server")):
            return False
        if not hasattr(PubSub, "ssubscribe"):
            raise NotImplementedError("sharded pub/sub with asyncio needs a newer redis-py")
        return True

    async def call(self, name: str, keys: Sequence[str], *args: str | bytes | float) -> Any:
        """Call a script; its first argument, the command to publish, is added."""
        publish = "SPUBLISH" if await self.sharded() else "PUBLISH"
        if name not in self._scripts:
            # register_script of a cluster's client is typed for the other one.
            client: Any = self.client
            self._scripts[name] = client.register_script(sources()[name])
        return await self._scripts[name](keys=list(keys), args=[publish, *args])

    async def look(self, keys: Keys, after: Cursor) -> Look:
        """Look at a stream from a position on."""
        pipeline = self.client.pipeline(transaction=False)
        add_look(pipeline, keys, after)
        return read_look(await pipeline.execute())

    async def listen(self, channel: str, sink: Sink) -> Line:
        """Hand a channel's messages to a sink until the line is closed."""
        await self.sharded()
        return Line(self.hub, channel, sink)

    def hub(self, channel: str) -> AsyncHub:
        """Return the hub of the node that has a channel."""
        name, connect = self._node(channel)
        if name not in self._hubs:
            sharded, closed = bool(self._sharded), self.client.aclose if self._owned else None
            self._hubs[name] = AsyncHub(connect, sharded=sharded, lost=self._lost, closed=closed)
        return self._hubs[name]

    def _node(self, channel: str) -> tuple[str, Callable[[], PubSub]]:
        if not isinstance(self.client, redis.asyncio.RedisCluster):
            return "", self.client.pubsub
        node = self.client.get_node_from_key(channel) if self._sharded else None
        node = node or self.client.get_default_node()
        return str(node.name), partial(_node_pubsub, node)

    async def _lost(self) -> None:
        """A node may have lost its slots, or its life: learn who has them now."""
        if isinstance(self.client, redis.asyncio.RedisCluster):
            await self.client.nodes_manager.initialize()


def _node_pubsub(node: ClusterNode) -> PubSub:
    """Make a PubSub of one node; not every redis-py has one for asyncio clusters."""
    pool = redis.asyncio.ConnectionPool(
        connection_class=node.connection_class, **node.connection_kwargs
    )
    return PubSub(pool)


class AsyncRegistry:
    """The servers of one event loop."""

    def __init__(self) -> None:
        self._by_url: dict[str, AsyncServer] = {}
        self._by_client: WeakValueDictionary[int, AsyncServer] = WeakValueDictionary()

    def of(self, given: AsyncRedis) -> AsyncServer:
        """Return the server behind a URL or a client."""
        if isinstance(given, str):
            if given not in self._by_url:
                self._by_url[given] = AsyncServer(_client(given), owned=True)
            return self._by_url[given]
        found = self._by_client.get(id(given)) or AsyncServer(given)
        self._by_client[id(given)] = found
        return found


def _client(url: str) -> redis.asyncio.Redis:
    """Make a client that does not repeat on its own: whoever calls knows when to try again."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_keepalive=True,
        health_check_interval=HEALTH_CHECK,
        retry=Retry(NoBackoff(), 0),
    )
