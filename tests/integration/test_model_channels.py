"""A stream's scripts against a model in Python: attempts, lost keys, lost seconds, lost answers.

The producers are real relays, of which any may be stale, and a real reader listens: whatever is
lost meanwhile, a stream that says it is complete has given exactly what its producer sent.
"""

import copy
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from celery_sagemaker.channels import ChannelOptions, Event, Part, Restarted, cancel, server
from celery_sagemaker.channels.cursor import EARLIEST, Cursor
from celery_sagemaker.channels.events import End
from celery_sagemaker.channels.exceptions import StreamGap
from celery_sagemaker.channels.reader import Reader
from celery_sagemaker.channels.relay import STATES, Relay, milliseconds
from celery_sagemaker.channels.wire import Frame, Keys, Kind, Meta, to_json
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_clock import ClockedRedis, drive

#: Which of the producers; the newest first.
NTH = st.sampled_from([0, 0, 0, 1, 1, 2])

#: The keys, and what the model calls what is in them.
NAMES = {"log": "log", "meta": "meta", "lease": "lease", "ctl": "wish"}

RECORDS = st.lists(st.binary(max_size=3), min_size=1, max_size=3)

#: A frame as the model has it: attempt, sequence, kind, and the records that it carries.
Told = tuple[int, int, str, tuple[bytes, ...]]


@dataclass
class Producer:
    """What the model knows of one attempt's producer."""

    attempt: int
    relay: Relay
    records: list[bytes] = field(default_factory=list)
    waiting: list[tuple[int, int, tuple[bytes, ...]]] = field(default_factory=list)
    """First sequence, last one, and records of the frames that Redis does not have yet."""
    framing: str = ""
    """What readers are to be told of it."""
    ending: Kind | None = None
    deaf: bool = False
    """Whether what it is given is dropped: Redis has lost its stream."""
    over: bool = False

    @property
    def writes(self) -> bool:
        """Whether more can be put into it."""
        return not self.over and self.ending is None


@dataclass
class Stream:
    """What the model knows of the stream in Redis."""

    meta: dict[str, str] = field(default_factory=dict)
    log: list[Told] = field(default_factory=list)
    lease: int | None = None
    wish: bool = False

    @property
    def ended(self) -> bool:
        """Whether it has its terminal frame."""
        return self.meta.get("state", "open") != "open"

    @property
    def attempt(self) -> int:
        """The attempt of the newest entry, 0 without a log."""
        return self.log[-1][0] if self.log else 0


def told(frame: Frame) -> Told:
    """What the model has of a frame."""
    return (frame.cursor.attempt, frame.cursor.seq, frame.kind, tuple(frame.records()))


