"""Channels while pub/sub connections are killed, attempts change, and Redis goes away."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery_sagemaker.channels import (
    ChannelOptions,
    End,
    Event,
    Part,
    Publisher,
    Restarted,
    StaleProducer,
    subscribing,
)
from celery_sagemaker.channels.reader import Reader
from celery_sagemaker.channels.wire import Frame, Keys, Kind
from channels_harness import FOLLOWERS, PATIENCE, Following, OwnRedis, own_redis
from channels_sse import serving
from redis import Redis

#: Seconds between two kills of all pub/sub connections.
KILL_EVERY = (0.005, 0.05)

#: Seconds between two records, on average.
PACE = 0.003

#: Records of the first attempt, and of the second.
RECORDS = (60, 120)

Follow = Callable[..., None]

#: Records often share an entry, and often do not.
OPTIONS = ChannelOptions(
    prefix="chaos",
    heartbeat=0.2,
    coalesce_seconds=0.005,
    idle=0.5,
    grace=PATIENCE,
    wait=PATIENCE,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A Redis whose connections may be killed."""
    with own_redis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture(params=[*FOLLOWERS, "sse"])
def follow(request: pytest.FixtureRequest, server: OwnRedis) -> Iterator[Follow]:
    """Every way to follow a stream."""
    if request.param != "sse":
        yield FOLLOWERS[request.param]
        return
    with serving(server.url, OPTIONS) as web:
        yield web.follow


@contextmanager
def killing(client: Redis, rng: random.Random) -> Iterator[None]:
    """Kill all pub/sub connections every few milliseconds."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(rng.uniform(*KILL_EVERY)):
            client.client_kill_filter(_type="pubsub")

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def produce(url: str, stream: str, rng: random.Random) -> list[list[bytes]]:
    """Publish a stream in two attempts, the second while the first still runs."""
    first = Publisher.open(stream, url, options=OPTIONS)
    sent: list[list[bytes]] = [[], []]
    for number in range(RECORDS[0]):
        sent[0].append(b"1.%d" % number)
        first.append(sent[0][-1])
        time.sleep(rng.expovariate(1 / PACE))
    with Publisher.open(stream, url, options=OPTIONS) as second:
        for number in range(RECORDS[1]):
            sent[1].append(b"2.%d" % number)
            second.append(sent[1][-1])
            if number == 1:
                with pytest.raises(StaleProducer):
                    write_until_refused(first)
            time.sleep(rng.expovariate(1 / PACE))
    return sent


def write_until_refused(publisher: Publisher) -> None:
    """What is held does not reach Redis at once."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        publisher.append(b"stale")


def logged(client: Redis, stream: str) -> list[tuple[str, bytes]]:
    """All records in the log, and their ids: the truth."""
    entries: Any = client.xrange(Keys(OPTIONS.prefix, stream).log)
    frames = [Frame.entry(id_, fields) for id_, fields in entries]
    assert frames[-1].kind == Kind.END
    truth = []
    for frame in frames:
        records = frame.records()
        first = frame.cursor.seq - len(records) + 1
        truth += [(str(frame.cursor.at(first + n)), r) for n, r in enumerate(records)]
    return truth


def seen(events: list[Event]) -> list[tuple[str, bytes]]:
    """All records that a reader got, and their ids."""
    return [(str(event.cursor), event.data) for event in events if isinstance(event, Part)]


def right(events: list[Event], truth: list[tuple[str, bytes]]) -> bool:
    """Whether a reader got everything once, in order, with the restart and the end."""
    restarts = [event.attempt for event in events if isinstance(event, Restarted)]
    return (
        seen(events) == truth
        and restarts == [2]
        and isinstance(events[-1], End)
        and events[-1].parts == RECORDS[1]
    )


