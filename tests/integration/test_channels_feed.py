"""A feed on a real Redis: written by many, trimmed, ended and begun anew."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from celery_sagemaker.channels import (
    ChannelOptions,
    Cursor,
    End,
    Feed,
    FeedOptions,
    Restarted,
    StreamGap,
    StreamNotFound,
    subscribe,
)
from celery_sagemaker.channels.wire import Keys
from channels_harness import FOLLOWERS, Following, OwnRedis, own_redis
from redis import Redis

Start = Callable[..., Following]

#: Writes records of its own, and a record that every process has.
WRITER = """
import sys
from celery_sagemaker.channels import ChannelOptions, Feed
url, prefix, name, count = sys.argv[1:]
feed = Feed("f", url, options=ChannelOptions(prefix=prefix))
for n in range(int(count)):
    feed.append(f"{name}/{n}", f"{name}/{n}".encode())
    feed.append(f"all/{n}", f"all/{n}".encode())
"""


@pytest.fixture
def options() -> ChannelOptions:
    """A prefix of the test's own, and short times: nothing here is a producer with a lease."""
    prefix = f"test-{uuid.uuid4().hex}"
    return ChannelOptions(prefix=prefix, heartbeat=0.1, idle=0.2, wait=20.0, grace=0.3)


@pytest.fixture
def feed(sagemaker_redis_url: str, options: ChannelOptions) -> Feed:
    """The feed `f`, which keeps ten records."""
    kept = FeedOptions(keep=10)
    return Feed("f", sagemaker_redis_url, options=options, feed=kept)


@pytest.fixture(params=FOLLOWERS)
def start(
    request: pytest.FixtureRequest, sagemaker_redis_url: str, options: ChannelOptions
) -> Start:
    """Start a reader of the feed."""
    follow = FOLLOWERS[request.param]
    return partial(Following, follow, "f", sagemaker_redis_url, options=options)


@pytest.fixture
def client(sagemaker_redis_url: str) -> Redis:
    """Redis itself."""
    return Redis.from_url(sagemaker_redis_url)


@pytest.fixture
def keys(options: ChannelOptions) -> Keys:
    """The keys of the feed."""
    return Keys(options.prefix, "f")


def test_records_of_many_processes_are_one_sequence(
    sagemaker_redis_url: str, options: ChannelOptions, start: Start
) -> None:
    """Each record once, whoever wrote it, and what all of them wrote once as well."""
    count = 50
    Feed("f", sagemaker_redis_url, options=options).open()
    following = start()
    command = [sys.executable, "-c", WRITER, sagemaker_redis_url, options.prefix]
    writers = [subprocess.Popen([*command, name, str(count)]) for name in "abc"]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    following.wait_for(4 * count)
    assert Feed("f", sagemaker_redis_url, options=options).end()
    following.wait()
    wanted = [f"{name}/{n}".encode() for name in ("a", "b", "c", "all") for n in range(count)]
    assert sorted(following.data) == sorted(wanted)
    for name in ("a", "b", "c"):
        mine = [data for data in following.data if data.startswith(name.encode() + b"/")]
        assert mine == [f"{name}/{n}".encode() for n in range(count)]
    assert following.error is None


def test_a_reader_waits_on_through_silence(feed: Feed, start: Start) -> None:
    """No lease, no heartbeat: nobody is taken for lost, however long nothing happens."""
    feed.open()
    following = start()
    feed.append("a", b"a")
    following.wait_for(1)
    # Longer than a producer may be silent, and than readers wait for another.
    following._thread.join(1.5)
    feed.append("b", b"b")
    following.wait_for(2)
    feed.end()
    assert following.wait().data == [b"a", b"b"]
    assert isinstance(following.events[-1], End)


def test_who_comes_late_is_given_what_is_kept(feed: Feed, client: Redis, keys: Keys) -> None:
    """The newest ten; the log does not grow, and neither does what is known of the keys."""
    for n in range(45):
        assert feed.append(str(n), b"%d" % n)
    feed.end()
    events = list(subscribe("f", client, options=ChannelOptions(prefix=keys.prefix)))
    assert [getattr(event, "data", None) for event in events[:-1]] == [
        b"%d" % n for n in range(35, 45)
    ]
    assert client.xlen(keys.log) == 11


