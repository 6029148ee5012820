"""The reader's algorithm: every record once and in order, or an error; never a hole."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from celery_sagemaker.channels import (
    EARLIEST,
    ChannelError,
    ChannelOptions,
    Cursor,
    End,
    Event,
    Part,
    ProducerLost,
    Restarted,
    StreamCancelled,
    StreamFailed,
    StreamGap,
    StreamNotFound,
)
from celery_sagemaker.channels.reader import Reader
from celery_sagemaker.channels.wire import Frame, Kind, Look, Meta, pack, to_json
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = ChannelOptions(idle=5.0, wait=30.0, grace=60.0)


@dataclass
class World:
    """A Redis with one stream, a producer, and the messages on their way to a reader."""

    log: list[Frame] = field(default_factory=list)
    meta: Meta = field(default_factory=Meta)
    alive: bool = False
    page: int = 3
    sent: dict[int, list[bytes]] = field(default_factory=dict)

    def open(self) -> Frame:
        """Begin an attempt."""
        attempt = self.meta.attempt + 1
        self.meta, self.alive = Meta("open", attempt, "lines"), True
        self.sent[attempt] = []
        return self._add(Frame(Cursor(attempt, 0), Kind.OPEN, to_json({"framing": "lines"})))

    def append(self, count: int) -> Frame:
        """Publish records as one frame."""
        attempt, records = self.meta.attempt, self.sent[self.meta.attempt]
        new = [b"%d.%d" % (attempt, len(records) + n) for n in range(count)]
        records += new
        return self._add(pack(attempt, len(records), new))

    def end(self, kind: Kind = Kind.END, **data: object) -> Frame:
        """End the stream."""
        records = self.sent[self.meta.attempt]
        crc32 = f"{zlib.crc32(b''.join(records)):08x}"
        data = data or {"parts": len(records), "crc32": crc32, "finish": "complete"}
        cursor = Cursor(self.meta.attempt, len(records) + 1)
        self.meta, self.alive = replace(self.meta, state="complete", end=cursor), False
        return self._add(Frame(cursor, kind, to_json(data)))

    def heartbeat(self) -> Frame:
        """Tell the newest entry's id."""
        return Frame(self.log[-1].cursor, Kind.HEARTBEAT)

    def look(self, after: Cursor) -> Look:
        """Answer a reader's look."""
        found = [frame for frame in self.log if frame.cursor > after]
        page = found[: self.page]
        return Look(self.alive, self.meta, page, more=len(page) == self.page)

    def _add(self, frame: Frame) -> Frame:
        self.log.append(frame)
        return frame


def reading(cursor: Cursor = EARLIEST) -> Reader:
    """Make a reader at time 0."""
    return Reader(cursor, OPTIONS, 0.0)


def catch_up(reader: Reader, world: World, now: float = 1.0) -> list[Event]:
    """Look as often as the reader wants to."""
    events = []
    while reader.wants_look and not reader.done:
        events += reader.look(world.look(reader.cursor), now)
    return events


def data(events: list[Event]) -> list[bytes]:
    """The records among the events."""
    return [event.data for event in events if isinstance(event, Part)]


QUIET = [
    "open",
    "beat",
    "lose",
    "double",
    "swap",
    "hear",
    "subscribe",
    "idle",
    "resume",
    "catch up",
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.sampled_from(QUIET), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 4))
def test_every_record_comes_once_and_in_order(steps: list[tuple[str, int]], page: int) -> None:
    """Whatever is lost, doubled or out of order on the way, and wherever a reader resumes."""
    world, reader = World(page=page), reading()
    way: list[bytes] = [world.open().live()]
    got: list[Event] = []

    def hear() -> None:
        if way:
            got.extend(reader.hear(way.pop(0), 1.0))

    actions: dict[str, Callable[[], object]] = {
        "open": lambda: way.append(world.open().live()),
        "beat": lambda: way.append(world.heartbeat().live()),
        "lose": lambda: way.pop(0) if way else None,
        "double": lambda: way.extend(way[:1]),
        "swap": way.reverse,
        "hear": hear,
        "subscribe": lambda: reader.hear(None, 1.0),
        "idle": lambda: reader.idle(1.0),
        "catch up": lambda: got.extend(catch_up(reader, world)),
    }
    for action, number in steps:
        if action == "append":
            way.append(world.append(number).live())
        elif action == "resume":
            reader = reading(reader.cursor)
        else:
            actions[action]()
    way.append(world.end().live())
    while way:
        hear()
    # A lost end is found by silence.
    if not reader.done:
        reader.idle(1.0)
    got += catch_up(reader, world)
    assert (reader.failure, reader.done) == (None, True)
    assert data(got) == [record for records in world.sent.values() for record in records]
    told = [attempt for attempt in world.sent if world.sent.get(attempt - 1)]
    assert [e.attempt for e in got if isinstance(e, Restarted)] == told
    assert isinstance(got[-1], End)
    places = [event.cursor for event in got]
    assert places == sorted(set(places))