def run(server: OwnRedis, follow: Follow, rng: random.Random) -> list[bool]:
    """One stream with four readers: two from the start, one late, one that leaves and resumes."""
    stream, client = f"s{uuid.uuid4().hex}", Redis.from_url(server.url)
    more: dict[str, Any] = {"options": OPTIONS}
    with killing(Redis.from_url(server.url), rng):
        early = [Following(follow, stream, server.url, **more) for _ in range(2)]
        leaves = Following(follow, stream, server.url, leave_after=rng.randint(5, 100), **more)
        late: list[Following] = []
        timer = threading.Timer(
            0.2, lambda: late.append(Following(follow, stream, server.url, **more))
        )
        timer.start()
        sent = produce(server.url, stream, rng)
        leaves.wait()
        place = leaves.events[-1].cursor
        resumes = Following(follow, stream, server.url, cursor=place, **more)
        timer.join()
        readers = [following.wait() for following in [*early, *late, resumes]]
    truth = logged(client, stream)
    by_attempt = [[r for id_, r in truth if id_.startswith(a)] for a in ("1-", "2-")]
    assert by_attempt[1] == sent[1]
    assert by_attempt[0][: len(sent[0])] == sent[0][: len(by_attempt[0])]
    histories = [reader.events for reader in readers[:-1]]
    results = [right(history, truth) for history in [*histories, leaves.events + resumes.events]]
    for reader in readers:
        print(reader.error or "", end="")  # noqa: T201 - why it is wrong
    return results


LENGTHS = [
    pytest.param(6, marks=pytest.mark.timeout(120)),
    pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
]


@pytest.mark.parametrize("runs", LENGTHS)
def test_no_reader_sees_a_wrong_sequence(server: OwnRedis, follow: Follow, runs: int) -> None:
    """Whatever happens to its connection, to the producer, or to itself."""
    rng = random.Random(20)
    client = Redis.from_url(server.url)
    client.config_resetstat()
    results = [result for _ in range(runs) for result in run(server, follow, rng)]
    subscriptions = client.info("commandstats")["cmdstat_subscribe"]["calls"]
    print(f"{len(results)} readers, {subscriptions} subscriptions")  # noqa: T201 - for -s
    assert results == [True] * 4 * runs
    assert subscriptions > 4 * len(results)


class Trusting(Reader):
    """A reader that takes what comes live, as most samples do: it replays once, at the start."""

    def hear(self, message: bytes | None, now: float) -> list[Event]:
        """Ignore that the channel was subscribed again, and where the producer is."""
        if self._seen and (message is None or Frame.parse(message).kind == Kind.HEARTBEAT):
            return []
        return super().hear(message, now)

    def idle(self, now: float) -> None:
        """Give up: the end was lost."""
        self.done = True

    def _next(self, frame: Frame) -> bool:
        return True


def test_the_test_would_notice(server: OwnRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without replay, the same runs show wrong sequences."""
    monkeypatch.setattr(subscribing, "Reader", Trusting)
    rng = random.Random(20)
    follow = FOLLOWERS["subscribe"]
    wrong = [not ok for _ in range(3) for ok in run(server, follow, rng)]
    print(f"{sum(wrong)} of {len(wrong)} wrong")  # noqa: T201 - for -s
    assert sum(wrong) >= len(wrong) / 4


def test_redis_is_killed_in_the_middle(server: OwnRedis, follow: Follow) -> None:
    """And comes back after seconds: everything arrives afterwards, once and in order."""
    stream = f"s{uuid.uuid4().hex}"
    following = Following(follow, stream, server.url, options=OPTIONS)
    publisher = Publisher.open(stream, server.url, options=OPTIONS)
    records = [b"%d" % number for number in range(600)]
    writing = threading.Thread(target=write, args=(publisher, records))
    writing.start()
    following.wait_for(50)
    server.kill()
    time.sleep(2.0)
    # By the thread that stays: the server dies with the one that started it.
    server.start()
    writing.join()
    assert publisher.end()
    assert following.wait().error is None
    assert following.data == records
    assert isinstance(following.events[-1], End)


def write(publisher: Publisher, records: list[bytes]) -> None:
    """Publish records at a steady pace."""
    for record in records:
        publisher.append(record)
        time.sleep(0.005)