def test_keys_are_known_for_longer_than_their_records(
    feed: Feed, client: Redis, keys: Keys
) -> None:
    """A repetition of a record that was trimmed a while ago is still no new one."""
    for n in range(45):
        feed.append(str(n), b"")
    assert client.zcard(keys.seen) == 20
    assert not feed.append("25", b"")
    assert feed.append("24", b"")


def test_who_missed_records_is_told(feed: Feed, client: Redis, keys: Keys) -> None:
    """A cursor whose next record was trimmed is a gap; from the beginning, there is none."""
    for n in range(45):
        feed.append(str(n), b"%d" % n)
    with pytest.raises(StreamGap):
        next(subscribe("f", client, cursor="1-34", options=ChannelOptions(prefix=keys.prefix)))
    found = next(subscribe("f", client, cursor="1-35", options=ChannelOptions(prefix=keys.prefix)))
    assert found.cursor == Cursor(1, 36)


def test_all_of_it_expires_unless_it_is_renewed(
    feed: Feed, client: Redis, keys: Keys, options: ChannelOptions, sagemaker_redis_url: str
) -> None:
    """Each record, and each `open`, renews all three keys."""
    short = Feed("f", sagemaker_redis_url, options=options, feed=FeedOptions(ttl=60.0))
    names = (keys.log, keys.meta, keys.seen)
    short.append("a", b"a")
    assert all(0 < int(str(client.pttl(name))) <= 60_000 for name in names)
    feed.append("b", b"b")
    year = 365 * 86_400_000
    assert all(int(str(client.pttl(name))) > year for name in names)
    short.open()
    assert all(0 < int(str(client.pttl(name))) <= 60_000 for name in names)


def test_a_feed_that_has_ended_takes_nothing(feed: Feed, client: Redis, keys: Keys) -> None:
    """What is announced too late is dropped; the log can be read for a while, as any other's."""
    feed.append("a", b"a")
    assert feed.end()
    assert not feed.end()
    assert not feed.append("b", b"b")
    assert not client.exists(keys.seen)
    assert 0 < int(str(client.pttl(keys.log))) <= 600_000
    assert not Feed("never", client, options=ChannelOptions(prefix=keys.prefix)).end()


def test_a_feed_begins_anew(feed: Feed, start: Start, client: Redis, keys: Keys) -> None:
    """A reader of before is told; one that comes now does not meet the end of before."""
    assert feed.open() == feed.open() == 1
    feed.append("a", b"old")
    assert feed.end()
    assert feed.open() == 2
    feed.append("a", b"new")
    following = start(cursor="1-1")
    following.wait_for(1)
    feed.end()
    events = following.wait().events
    assert isinstance(events[0], Restarted)
    assert following.data == [b"new"]


def test_a_log_that_is_gone_is_another_attempt(feed: Feed, client: Redis, keys: Keys) -> None:
    """Evicted, or deleted by hand: its numbers are not given again."""
    feed.append("a", b"a")
    client.delete(keys.log)
    assert feed.append("b", b"b")
    options = ChannelOptions(prefix=keys.prefix)
    assert next(subscribe("f", client, cursor="1-1", options=options)) == Restarted(Cursor(2, 0))
    assert next(subscribe("f", client, options=options)).cursor == Cursor(2, 1)


def test_nobody_opens_it(client: Redis, options: ChannelOptions) -> None:
    """Readers wait for a feed as for any stream."""
    with pytest.raises(StreamNotFound):
        next(subscribe("f", client, options=replace(options, wait=0.3)))


def test_a_restart_of_redis_is_no_end(tmp_path: Any, options: ChannelOptions) -> None:
    """Readers come back, and a producer that tries again finds what it wrote before."""
    with own_redis(tmp_path) as server:
        patient = replace(options, grace=30.0)
        feed = Feed("f", server.url, options=patient)
        feed.append("a", b"a")
        following = Following(FOLLOWERS["subscribe"], "f", server.url, options=patient)
        following.wait_for(1)
        _restart(server)
        assert not feed.append("a", b"a")
        assert feed.append("b", b"b")
        following.wait_for(2)
        feed.end()
        assert following.wait().data == [b"a", b"b"]
        assert following.error is None


def _restart(server: OwnRedis) -> None:
    server.stop()
    server.start()
