"""Channels on a Redis Cluster: one slot for a stream, and channels that stay on its node."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
import redis.asyncio
from celery_sagemaker.channels import (
    ChannelOptions,
    End,
    Event,
    Feed,
    Part,
    Publisher,
    asubscribe,
    cancel,
    subscribe,
)
from celery_sagemaker.channels.wire import Keys
from celery_sagemaker.local import redis_server
from celery_sagemaker.local.processes import Child, free_port, listening
from redis.asyncio.client import PubSub

#: Slots of a cluster, and nodes of ours.
SLOTS = 16_384
NODES = 3

#: A node's second port is this much above its first one.
BUS = 10_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.RedisCluster]:
    """Three nodes on the loopback interface, no replicas."""
    with ExitStack() as stack:
        ports = [start(stack, tmp_path_factory.mktemp("node")) for _ in range(NODES)]
        join(ports)
        client = redis.RedisCluster(host="127.0.0.1", port=ports[0])
        stack.callback(client.close)
        yield client


def start(stack: ExitStack, folder: Path) -> int:
    """Start a node; return its port."""
    port = free_port()
    while port + BUS > 65_535:
        port = free_port()
    command = [redis_server.find(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    cluster = ["--cluster-enabled", "yes", "--dir", str(folder)]
    child = Child(
        "node", [*command, *cluster], port=port, folder=folder, ready=lambda _: listening(port)
    )
    stack.callback(child.stop)
    child.wait_until_up()
    return port


def join(ports: list[int]) -> None:
    """Make a cluster of nodes; return when all of them agree."""
    nodes = [redis.Redis(port=port) for port in ports]
    bounds = [SLOTS * n // NODES for n in range(NODES + 1)]
    for node, (first, after) in zip(nodes, pairwise(bounds), strict=True):
        node.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
        node.execute_command("CLUSTER MEET", "127.0.0.1", ports[0])
    give_up = time.monotonic() + 20.0
    while not all(agrees(node) for node in nodes):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    for node in nodes:
        node.close()


def agrees(node: redis.Redis) -> bool:
    """Whether a node sees the whole cluster."""
    info = node.execute_command("CLUSTER INFO")
    state = (
        info
        if isinstance(info, dict)
        else dict(line.split(":", 1) for line in info.decode().split())
    )
    return (state["cluster_state"], state["cluster_known_nodes"]) == ("ok", str(NODES))


@pytest.fixture
def options() -> ChannelOptions:
    """A prefix of the test's own; nothing is found by looking after silence."""
    return ChannelOptions(prefix=f"test-{uuid.uuid4().hex}", heartbeat=60.0, idle=60.0)


def produce(cluster: redis.RedisCluster, stream: str, options: ChannelOptions) -> list[bytes]:
    """Publish a stream."""
    records = [b"%d" % n for n in range(50)]
    with Publisher.open(stream, cluster, options=options) as publisher:
        for record in records:
            publisher.append(record)
    return records


def data(events: list[Event]) -> list[bytes]:
    """The records among the events."""
    return [event.data for event in events if isinstance(event, Part)]


def test_streams_on_all_nodes_are_followed(
    cluster: redis.RedisCluster, options: ChannelOptions
) -> None:
    """From the log, whichever node has it."""
    for number in range(2 * NODES):
        records = produce(cluster, f"s{number}", options)
        events = list(subscribe(f"s{number}", cluster, options=options))
        assert data(events) == records
        assert isinstance(events[-1], End)
    nodes = {
        cluster.get_node_from_key(Keys(options.prefix, f"s{n}").log).name for n in range(2 * NODES)
    }
    assert len(nodes) > 1


@pytest.mark.parametrize("stream", ["a", "b", "c", "d"])
def test_channels_are_sharded(
    cluster: redis.RedisCluster, options: ChannelOptions, stream: str
) -> None:
    """A live record reaches a reader over the stream's own node, and no other one."""
    publisher = Publisher.open(stream, cluster, options=options)
    events = subscribe(stream, cluster, options=options)
    publisher.append(b"a")
    assert data([next(events)]) == [b"a"]
    live = Keys(options.prefix, stream).live
    nodes = [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def listening() -> list[int]:
        return sorted(int(node.pubsub_shardnumsub(live)[0][1]) for node in nodes)

    give_up = time.monotonic() + 5.0
    while listening() != [0, 0, 1]:
        assert time.monotonic() < give_up
    # Everything before was found in the log; this comes live.
    publisher.append(b"b")
    assert data([next(events)]) == [b"b"]
    publisher.end()
    assert isinstance(next(events), End)
    assert list(events) == []


def test_a_wish_to_cancel_finds_its_node(
    cluster: redis.RedisCluster, options: ChannelOptions
) -> None:
    """Key and channel are in the stream's slot."""
    assert cancel("s", cluster, options=options) == ""
    publisher = Publisher.open("s", cluster, options=options)
    assert publisher._cancelled.is_set()
    publisher.cancelled()
    assert cancel("s", cluster, options=options) == "cancelled"


def test_feeds_are_on_one_node(cluster: redis.RedisCluster, options: ChannelOptions) -> None:
    """All of a feed's keys are in its slot, and its readers hear of it there."""
    for name in "abcd":
        feed = Feed(name, cluster, options=options)
        feed.open()
        events = subscribe(name, cluster, options=options)
        feed.append("1", b"1")
        assert not feed.append("1", b"1")
        assert data([next(events)]) == [b"1"]
        feed.append("2", b"2")
        assert data([next(events)]) == [b"2"]
        assert feed.end()
        assert isinstance(next(events), End)
        assert list(events) == []


@pytest.mark.skipif(not hasattr(PubSub, "ssubscribe"), reason="this redis-py is too old")
def test_asyncio_follows_live(cluster: redis.RedisCluster, options: ChannelOptions) -> None:
    """With a client of its own kind."""
    asyncio.run(follow(cluster, options))


async def follow(cluster: redis.RedisCluster, options: ChannelOptions) -> None:
    """Follow a stream while it is produced."""
    node = cluster.get_default_node()
    async with redis.asyncio.RedisCluster(host=node.host, port=node.port) as client:
        events = asubscribe("live", client, options=options)
        reading = asyncio.ensure_future(collect(events))
        records = await asyncio.to_thread(produce, cluster, "live", options)
        assert data(await asyncio.wait_for(reading, 10.0)) == records


async def collect(events: object) -> list[Event]:
    """Everything that comes."""
    return [event async for event in events]  # type: ignore[attr-defined]