@given(STEPS, st.integers(0, 12))
def test_a_trimmed_log_is_a_gap_and_never_a_hole(
    steps: list[tuple[str, int]], trimmed: int
) -> None:
    """What was delivered is a whole beginning; what is missing is said."""
    world, reader = World(), reading()
    world.open()
    for action, number in steps:
        if action == "append":
            world.append(number)
        elif action == "open":
            world.open()
    world.end()
    del world.log[:trimmed]
    got = catch_up(reader, world)
    if trimmed == 0:
        assert reader.failure is None
    elif reader.failure is None:
        # Cut exactly before an attempt: it is whole, and the ones before it were void.
        assert world.log[0].kind == Kind.OPEN
        assert data(got) == [r for a in world.sent if a >= world.log[0].cursor.attempt
                             for r in world.sent[a]]  # fmt: skip
    else:
        assert isinstance(reader.failure, StreamGap)
        assert got == []


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_a_reader_resumes_at_any_record(batches: list[int], choose: st.DataObject) -> None:
    """In the middle of a batch as well."""
    world = World()
    world.open()
    for count in batches:
        world.append(count)
    world.end()
    at = choose.draw(st.integers(0, sum(batches)))
    reader = reading(Cursor(1, at))
    assert data(catch_up(reader, world)) == world.sent[1][at:]


def test_the_next_live_record_needs_no_look() -> None:
    """The ordinary case costs no command."""
    world, reader = World(), reading()
    world.open()
    catch_up(reader, world)
    assert data(reader.hear(world.append(1).live(), 1.0)) == [b"1.0"]
    assert data(reader.hear(world.append(2).live(), 1.0)) == [b"1.1", b"1.2"]
    assert not reader.wants_look
    assert isinstance(reader.hear(world.end().live(), 1.0)[0], End)


def test_nothing_live_is_delivered_before_the_first_look() -> None:
    """What came before the subscription is not known yet, and neither is the framing."""
    world, reader = World(), reading(Cursor(1, 0))
    world.open()
    assert reader.hear(world.append(1).live(), 1.0) == []
    assert data(catch_up(reader, world)) == [b"1.0"]


def test_a_subscription_asks_for_a_look() -> None:
    """Each one, made or made again: what was published meanwhile is not known."""
    world, reader = World(), reading()
    world.open()
    catch_up(reader, world)
    assert not reader.wants_look
    world.append(1)
    reader.hear(None, 1.0)
    assert data(catch_up(reader, world)) == [b"1.0"]


def test_a_jump_asks_for_a_look() -> None:
    """The branch that redis-py's silence about lost messages hides."""
    world, reader = World(), reading()
    world.open()
    catch_up(reader, world)
    world.append(1)
    jump = world.append(1)
    assert reader.hear(jump.live(), 1.0) == []
    assert data(catch_up(reader, world)) == [b"1.0", b"1.1"]


def test_a_heartbeat_tells_of_what_was_lost() -> None:
    """It carries the newest entry's id; an old one asks for nothing."""
    world, reader = World(), reading()
    world.open()
    catch_up(reader, world)
    reader.hear(world.heartbeat().live(), 1.0)
    assert not reader.wants_look
    world.append(1)
    reader.hear(world.heartbeat().live(), 1.0)
    assert data(catch_up(reader, world)) == [b"1.0"]