class Machine(RuleBasedStateMachine):
    """Drives a stream in Redis and its model with the same commands."""

    client: ClockedRedis

    @initialize()
    def begin_test(self) -> None:
        """Start with an attempt, and with somebody who listens."""
        self.client.loses_answers = False
        self.options = ChannelOptions(prefix=f"test-{uuid.uuid4().hex}")
        self.keys = Keys(self.options.prefix, "s")
        self.source = server.of(self.client)
        self.stream = Stream()
        self.saved: tuple[Stream, dict[str, bytes | None], Any] = (Stream(), {}, [])
        self.producers: list[Producer] = []
        self.live: list[Told] = []
        self.pubsub = server._pubsub(self.client)
        self.pubsub.subscribe(self.keys.live)
        self.pubsub.get_message(timeout=5)
        self.reader, self.read = Reader(EARLIEST, self.options, 0.0), list[bytes]()
        self.open()

    @property
    def times(self) -> int:
        """How often Redis does what it is told."""
        return 2 if self.client.loses_answers else 1

    def producer(self, nth: int) -> Producer:
        """One of the producers."""
        return self.producers[nth % len(self.producers)]

    @rule(lost=st.booleans())
    def lose_answers(self, *, lost: bool) -> None:
        """From now on each answer is lost, and its command repeated; or none any more."""
        self.client.loses_answers = lost

    @rule()
    def open(self) -> None:
        """An attempt begins, perhaps while others go on."""
        keys, kept = self.keys, self.options
        answer = self.source.call(
            "open",
            (keys.log, keys.meta, keys.lease, keys.ctl, keys.live),
            to_json({"framing": "text"}),
            "text/plain",
            "text",
            *map(milliseconds, (kept.ttl, kept.meta_ttl, kept.lease)),
        )
        stream = self.stream
        if stream.ended:
            assert answer[:2] == [b"FINISHED", stream.meta["state"].encode()]
            return
        for _ in range(self.times):
            attempt = 1 + max(int(stream.meta.get("attempt", 0)), stream.attempt)
            stream.meta |= {"attempt": str(attempt), "state": "open", "framing": "text"}
            self.write(attempt, 0, "o")
            stream.lease = attempt
        assert answer == [b"OPEN", attempt, b"cancel" if stream.wish else b""]
        relay = Relay(self.source, keys, attempt, kept)
        self.producers.insert(0, Producer(attempt, relay))

    def write(self, attempt: int, seq: int, kind: str, records: Sequence[bytes] = ()) -> None:
        """Add an entry to the log; whoever listens is told."""
        made = (attempt, seq, kind, tuple(records))
        self.stream.log.append(made)
        self.live.append(made)

    @precondition(lambda self: self.producers)
    @rule(nth=NTH, records=RECORDS)
    def put(self, nth: int, records: list[bytes]) -> None:
        """A producer has records for one frame; it may not send them yet."""
        one = self.producer(nth)
        if not one.writes:
            return
        one.relay.put(records)
        first = len(one.records) + 1
        one.records += records
        if not one.deaf:
            one.waiting.append((first, len(one.records), tuple(records)))

    @precondition(lambda self: self.producers)
    @rule(nth=NTH, records=RECORDS)
    def publish(self, nth: int, records: list[bytes]) -> None:
        """A producer has records, and sends them with all that waits."""
        self.put(nth, records)
        self.send(nth)

    @precondition(lambda self: self.producers)
    @rule(nth=NTH, records=RECORDS)
    def lose_second(self, nth: int, records: list[bytes]) -> None:
        """Redis has taken records, and loses them in a restart."""
        self.save()
        self.publish(nth, records)
        self.restart()

    @precondition(lambda self: self.producers)
    @rule(nth=NTH)
    def describe(self, nth: int) -> None:
        """A producer has learned how its records are cut."""
        one = self.producer(nth)
        one.relay.describe("text/event-stream", "sse")
        one.framing = "sse"

    @precondition(lambda self: self.producers)
    @rule(nth=NTH)
    def send(self, nth: int) -> None:
        """A producer sends what waits, and its end if that is decided."""
        one = self.producer(nth)
        assert one.relay.send()
        while not one.over and (one.waiting or one.ending):
            if one.waiting:
                self.heed(one, [self.append(one) for _ in range(self.times)][-1])
            else:
                one.over = bool([self.finish(one) for _ in range(self.times)])
        assert one.relay.finished.is_set() is one.over

    @precondition(lambda self: len(self.producers) > 1)
    @rule(nth=NTH, kind=st.sampled_from(sorted(STATES)))
    def end(self, nth: int, kind: Kind) -> None:
        """A producer ends its stream in one way or the other."""
        one = self.producer(nth)
        counted = {"parts": len(one.records), "crc32": f"{one.relay.outbox.crc32:08x}"}
        one.relay.end(kind, counted if kind == Kind.END else {"code": "Broken"})
        one.ending = one.ending or kind
        self.send(nth)

    def append(self, one: Producer) -> str:
        """What the script does with frames."""
        stream = self.stream
        if stream.attempt != one.attempt:
            return "STALE" if stream.attempt > one.attempt else "GONE"
        if one.framing:
            stream.meta["framing"] = one.framing
        for first, last, records in one.waiting:
            newest = stream.log[-1][1]
            if last > newest:
                if first != newest + 1:
                    return "GONE"
                self.write(one.attempt, last, "p" if len(records) == 1 else "b", records)
        return "OK"

    def heed(self, one: Producer, verdict: str) -> None:
        """What a producer does with a verdict."""
        one.over = verdict == "STALE"
        if verdict == "GONE":
            one.deaf, one.ending = True, Kind.ERROR
        if verdict == "OK":
            one.framing = ""
        if not one.over:
            one.waiting = []

    def finish(self, one: Producer) -> str:
        """What the script does at the end."""
        stream, kind = self.stream, one.ending
        assert kind is not None
        if int(stream.meta.get("attempt", 0)) > one.attempt:
            return "STALE"
        if stream.ended:
            return "OK"
        if stream.attempt > one.attempt:
            return "STALE"
        end = ""
        if stream.attempt == one.attempt:
            seq = stream.log[-1][1] + 1
            self.write(one.attempt, seq, kind)
            end = f"{one.attempt}-{seq}"
        stream.meta |= {"attempt": str(one.attempt), "state": STATES[kind], "end": end}
        stream.lease, stream.wish = None, False
        return "OK" if end else "GONE"

    @precondition(lambda self: self.producers)
    @rule(nth=NTH)
    def beat(self, nth: int) -> None:
        """A producer gives a sign of life, and hears whether it shall go on."""
        one, stream = self.producer(nth), self.stream
        wished = one.relay.beat()
        if one.over:
            assert not wished
        elif not stream.log:
            self.heed(one, "GONE")
        elif stream.attempt > one.attempt:
            self.heed(one, "STALE")
        else:
            stream.lease = one.attempt
            self.live += [(*stream.log[-1][:2], "h", ())] * self.times
        assert wished is (stream.wish and not one.over and not one.deaf)

    @rule()
    def cancel(self) -> None:
        """Somebody asks to cancel; a stream that has ended is left as it is."""
        assert cancel("s", self.client, options=self.options) == self.stream.meta.get("state", "")
        self.stream.wish = self.stream.wish or not self.stream.ended

    @rule(key=st.sampled_from(sorted(NAMES)))
    def lose(self, key: str) -> None:
        """A key is evicted, or has expired before the others."""
        self.client.delete(getattr(self.keys, key))
        name = NAMES[key]
        setattr(self.stream, name, getattr(Stream(), name))

    @rule()
    def save(self) -> None:
        """All so far is on Redis' disk."""
        pipe = self.client.pipeline()
        for key in (self.keys.meta, self.keys.lease, self.keys.ctl):
            pipe.dump(key)
        pipe.xrange(self.keys.log)
        *dumps, entries = pipe.execute()
        dumped = dict(zip(("meta", "lease", "ctl"), dumps, strict=True))
        self.saved = (copy.deepcopy(self.stream), dumped, entries)

    @rule()
    def restart(self) -> None:
        """Redis dies and comes back with what was on its disk."""
        stream, dumps, entries = self.saved
        self.stream = copy.deepcopy(stream)
        pipe = self.client.pipeline()
        pipe.delete(self.keys.log, self.keys.meta, self.keys.lease, self.keys.ctl)
        for key, dump in dumps.items():
            if dump is not None:
                pipe.restore(getattr(self.keys, key), 600_000, dump)
        for id_, fields in entries:
            pipe.xadd(self.keys.log, fields, id=id_)
        pipe.pexpire(self.keys.log, 600_000)
        pipe.execute()

    @rule()
    def look(self) -> None:
        """The reader looks into the log, if it wants to."""
        while self.reader.wants_look:
            self.take(self.reader.look(self.source.look(self.keys, self.reader.cursor), 0.0))

    def take(self, events: Sequence[Event]) -> None:
        """The reader is given something; an end is never given without all that belongs to it."""
        for event in events:
            if isinstance(event, Part):
                self.read.append(event.data)
            elif isinstance(event, Restarted):
                self.read = []
            else:
                self.complete(event, self.read)

    def complete(self, end: End, read: list[bytes]) -> None:
        """What was read is what some producer of this attempt has sent, all of it."""
        sent = [one.records for one in self.producers if one.attempt == end.cursor.attempt]
        assert read in sent
        assert end.parts == len(read)

    @invariant()
    def heard(self) -> None:
        """Whoever listens is told of each entry, in order, when it is written."""
        if not hasattr(self, "pubsub"):
            return
        expected, self.live = self.live, []
        for wanted in expected:
            message = cast("dict[str, Any] | None", self.pubsub.get_message(timeout=5))
            assert message is not None
            assert told(Frame.parse(message["data"])) == wanted
            self.take(self.reader.hear(message["data"], 0.0))
        assert self.pubsub.get_message(timeout=0) is None

    @invariant()
    def same(self) -> None:
        """Log, meta, lease and wish are the model's, and no key stays for ever."""
        if not hasattr(self, "stream"):
            return
        pipe, stream = self.client.pipeline(), self.stream
        pipe.xrange(self.keys.log)
        pipe.hmget(self.keys.meta, Meta.FIELDS)
        pipe.get(self.keys.lease)
        pipe.get(self.keys.ctl)
        for name in NAMES:
            pipe.pttl(getattr(self.keys, name))
        entries, values, lease, wish, *left = pipe.execute()
        assert [told(Frame.entry(id_, fields)) for id_, fields in entries] == stream.log
        meta = Meta.read(values)
        assert meta.state == stream.meta.get("state", "")
        assert meta.attempt == int(stream.meta.get("attempt", 0))
        assert meta.framing == stream.meta.get("framing")
        assert meta.end == Cursor.parse(stream.meta.get("end") or "0-0")
        assert lease == (None if stream.lease is None else b"%d" % stream.lease)
        assert wish == (b"cancel" if stream.wish else None)
        assert -1 not in left

    @invariant()
    def whole(self) -> None:
        """Whoever comes now reads all records in order, or is told that something is missing."""
        if not hasattr(self, "stream"):
            return
        reader, read = Reader(EARLIEST, self.options, 0.0), list[bytes]()
        for event in reader.look(self.source.look(self.keys, EARLIEST), 0.0):
            if isinstance(event, Part):
                read.append(event.data)
            elif isinstance(event, Restarted):
                read = []
            else:
                self.complete(event, read)
        newest = [one for one in self.producers if one.attempt == reader.cursor.attempt]
        if len(newest) == 1 and not isinstance(reader.failure, StreamGap):
            assert read == newest[0].records[: len(read)]

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "pubsub"):
            self.pubsub.close()
            self.client.forget(self.options.prefix)


def test_a_stream_does_what_its_model_does(sagemaker_redis_url: str) -> None:
    """Attempts, records, ends, wishes, lost keys and answers, and restarts, in any order."""
    drive(Machine, sagemaker_redis_url, 0.4, 40)
