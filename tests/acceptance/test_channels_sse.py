"""Streams for browsers, over real HTTP."""

import http.client
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from celery_sagemaker.channels import Cancelled, ChannelOptions, Publisher
from celery_sagemaker.channels.sse import PUMPS
from celery_sagemaker.channels.tokens import StreamTokens
from channels_harness import PATIENCE, OwnRedis, own_redis
from channels_sse import TOKENS, Message, Server, messages, serving
from redis import Redis


@pytest.fixture(scope="module")
def options() -> ChannelOptions:
    """Short times, and every record an entry."""
    prefix = f"test-{uuid.uuid4().hex}"
    short = ChannelOptions(prefix=prefix, heartbeat=0.2, idle=0.3, wait=0.5, grace=0.5)
    return replace(short, coalesce_seconds=0.0)


@pytest.fixture(scope="module")
def web(sagemaker_redis_url: str, options: ChannelOptions) -> Iterator[Server]:
    """The application with a quick ping, open to one other origin."""
    with serving(
        sagemaker_redis_url, options, ping=0.2, allow_origins=["https://app.example"]
    ) as server:
        yield server


@pytest.fixture
def stream() -> str:
    """A stream's id."""
    return uuid.uuid4().hex


def published(
    stream: str, url: str, options: ChannelOptions, *records: bytes, framing: str = "text"
) -> Publisher:
    """Open a stream and publish records."""
    publisher = Publisher.open(stream, url, options=options, framing=framing)
    for record in records:
        publisher.append(record)
    return publisher


def read(web: Server, stream: str, last: str = "earliest") -> list[Message]:
    """All events of a stream, without comments."""
    with web.request(stream, token=TOKENS.sign(stream), Last_Event_ID=last) as response:
        assert response.status == http.client.OK
        return [message for message in messages(response) if message.name]


def status(web: Server, stream: str, *, method: str = "GET", **headers: str) -> int:
    """The status of a request with a token."""
    token = TOKENS.sign(stream, cancel=method == "DELETE")
    with web.request(stream, method=method, token=token, **headers) as response:
        return response.status


