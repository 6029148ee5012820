"""What holds for a reader of either kind, `subscribe` and `asubscribe`, on a real Redis."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from celery_sagemaker.channels import (
    EARLIEST,
    ChannelOptions,
    Cursor,
    End,
    Part,
    ProducerLost,
    Publisher,
    Restarted,
    StreamCancelled,
    StreamFailed,
    StreamGap,
    StreamNotFound,
    asubscribe,
    async_server,
    subscribe,
)
from celery_sagemaker.channels.async_hub import AsyncHub
from celery_sagemaker.channels.hub import Hub
from celery_sagemaker.channels.inbox import AsyncInbox
from celery_sagemaker.channels.register import Register
from celery_sagemaker.channels.wire import Keys
from channels_harness import FOLLOWERS, Following, producer
from redis import Redis

#: No sign of life, no look after silence: what comes, comes live.
QUIET = partial(ChannelOptions, heartbeat=60.0, idle=60.0)

Start = Callable[..., Following]


@pytest.fixture
def options() -> ChannelOptions:
    """A prefix of the test's own, and short times."""
    prefix = f"test-{uuid.uuid4().hex}"
    return ChannelOptions(prefix=prefix, heartbeat=0.2, idle=0.3, wait=20.0, grace=0.5)


@pytest.fixture(params=FOLLOWERS)
def start(
    request: pytest.FixtureRequest, sagemaker_redis_url: str, options: ChannelOptions
) -> Start:
    """Start a reader of the stream `s`."""
    follow = FOLLOWERS[request.param]
    return partial(Following, follow, "s", sagemaker_redis_url, options=options)


@pytest.fixture
def publish(sagemaker_redis_url: str, options: ChannelOptions) -> Callable[..., Publisher]:
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


def write(publisher: Publisher, count: int, first: int = 0) -> list[bytes]:
    """Publish some records."""
    records = [b"%d" % n for n in range(first, first + count)]
    for record in records:
        publisher.append(record)
    return records


def test_a_late_reader_gets_everything(start: Start, publish: Callable[..., Publisher]) -> None:
    """From the log, one by one, with the end's summary."""
    with publish() as publisher:
        records = write(publisher, 1200)
        publisher.end(result={"at": "s3://b/k"})
    following = start().wait()
    assert following.data == records
    end = following.events[-1]
    assert isinstance(end, End)
    assert (end.parts, end.bytes, end.finish) == (1200, len(b"".join(records)), "complete")
    assert end.result == {"at": "s3://b/k"}
    assert end.cursor == Cursor(1, 1201)


def test_an_early_reader_gets_everything_live(
    start: Start, publish: Callable[..., Publisher], options: ChannelOptions
) -> None:
    """It may come before the stream; nothing is found by looking after silence."""
    quiet = QUIET(prefix=options.prefix)
    following = start(options=quiet)
    with publish(options=quiet) as publisher:
        records = write(publisher, 3)
        following.wait_for(3)
        records += write(publisher, 20, 3)
        following.wait_for(23)
    assert following.wait().data == records


@pytest.mark.parametrize("at", [0, 1, 7, 30])
def test_a_reader_resumes_where_it_was(
    start: Start, publish: Callable[..., Publisher], at: int
) -> None:
    """Inside of a batch, too: a batch has no position of its own."""
    with publish() as publisher:
        records = write(publisher, 30)
    following = start(cursor=f"1-{at}").wait()
    assert following.data == records[at:]


def test_a_reader_at_the_end_gets_nothing(start: Start, publish: Callable[..., Publisher]) -> None:
    """Neither events nor an error."""
    with publish() as publisher:
        write(publisher, 3)
    following = start(cursor="1-4").wait()
    assert (following.events, following.error) == ([], None)


def test_an_error_comes_after_the_records_before_it(
    start: Start, publish: Callable[..., Publisher]
) -> None:
    """With its code, and whether trying again may help."""
    publisher = publish()
    records = write(publisher, 3)
    publisher.error("ModelStreamError", "broken", retryable=True)
    following = start().wait()
    assert following.data == records
    assert isinstance(following.error, StreamFailed)
    assert following.error.code == "ModelStreamError"
    assert following.error.retryable