def test_another_attempts_opening_asks_for_the_rest_of_the_one_before() -> None:
    """Its last records may have been lost on the way."""
    world, reader = World(), reading()
    world.open()
    catch_up(reader, world)
    world.append(2)
    assert reader.hear(world.open().live(), 1.0) == []
    events = catch_up(reader, world)
    assert data(events) == [b"1.0", b"1.1"]
    assert isinstance(events[-1], Restarted)


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        (Kind.CANCELLED, {"by": "user"}, StreamCancelled),
        (Kind.ERROR, {"code": "ModelError", "message": "no", "retryable": True}, StreamFailed),
        (Kind.END, {"parts": 1, "crc32": "00000000"}, StreamGap),
    ],
)
def test_an_end_that_is_no_success_is_an_error(
    kind: Kind, payload: dict[str, object], error: type[ChannelError]
) -> None:
    """After the records before it; a wrong checksum is one, too."""
    world, reader = World(), reading()
    world.open()
    world.append(1)
    world.end(kind, **payload)
    assert data(catch_up(reader, world)) == [b"1.0"]
    assert isinstance(reader.failure, error)
    assert reader.failure.cursor == Cursor(1, 2)
    assert reader.failure.retryable == bool(payload.get("retryable"))


def test_a_reader_at_the_end_is_done() -> None:
    """Without an event; SSE answers 204."""
    world = World()
    world.open()
    world.end()
    reader = reading(Cursor(1, 1))
    assert catch_up(reader, world) == []
    assert (reader.done, reader.failure) == (True, None)


@pytest.mark.parametrize("cursor", [Cursor(1, 0), Cursor(1, 9), Cursor(2, 0)])
def test_an_ended_stream_without_its_log_is_a_gap(cursor: Cursor) -> None:
    """Whether its log has expired, or the cursor is none of its own."""
    world = World()
    world.open()
    world.append(1)
    world.end()
    world.log.clear()
    reader = reading(cursor)
    catch_up(reader, world)
    assert isinstance(reader.failure, StreamGap)


def test_a_stream_that_ended_after_its_log_was_lost_is_a_gap() -> None:
    """It has no terminal frame; from the beginning, too."""
    world, reader = World(meta=Meta("error", 1)), reading()
    catch_up(reader, world)
    assert isinstance(reader.failure, StreamGap)


def test_a_stream_that_nobody_opens_is_waited_for() -> None:
    """As long as the options say; then it is not found."""
    world, reader = World(), reading()
    catch_up(reader, world, 0.0)
    assert not reader.done
    assert reader.timeout(28.0) == 0.0  # idle since 5.0
    reader.idle(28.0)
    assert reader.timeout(28.0) == 2.0
    catch_up(reader, world, 28.0)
    assert not reader.done
    reader.idle(30.0)
    catch_up(reader, world, 30.0)
    assert isinstance(reader.failure, StreamNotFound)


def test_a_resumed_stream_that_has_expired_is_not_waited_for() -> None:
    """There was one; there will be none."""
    reader = reading(Cursor(1, 5))
    catch_up(reader, World(), 0.0)
    assert isinstance(reader.failure, StreamNotFound)


def test_a_stream_that_disappears_is_a_gap() -> None:
    """Somebody deleted it, or Redis has lost everything."""
    world, reader = World(), reading()
    world.open()
    catch_up(reader, world)
    reader.idle(6.0)
    catch_up(reader, World(), 6.0)
    assert isinstance(reader.failure, StreamGap)


def test_whoever_was_given_nothing_has_nothing_to_forget() -> None:
    """An attempt that failed before its first record is nobody's business."""
    world, reader = World(), reading()
    world.open()
    assert catch_up(reader, world) == []
    world.open()
    world.append(1)
    reader.idle(1.0)
    assert [type(event) for event in catch_up(reader, world)] == [Part]


def test_the_framing_may_come_with_the_first_record() -> None:
    """A producer that opens before its model answers: a live record alone has no text yet."""
    world, reader = World(), reading()
    opened = world.open()
    world.log = [Frame(opened.cursor, Kind.OPEN, b"{}")]
    world.meta = replace(world.meta, framing=None)
    catch_up(reader, world)
    world.meta = replace(world.meta, framing="lines")
    assert reader.hear(world.append(1).live(), 1.0) == []
    assert reader.wants_look
    (part,) = catch_up(reader, world)
    assert reader.hear(world.append(1).live(), 1.0) != []
    assert isinstance(part, Part)


