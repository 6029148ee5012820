"""The publisher on a real Redis: attempts, endings, outages, wishes to cancel."""

import contextlib
import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery_sagemaker.channels import (
    Cancelled,
    ChannelOptions,
    Cursor,
    End,
    Publisher,
    StaleProducer,
    StreamFailed,
    StreamFinished,
    StreamGap,
    acancel,
    cancel,
    subscribe,
)
from celery_sagemaker.channels.server import Server
from celery_sagemaker.channels.wire import Keys
from channels_harness import FOLLOWERS, Following, OwnRedis, own_redis
from redis import ConnectionError as RedisConnectionError
from redis import Redis

Open = Callable[..., Publisher]


@pytest.fixture
def options() -> ChannelOptions:
    """A prefix of the test's own, short times, and every record an entry."""
    prefix = f"test-{uuid.uuid4().hex}"
    short = ChannelOptions(prefix=prefix, heartbeat=0.2, idle=0.3, wait=20.0, grace=0.5)
    return replace(short, coalesce_seconds=0.0)


@pytest.fixture
def publish(sagemaker_redis_url: str, options: ChannelOptions) -> Open:
    """Open the stream `s`."""
    return partial(Publisher.open, "s", sagemaker_redis_url, options=options)


@pytest.fixture
def keys(options: ChannelOptions) -> Keys:
    """The keys of the stream `s`."""
    return Keys(options.prefix, "s")


@pytest.fixture
def client(sagemaker_redis_url: str) -> Redis:
    """Redis itself."""
    return Redis.from_url(sagemaker_redis_url)