def test_a_stream_is_served_event_by_event(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """With positions as ids, and JSON as data: line ends of records cannot break the framing."""
    text = "caf\u00e9\r\n\n"
    published(stream, sagemaker_redis_url, options, text.encode(), b"b").end(result="r")
    assert read(web, stream) == [
        Message("part", "1-1", {"text": text}),
        Message("part", "1-2", {"text": "b"}),
        Message(
            "end",
            "1-3",
            {"parts": 2, "bytes": 9, "crc32": "3b25543d", "finish": "complete", "result": "r"},
        ),
    ]


def test_bytes_are_base64(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """For framings that are no text."""
    published(stream, sagemaker_redis_url, options, b"\x00\xff", framing="bytes").end()
    assert read(web, stream)[0].data == {"base64": "AP8="}


def test_another_attempt_is_told(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """The client forgets what it has shown."""
    published(stream, sagemaker_redis_url, options, b"a")
    published(stream, sagemaker_redis_url, options, b"b").end()
    told = [(m.name, m.id) for m in read(web, stream)]
    assert told == [("part", "1-1"), ("restarted", "2-0"), ("part", "2-1"), ("end", "2-2")]


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_client_resumes(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str, way: str
) -> None:
    """By the header that EventSource sends, or by the query of a first connection."""
    published(stream, sagemaker_redis_url, options, b"a", b"b", b"c").end()
    token = TOKENS.sign(stream)
    given = {"Last_Event_ID": "1-2"} if way == "header" else {}
    query = "" if given else "&last_event_id=1-2"
    with web.request(stream, token=token, query=query, **given) as response:
        assert response.headers["Stream-First-Id"] == "1-3"
        assert [m.id for m in messages(response) if m.name] == ["1-3", "1-4"]


def test_a_client_at_the_end_is_told_to_stop(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """204 is what ends an EventSource."""
    published(stream, sagemaker_redis_url, options, b"a").end()
    assert status(web, stream, Last_Event_ID="1-2") == http.client.NO_CONTENT


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("error", Message("error", "1-2", {"code": "E", "message": "m", "retryable": True})),
        ("cancelled", Message("cancelled", "1-2", {"code": "cancelled"})),
    ],
)
def test_an_end_that_is_no_success_is_an_event(
    web: Server,
    sagemaker_redis_url: str,
    options: ChannelOptions,
    stream: str,
    how: str,
    told: Message,
) -> None:
    """With its position: the client that comes back gets 204."""
    publisher = published(stream, sagemaker_redis_url, options, b"a")
    if how == "error":
        publisher.error("E", "m", retryable=True)
    else:
        publisher.cancelled()
    last = read(web, stream)[-1]
    assert (last.name, last.id) == (told.name, told.id)
    assert told.data.items() <= {**last.data, "message": last.data["message"][-1:]}.items()
    assert status(web, stream, Last_Event_ID="1-2") == http.client.NO_CONTENT


def test_a_lost_producer_is_an_event_without_a_position(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """The client may come back: another attempt may be there by then."""
    publisher = published(stream, sagemaker_redis_url, options, b"a")
    # As good as dead: it gives no sign of life, and never ends.
    publisher._relay.finished.set()
    last = read(web, stream)[-1]
    assert (last.name, last.id) == ("error", "")
    assert (last.data["code"], last.data["retryable"]) == ("producer_lost", True)


def test_silence_is_filled_with_comments(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """One at once, so that the response gets through; then one after each ping."""
    publisher = published(stream, sagemaker_redis_url, options)
    with web.request(stream, token=TOKENS.sign(stream)) as response:
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Content-Type"].startswith("text/event-stream")
        came = messages(response)
        assert [next(came).name for _ in range(4)] == [""] * 4
        publisher.append(b"a")
        publisher.end()
        assert [m.name for m in came if m.name] == ["part", "end"]


def test_a_client_may_come_before_the_stream(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """The task may still be waiting for a worker."""
    opening = threading.Timer(
        0.2, lambda: published(stream, sagemaker_redis_url, options, b"a").end()
    )
    opening.start()
    assert [message.name for message in read(web, stream)] == ["part", "end"]
    opening.join()


def test_unknown_and_forbidden_look_the_same(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """404, whether there is a stream or not; nobody learns ids by asking."""
    published(stream, sagemaker_redis_url, options, b"a").end()
    expired = StreamTokens("test" * 8, max_age=-1)
    others = StreamTokens("evil" * 8).sign(stream)
    assert not expired.allows(TOKENS.sign(stream), stream)
    answers = []
    for token in (None, "", "nonsense", others, TOKENS.sign("another")):
        with web.request(stream, token=token) as response:
            answers.append((response.status, response.read()))
    unknown = uuid.uuid4().hex
    with web.request(unknown, token=TOKENS.sign(unknown)) as response:
        answers.append((response.status, response.read()))
    with web.request("a%20b", token=TOKENS.sign("a b")) as response:
        answers.append((response.status, response.read()))
    assert set(answers) == {(http.client.NOT_FOUND, b"")}


def test_a_token_may_be_a_bearer_and_keys_may_change(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """An old key's tokens are good until it is taken out of the list."""
    published(stream, sagemaker_redis_url, options, b"a").end()
    with web.request(stream, Authorization=f"Bearer {TOKENS.sign(stream)}") as response:
        assert response.status == http.client.OK
    changed = StreamTokens(["test" * 8, "next" * 8])
    assert changed.allows(TOKENS.sign(stream), stream)
    assert not TOKENS.allows(changed.sign(stream), stream)
    with pytest.raises(ValueError, match="32 characters"):
        StreamTokens("short")


def test_a_stream_that_nobody_begins_for_long(
    sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """The response begins before a proxy gives up, and says in the end that there is nothing."""
    patient = replace(options, wait=1.0)
    with (
        serving(sagemaker_redis_url, patient, patience=0.1) as web,
        web.request(stream, token=TOKENS.sign(stream)) as response,
    ):
        assert response.status == http.client.OK
        assert response.getheader("Stream-First-Id") == "1-1"
        (told,) = [message for message in messages(response) if message.name]
    assert (told.name, told.data["code"]) == ("error", "not_found")


def test_a_gap_is_gone(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """The client has to begin again; a malformed position is its mistake."""
    published(stream, sagemaker_redis_url, options, b"a", b"b").end()
    client = Redis.from_url(sagemaker_redis_url)
    client.delete(f"{options.prefix}:{{{stream}}}:log")
    assert status(web, stream, Last_Event_ID="1-1") == http.client.GONE
    assert status(web, stream, Last_Event_ID="$") == http.client.BAD_REQUEST
    assert status(web, stream, method="HEAD") == http.client.METHOD_NOT_ALLOWED


def test_delete_cancels(
    web: Server, sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """If the token says so."""
    publisher = published(stream, sagemaker_redis_url, options, b"a")
    with web.request(stream, method="DELETE", token=TOKENS.sign(stream)) as response:
        assert response.status == http.client.NOT_FOUND
    assert status(web, stream, method="DELETE") == http.client.ACCEPTED
    with pytest.raises(Cancelled):
        write_until_told(publisher)
    publisher.cancelled()
    assert status(web, stream, method="DELETE") == http.client.CONFLICT


def write_until_told(publisher: Publisher) -> None:
    """Publish as fast as possible: the wish comes through all the same."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        publisher.append(b"b")


def test_other_origins_may_read_if_they_are_named(web: Server, stream: str) -> None:
    """And ask before, with the headers that they need."""
    asked = {
        "Access_Control_Request_Method": "GET",
        "Access_Control_Request_Headers": "last-event-id",
    }
    answers = []
    for origin in ("https://app.example", "https://evil.example"):
        with web.request(stream, method="OPTIONS", Origin=origin, **asked) as response:
            answers.append((response.status, response.headers["Access-Control-Allow-Origin"]))
    assert answers == [(http.client.OK, "https://app.example"), (http.client.BAD_REQUEST, None)]


def test_a_stuck_client_is_let_go(
    sagemaker_redis_url: str, options: ChannelOptions, stream: str
) -> None:
    """It keeps neither memory nor a subscription, although the stream goes on."""
    publisher = published(stream, sagemaker_redis_url, options, *[b"x" * 100_000] * 60)
    channel = f"{options.prefix}:{{{stream}}}:live"
    client, before = Redis.from_url(sagemaker_redis_url), set(PUMPS)
    with serving(sagemaker_redis_url, options, send_timeout=0.5) as web:
        stuck = socket.create_connection(("127.0.0.1", web.port))
        with stuck:
            path = f"/streams/{stream}?token={TOKENS.sign(stream)}"
            stuck.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = b""
            while b"event: part" not in received:
                received += stuck.recv(1000)
            (pump,) = PUMPS - before
            give_up = time.monotonic() + PATIENCE
            while not pump.done() or client.pubsub_numsub(channel)[0][1]:
                assert time.monotonic() < give_up
                time.sleep(0.01)
    publisher.end()


@pytest.fixture
def redis_of_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A Redis that may be stopped."""
    with own_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_redis_away_is_a_503(redis_of_ours: OwnRedis, options: ChannelOptions, stream: str) -> None:
    """The client comes back later."""
    with serving(redis_of_ours.url, options) as web:
        redis_of_ours.stop()
        with web.request(stream, token=TOKENS.sign(stream)) as response:
            assert response.status == http.client.SERVICE_UNAVAILABLE
            assert response.headers["Retry-After"] == "1"