def test_a_lost_producer_is_given_the_grace() -> None:
    """Another attempt, or a sign of life, in time makes it good."""
    world, reader = World(), reading()
    world.open()
    world.append(1)
    catch_up(reader, world)
    world.alive = False
    reader.idle(10.0)
    catch_up(reader, world, 10.0)
    reader.idle(69.0)
    assert reader.timeout(69.0) == 1.0
    catch_up(reader, world, 69.0)
    assert not reader.done
    world.open()
    reader.hear(world.heartbeat().live(), 69.5)
    assert isinstance(catch_up(reader, world, 69.5)[0], Restarted)
    world.alive = False
    for now in (80.0, 139.0, 140.0):
        assert not reader.done
        reader.idle(now)
        catch_up(reader, world, now)
    assert isinstance(reader.failure, ProducerLost)
    assert reader.failure.retryable


def test_looks_after_silence_that_find_something_are_counted() -> None:
    """The live channel says nothing although something is published: it is broken."""
    world, reader = World(page=50), reading()
    world.open()
    catch_up(reader, world)
    for blind in (1, 2):
        world.append(1)
        reader.idle(6.0 * blind)
        catch_up(reader, world)
        assert reader.blind_looks == blind
    reader.hear(world.heartbeat().live(), 20.0)
    assert reader.blind_looks == 0


def test_unknown_kinds_are_skipped() -> None:
    """A newer producer may say more; its entries are counted."""
    world, reader = World(), reading()
    world.open()
    world.log.append(Frame(Cursor(1, 1), "z", b"new"))
    world.log.append(Frame(Cursor(1, 2), Kind.PART, b"old"))
    assert data(catch_up(reader, world)) == [b"old"]


def test_the_framing_is_known_wherever_reading_begins() -> None:
    """From the open frame, or from meta for who resumes."""
    world = World()
    world.open()
    world.append(2)
    for cursor in (EARLIEST, Cursor(1, 1)):
        reader = Reader(cursor, OPTIONS, 0.0, lambda framing, data: f"{framing}:{data!r}")
        (part,) = [e for e in catch_up(reader, world) if e.cursor == Cursor(1, 2)]
        assert isinstance(part, Part)
        assert part.text == "lines:b'1.1'"


def feed(count: int, trimmed: int = 0) -> World:
    """A feed with so many records, of which the oldest ones have been trimmed."""
    world = World(page=100)
    world.open()
    for _ in range(count):
        world.append(1)
    world.alive = False
    world.meta = replace(world.meta, feed=True, end=Cursor(1, count))
    world.log = world.log[trimmed + 1 :] if trimmed else world.log
    return world


def test_a_late_reader_of_a_feed_is_given_what_is_kept() -> None:
    """It begins at the oldest record that is kept, and goes on from there."""
    world, reader = feed(9, trimmed=6), reading()
    assert data(catch_up(reader, world)) == [b"1.6", b"1.7", b"1.8"]
    assert data(reader.hear(world.append(1).live(), 2.0)) == [b"1.9"]
    assert not reader.done


def test_a_trimmed_stream_that_is_no_feed_is_a_gap() -> None:
    """What the model wrote first is part of its answer."""
    world, reader = feed(9, trimmed=6), reading()
    world.meta = replace(world.meta, feed=False)
    assert catch_up(reader, world) == []
    assert isinstance(reader.failure, StreamGap)


def test_who_resumes_a_feed_where_it_was_trimmed_is_told() -> None:
    """It has missed records, and no gap is delivered in silence."""
    world, reader = feed(9, trimmed=6), reading(Cursor(1, 5))
    assert catch_up(reader, world) == []
    assert isinstance(reader.failure, StreamGap)
    reader = reading(Cursor(1, 6))
    assert data(catch_up(reader, world)) == [b"1.6", b"1.7", b"1.8"]


def test_nobody_is_lost_in_a_feed() -> None:
    """It has no lease; a year without a record is none too many."""
    world, reader = feed(1), reading()
    catch_up(reader, world)
    reader.idle(3e7)
    assert catch_up(reader, world, now=3e7) == []
    assert not reader.done


def test_a_feed_that_lost_its_end_is_a_gap() -> None:
    """Redis came back without its last second: the next record would have a number again."""
    world, reader = feed(3), reading()
    catch_up(reader, world)
    world.log.pop()
    world.meta = replace(world.meta, end=Cursor(1, 2))
    reader.hear(None, 2.0)
    assert catch_up(reader, world) == []
    assert isinstance(reader.failure, StreamGap)