def test_a_cancelled_stream_says_so(start: Start, publish: Callable[..., Publisher]) -> None:
    """After the records before it."""
    publisher = publish()
    records = write(publisher, 3)
    publisher.cancelled()
    following = start().wait()
    assert following.data == records
    assert isinstance(following.error, StreamCancelled)


def test_a_stream_that_nobody_opens_is_not_found(start: Start, options: ChannelOptions) -> None:
    """After the time to wait."""
    began = time.monotonic()
    short = replace(options, wait=0.5)
    assert isinstance(start(options=short).wait().error, StreamNotFound)
    assert 0.4 < time.monotonic() - began < 5.0


def test_a_killed_producer_is_noticed(
    start: Start, options: ChannelOptions, sagemaker_redis_url: str
) -> None:
    """Its lease runs out, and nobody takes over."""
    with producer("s", sagemaker_redis_url, options, 3):
        following = start()
        following.wait_for(3)
        # Longer than lease and grace: it lives.
        time.sleep(4 * options.heartbeat + options.grace)
        assert following.error is None
    assert isinstance(following.wait().error, ProducerLost)
    assert following.data == [b"0", b"1", b"2"]


def test_another_attempt_takes_over(
    start: Start,
    publish: Callable[..., Publisher],
    options: ChannelOptions,
    sagemaker_redis_url: str,
) -> None:
    """Readers are told to start again, whether they were there or come later."""
    with producer("s", sagemaker_redis_url, options, 3):
        following = start()
        following.wait_for(3)
    with publish() as publisher:
        records = write(publisher, 5)
    late = start().wait()
    assert following.wait().events == late.events
    assert following.data == [b"0", b"1", b"2", *records]
    assert following.events[3] == Restarted(Cursor(2, 0))


@pytest.mark.parametrize("trim", [{"maxlen": 5}, {"minid": "1-8"}])
def test_a_trimmed_log_is_a_gap(
    start: Start,
    publish: Callable[..., Publisher],
    options: ChannelOptions,
    client: Redis,
    keys: Keys,
    trim: dict[str, Any],
) -> None:
    """The reader is told, and given nothing."""
    single = ChannelOptions(prefix=options.prefix, coalesce_seconds=0)
    with publish(options=single) as publisher:
        write(publisher, 10)
    client.xtrim(keys.log, approximate=False, **trim)
    following = start(cursor="1-2").wait()
    assert isinstance(following.error, StreamGap)
    assert following.error.cursor == Cursor(1, 2)
    assert following.events == []


def test_a_deleted_stream_is_a_gap(
    start: Start, publish: Callable[..., Publisher], client: Redis, keys: Keys
) -> None:
    """Silence would be the alternative."""
    publisher = publish()
    write(publisher, 1)
    following = start()
    following.wait_for(1)
    client.delete(keys.log, keys.meta)
    assert isinstance(following.wait().error, StreamGap)
    publisher.end()


def test_a_slow_reader_loses_nothing(
    start: Start, publish: Callable[..., Publisher], options: ChannelOptions
) -> None:
    """Its inbox is shed, and the log has it all."""
    tight = ChannelOptions(prefix=options.prefix, inbox=2, coalesce_seconds=0)
    following = start(options=tight)
    with publish(options=tight) as publisher:
        records = write(publisher, 500)
    assert following.wait().data == records


def test_text_is_made_by_the_caller(start: Start, publish: Callable[..., Publisher]) -> None:
    """From the framing that the producer names."""
    with publish(framing="lines") as publisher:
        publisher.append(b"a")
    (part, _) = start(to_text=lambda framing, data: f"{framing} {data!r}").wait().events
    assert isinstance(part, Part)
    assert (part.data, part.text) == (b"a", "lines b'a'")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"cursor": "$"}, ValueError), ({"options": ChannelOptions(prefix="x")}, StreamNotFound)],
)
def test_what_cannot_be_read_is_refused(
    start: Start, wrong: dict[str, Any], error: type[Exception]
) -> None:
    """A malformed cursor at once; another prefix is another stream."""
    if "options" in wrong:
        wrong = {"options": ChannelOptions(prefix="x", wait=0.1)}
    assert isinstance(start(**wrong).wait().error, error)