@pytest.fixture
def redis_of_ours(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that may be stopped."""
    with own_redis(tmp_path) as server:
        yield server


def entries(client: Redis, keys: Keys) -> list[tuple[str, str, bytes]]:
    """The log: id, kind, payload."""
    found: Any = client.xrange(keys.log)
    return [
        (id_.decode(), kind.decode(), payload)
        for id_, fields in found
        for kind, payload in fields.items()
    ]


def test_the_log_is_what_the_docs_say(publish: Open, client: Redis, keys: Keys) -> None:
    """An open frame, a frame for each record, the end; readable with redis-cli."""
    with publish(content_type="text/event-stream", framing="sse", task_id="t") as publisher:
        publisher.append(b"hello")
        publisher.append(b"\x00\xff\n")
    assert entries(client, keys) == [
        ("1-0", "o", b'{"content_type":"text/event-stream","framing":"sse","task_id":"t"}'),
        ("1-1", "p", b"hello"),
        ("1-2", "p", b"\x00\xff\n"),
        ("1-3", "e", b'{"parts":2,"bytes":8,"crc32":"8ce2a171","finish":"complete"}'),
    ]
    assert client.hgetall(keys.meta) == {
        b"attempt": b"1",
        b"state": b"complete",
        b"content_type": b"text/event-stream",
        b"framing": b"sse",
        b"end": b"1-3",
        b"outcome": b'{"parts":2,"bytes":8,"crc32":"8ce2a171","finish":"complete"}',
    }


def test_records_in_quick_succession_share_an_entry(
    publish: Open, options: ChannelOptions, client: Redis, keys: Keys
) -> None:
    """The first one goes alone; an entry has the id of its last record."""
    with publish(options=replace(options, coalesce_seconds=5.0)) as publisher:
        for record in (b"a", b"b", b"c"):
            publisher.append(record)
    assert entries(client, keys)[1:3] == [("1-1", "p", b"a"), ("1-3", "b", b"1:b,1:c,")]


def test_a_flush_is_one_command(publish: Open, client: Redis) -> None:
    """Entry, times to live and message in one call of a script."""
    publisher = publish(options=ChannelOptions(prefix=f"test-{uuid.uuid4().hex}"))
    publisher.append(b"x" * 5000)
    before = client.info("commandstats")
    for _ in range(10):
        publisher.append(b"x" * 5000)
    after = client.info("commandstats")
    publisher.end()

    def calls(name: str) -> int:
        return int(after[f"cmdstat_{name}"]["calls"] - before[f"cmdstat_{name}"]["calls"])

    # Publishers of other tests may still give signs of life, at most a few.
    assert 10 <= calls("evalsha") <= 12
    assert calls("xadd") == 10


def test_a_held_record_goes_without_another_one(publish: Open, options: ChannelOptions) -> None:
    """The producer may be blocked for long: the clock's thread flushes."""
    publisher = publish(options=replace(options, coalesce_seconds=0.05, heartbeat=60.0, idle=60.0))
    following = Following(FOLLOWERS["subscribe"], "s", url_of(publisher), options=options)
    publisher.append(b"a")
    publisher.append(b"b")
    following.wait_for(2)
    publisher.end()
    following.wait()


def url_of(publisher: Publisher) -> str:
    """The URL of a publisher's Redis."""
    place = publisher._relay._server.client.get_connection_kwargs()
    return f"redis://{place['host']}:{place['port']}/{place.get('db', 0)}"


def test_every_key_expires(
    publish: Open, options: ChannelOptions, client: Redis, keys: Keys
) -> None:
    """A live stream after an hour of silence, an ended one after ten minutes, its state later."""
    publisher = publish()
    publisher.append(b"a")
    assert 3500 < client.ttl(keys.log) <= 3600
    assert 86_000 < client.ttl(keys.meta) <= 86_400
    assert 0 < client.pttl(keys.lease) <= 600
    cancel("s", url_of(publisher), options=options)
    assert 3500 < client.ttl(keys.ctl) <= 3600
    publisher.end()
    assert 500 < client.ttl(keys.log) <= 600
    assert 86_000 < client.ttl(keys.meta) <= 86_400
    assert client.exists(keys.lease, keys.ctl) == 0


def test_a_flood_is_trimmed(
    publish: Open, options: ChannelOptions, client: Redis, keys: Keys
) -> None:
    """The fuse: a producer that does not stop fills no Redis."""
    with publish(options=replace(options, max_entries=100)) as publisher:
        for _ in range(1000):
            publisher.append(b"a")
    assert client.xlen(keys.log) < 300


@pytest.mark.parametrize(
    ("end", "state", "outcome"),
    [
        (lambda p: p.end(result="r"), "complete", {"parts": 0, "result": "r"}),
        (lambda p: p.error("ModelError", "no"), "error", {"code": "ModelError"}),
        (lambda p: p.cancelled(), "cancelled", {}),
    ],
)
def test_an_ended_stream_is_not_opened_again(
    publish: Open, end: Callable[[Publisher], bool], state: str, outcome: dict[str, Any]
) -> None:
    """A redelivered message does not pay for a second inference; it learns how the first ended."""
    assert end(publish())
    with pytest.raises(StreamFinished) as caught:
        publish()
    assert caught.value.state == state
    assert outcome.items() <= caught.value.outcome.items()


def test_nothing_is_appended_after_the_end(publish: Open) -> None:
    """A mistake of the caller's."""
    publisher = publish()
    publisher.end()
    with pytest.raises(ValueError, match="ended"):
        publisher.append(b"a")


@pytest.mark.parametrize(
    ("error", "kind", "payload"),
    [
        (RuntimeError("no"), "x", b'{"code":"RuntimeError","message":"no","retryable":false}'),
        (Cancelled("wish"), "c", b"{}"),
    ],
)
def test_leaving_with_an_error_ends_the_stream(
    publish: Open, client: Redis, keys: Keys, error: Exception, kind: str, payload: bytes
) -> None:
    """With the error's class as code; a wish to cancel is no error."""
    with contextlib.suppress(type(error)), publish() as publisher:
        publisher.append(b"a")
        raise error
    assert entries(client, keys)[-1] == ("1-2", kind, payload)


def test_a_stale_producer_is_refused(publish: Open, client: Redis, keys: Keys) -> None:
    """By Redis, whatever it believes; its end is, too."""
    with publish() as old:
        old.append(b"a")
        new = publish()
        with pytest.raises(StaleProducer):
            old.append(b"b")
    new.append(b"c")
    with pytest.raises(StaleProducer):
        old.end()
    new.end()
    assert [id_ for id_, *_ in entries(client, keys)] == ["1-0", "1-1", "2-0", "2-1", "2-2"]


def test_a_silent_stale_producer_learns_it_from_its_heartbeat(publish: Open) -> None:
    """It cannot keep the lease of the one that took over."""
    old, new = publish(), publish()
    assert old._relay.finished.wait(5.0)
    with pytest.raises(StaleProducer):
        old.append(b"a")
    new.end()


def test_attempts_go_on_when_meta_was_evicted(publish: Open, client: Redis, keys: Keys) -> None:
    """Ids in a log only grow."""
    for _ in range(2):
        publish()
    client.delete(keys.meta)
    publisher = publish()
    assert publisher.attempt == 3
    assert client.hget(keys.meta, "attempt") == b"3"
    publisher.end()


def test_an_append_that_was_not_answered_counts_once(
    publish: Open, client: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same frames are sent again, and Redis knows their ids."""
    call, lost = Server.call, threading.Event()

    def unanswered(server: Server, name: str, *args: Any) -> Any:
        answer = call(server, name, *args)
        if name in ("append", "finish") and not lost.is_set():
            lost.set()
            raise RedisConnectionError("lost")
        return answer

    monkeypatch.setattr(Server, "call", unanswered)
    publisher = publish()
    publisher.append(b"a")
    publisher.append(b"b")
    lost.clear()
    assert publisher.end()
    assert [id_ for id_, *_ in entries(client, keys)] == ["1-0", "1-1", "1-2", "1-3"]


def test_a_lost_log_ends_the_stream_for_its_readers_only(
    publish: Open, client: Redis, keys: Keys, options: ChannelOptions
) -> None:
    """The producer's own caller gets everything; a log is never begun in the middle."""
    publisher = publish()
    publisher.append(b"a")
    client.delete(keys.log)
    for _ in range(10):
        publisher.append(b"b")
    assert publisher.end()
    assert not publisher.relayed
    assert client.exists(keys.log) == 0
    assert client.hget(keys.meta, "state") == b"error"
    with pytest.raises(StreamGap):
        list(subscribe("s", url_of(publisher), options=options))


def test_a_log_without_its_end_is_not_continued(publish: Open, client: Redis, keys: Keys) -> None:
    """A server that lost its last second has a hole: readers are told, not deceived."""
    publisher = publish()
    for record in (b"a", b"b", b"c"):
        publisher.append(record)
    client.delete(keys.log)
    for seq in range(3):
        client.xadd(keys.log, {"p": b"a"}, id=f"1-{seq}")
    publisher.append(b"d")
    publisher.end()
    assert entries(client, keys)[-1][:2] == ("1-3", "x")
    assert b"relay_lost" in entries(client, keys)[-1][2]


def test_a_wish_to_cancel_arrives_while_the_model_is_silent(
    publish: Open, options: ChannelOptions
) -> None:
    """Within 200 ms, in another thread than the one that waits for the model."""
    called, told = threading.Event(), list[float]()

    def on_cancel() -> None:
        told.append(time.monotonic())
        called.set()

    publisher = publish(on_cancel=on_cancel, options=replace(options, heartbeat=60.0))
    publisher.append(b"a")
    # The control channel is subscribed in the background.
    wait_until(lambda: cancel_listeners(publisher, options) == 1)
    asked = time.monotonic()
    assert cancel("s", url_of(publisher), options=options) == "open"
    assert called.wait(5.0)
    assert told[0] - asked < 0.2
    with pytest.raises(Cancelled):
        publisher.append(b"b")
    assert publisher.cancelled()
    assert len(told) == 1
    assert cancel("s", url_of(publisher), options=options) == "cancelled"


def cancel_listeners(publisher: Publisher, options: ChannelOptions) -> int:
    """Who is subscribed to the control channel."""
    channel = Keys(options.prefix, "s").ctl
    ((_, count),) = Redis.from_url(url_of(publisher)).pubsub_numsub(channel)
    return int(count)


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask Redis again and again: it has no event for what the test waits for."""
    give_up = time.monotonic() + 5.0
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_a_busy_producer_keeps_its_lease(
    publish: Open, options: ChannelOptions, client: Redis, keys: Keys
) -> None:
    """One that leaves no gap between two records gives its signs of life, and hears wishes."""
    publisher = publish(options=replace(options, heartbeat=0.1))
    give_up = time.monotonic() + 1.5
    while time.monotonic() < give_up:
        publisher.append(b"a")
        assert client.exists(keys.lease)
    publisher.end()


def test_an_early_wish_to_cancel_is_not_lost(
    publish: Open, options: ChannelOptions, sagemaker_redis_url: str
) -> None:
    """The producer that opens the stream later finds it before it calls the model."""
    called = threading.Event()
    assert cancel("s", sagemaker_redis_url, options=options) == ""
    publisher = publish(on_cancel=called.set)
    assert called.is_set()
    with pytest.raises(Cancelled):
        publisher.append(b"a")
    publisher.cancelled()
    assert cancel("s", sagemaker_redis_url, options=options) == "cancelled"


def test_a_wish_whose_message_was_lost_is_found(publish: Open, client: Redis, keys: Keys) -> None:
    """By the next heartbeat: the key says the same."""
    called = threading.Event()
    publisher = publish(on_cancel=called.set)
    client.set(keys.ctl, "cancel")
    assert called.wait(5.0)
    publisher.cancelled()


def test_asyncio_cancels_the_same_way(options: ChannelOptions, sagemaker_redis_url: str) -> None:
    """The wish is there for the producer."""
    import asyncio  # noqa: PLC0415

    called = threading.Event()
    publisher = Publisher.open("s", sagemaker_redis_url, options=options, on_cancel=called.set)
    state = asyncio.run(cancel_and_close(options, sagemaker_redis_url))
    assert state == "open"
    assert called.wait(5.0)
    publisher.cancelled()


async def cancel_and_close(options: ChannelOptions, url: str) -> str:
    """Cancel with a client of asyncio."""
    import redis.asyncio  # noqa: PLC0415

    async with redis.asyncio.Redis.from_url(url) as client:
        return await acancel("s", client, options=options)


def test_a_callback_that_fails_harms_nobody(
    publish: Open, client: Redis, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that called it is everybody's: it is logged."""
    publisher = publish(on_cancel=lambda: 1 / 0)
    client.set(keys.ctl, "cancel")
    wait_until(publisher._cancelled.is_set)
    wait_until(lambda: "on_cancel_failed" in caplog.text)
    with pytest.raises(Cancelled):
        publisher.append(b"a")
    publisher.cancelled()


def test_an_outage_is_bridged(
    redis_of_ours: OwnRedis, options: ChannelOptions, caplog: pytest.LogCaptureFixture
) -> None:
    """`append` does not fail and does not wait; all arrives afterwards, in order, once."""
    caplog.set_level(logging.WARNING)
    publisher = Publisher.open("s", redis_of_ours.url, options=options)
    following = Following(
        FOLLOWERS["subscribe"], "s", redis_of_ours.url, options=replace(options, grace=30.0)
    )
    publisher.append(b"0")
    following.wait_for(1)
    redis_of_ours.stop()
    began = time.monotonic()
    for n in range(1, 5000):
        publisher.append(b"%d" % n)
    assert time.monotonic() - began < 3.0
    redis_of_ours.start()
    publisher.append(b"5000")
    assert publisher.end()
    assert following.wait().data == [b"%d" % n for n in range(5001)]
    assert isinstance(following.events[-1], End)
    assert following.events[-1].cursor == Cursor(1, 5002)
    assert "relay_resumed" in caplog.text


def test_an_outage_that_is_too_long_ends_the_stream_for_its_readers_only(
    redis_of_ours: OwnRedis, options: ChannelOptions
) -> None:
    """They are told `relay_overflow`; whoever reads the model is not disturbed."""
    small = replace(options, buffer_bytes=1000, grace=30.0)
    publisher = Publisher.open("s", redis_of_ours.url, options=small)
    publisher.append(b"a")
    redis_of_ours.stop()
    for _ in range(100):
        publisher.append(b"b" * 100)
    assert not publisher.relayed
    redis_of_ours.start()
    assert publisher.end()
    following = Following(FOLLOWERS["subscribe"], "s", redis_of_ours.url, options=small).wait()
    assert following.data == [b"a"]
    assert isinstance(following.error, StreamFailed)
    assert following.error.code == "relay_overflow"


def test_an_end_that_redis_does_not_take_is_left_to_the_background(
    redis_of_ours: OwnRedis, options: ChannelOptions
) -> None:
    """`end` waits a while, says so, and it is sent when Redis is back."""
    publisher = Publisher.open(
        "s", redis_of_ours.url, options=replace(options, end_wait=0.1, grace=30.0)
    )
    redis_of_ours.stop()
    publisher.append(b"a")
    assert not publisher.end()
    redis_of_ours.start()
    assert publisher._relay.finished.wait(10.0)
    (part, end) = subscribe("s", redis_of_ours.url, options=options)
    assert isinstance(end, End)
    assert part.cursor == Cursor(1, 1)


def test_redis_must_be_there_to_begin(redis_of_ours: OwnRedis, options: ChannelOptions) -> None:
    """Nothing has been paid for yet: whoever opens may try again."""
    redis_of_ours.stop()
    with pytest.raises(RedisConnectionError):
        Publisher.open("s", redis_of_ours.url, options=options)


FORK = """
import os, sys, warnings
from celery_sagemaker.channels import ChannelOptions, Publisher, subscribe
url, prefix = sys.argv[1:]
options = ChannelOptions(prefix=prefix, heartbeat=0.1, coalesce_seconds=0.05)
def work(stream):
    with Publisher.open(stream, url, options=options) as publisher:
        publisher.append(b"a")
        publisher.append(b"b")
        events = subscribe(stream, url, options=options)
        return [next(events).data, next(events).data]
assert work("parent") == [b"a", b"b"]
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    os._exit(0 if work("child") == [b"a", b"b"] else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_has_threads_and_connections_of_its_own(
    sagemaker_redis_url: str, options: ChannelOptions
) -> None:
    """Celery's pool forks: what the parent had running is not there."""
    command = [sys.executable, "-c", FORK, sagemaker_redis_url, options.prefix]
    done = subprocess.run(command, check=False, timeout=30, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