@pytest.mark.parametrize("name", FOLLOWERS)
def test_all_readers_share_one_connection(
    name: str, sagemaker_redis_url: str, options: ChannelOptions, client: Redis
) -> None:
    """A thousand of them cost one pub/sub connection; per event loop with asyncio."""
    mark = f"n{uuid.uuid4().hex}"
    url = f"{sagemaker_redis_url}?client_name={mark}"
    if name == "subscribe":
        readers = [Following(FOLLOWERS[name], f"s{n}", url, options=options) for n in range(20)]
    else:
        readers = [Following(follow_many, "s", url, options=options)]
    publishers = [Publisher.open(f"s{n}", url, options=options) for n in range(20)]
    for publisher in publishers:
        publisher.append(b"a")
    for reader in readers:
        reader.wait_for(20 // len(readers))
    listed = [c for c in client.client_list() if c["name"] == mark and int(c["sub"])]
    # The publishers listen for a wish to cancel: the process' one connection.
    assert len(listed) == (1 if name == "subscribe" else 2)
    for publisher in publishers:
        publisher.end()
    for reader in readers:
        reader.wait()


def follow_many(take: Callable[..., bool], stream: str, url: str, **more: Any) -> None:
    """Follow 20 streams in one event loop."""

    async def one(number: int) -> None:
        async for event in asubscribe(f"{stream}{number}", url, **more):
            take(event)

    async def follow() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(follow())


def test_a_client_that_was_closed_does_not_end_the_hub(
    sagemaker_redis_url: str, options: ChannelOptions
) -> None:
    """Its connections are pulled from under the hub; those who listen later are served."""
    client = Redis.from_url(sagemaker_redis_url)
    quiet = QUIET(prefix=options.prefix)
    for stream in ("a", "b", "c"):
        publisher = Publisher.open(stream, client, options=quiet)
        events = subscribe(stream, client, options=quiet)
        publisher.append(b"1")
        assert next(events).cursor == Cursor(1, 1)
        client.close()
        publisher.append(b"2")
        assert next(events).cursor == Cursor(1, 2)
        publisher.end()
        assert isinstance(next(events), End)


def test_nobody_loses_a_connection_because_others_left(
    sagemaker_redis_url: str, options: ChannelOptions, client: Redis
) -> None:
    """The pub/sub connection breaks after the last listener left; looks go on all the same."""
    mark = f"n{uuid.uuid4().hex}"
    url = f"{sagemaker_redis_url}?client_name={mark}"
    assert asyncio.run(look_after_leaving(url, options, client, mark)) > 20


async def look_after_leaving(url: str, options: ChannelOptions, client: Redis, mark: str) -> int:
    """Listen, leave, lose the connection; return how many looks were answered."""
    source, keys = async_server.of(url), Keys(options.prefix, "s")
    heard, looks = AsyncInbox(1), 0
    with await source.listen(keys.live, heard.put):
        assert await heard.get(5.0) == [None]
    for listed in client.client_list(_type="pubsub"):
        if listed["name"] == mark:
            client.client_kill_filter(_id=listed["id"])
    give_up = time.monotonic() + 0.5
    while time.monotonic() < give_up:
        await asyncio.gather(*(source.look(keys, EARLIEST) for _ in range(5)))
        looks += 1
    return looks


@pytest.mark.parametrize(("name", "hub"), [("subscribe", Hub), ("asubscribe", AsyncHub)])
def test_a_silent_connection_is_made_anew(
    sagemaker_redis_url: str,
    options: ChannelOptions,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    hub: type[Hub | AsyncHub],
) -> None:
    """What a half-open connection looks like: nothing live, while looks find records."""
    renewed, renew = threading.Event(), hub.renew

    def recorded(self: Any) -> None:
        renewed.set()
        renew(self)

    def hand(self: Register, channel: str, data: bytes | None) -> None:
        if renewed.is_set():
            handed(self, channel, data)

    handed = Register._hand
    monkeypatch.setattr(hub, "renew", recorded)
    monkeypatch.setattr(Register, "_hand", hand)
    quick = replace(options, idle=0.1, coalesce_seconds=0.0)
    publisher = Publisher.open("s", sagemaker_redis_url, options=quick)
    following = Following(FOLLOWERS[name], "s", sagemaker_redis_url, options=quick)
    for number in range(6):
        publisher.append(b"%d" % number)
        following.wait_for(number + 1)
    assert renewed.is_set()
    publisher.end()
    assert following.wait().data == [b"%d" % number for number in range(6)]
