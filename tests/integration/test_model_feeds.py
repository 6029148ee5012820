"""A feed's scripts against a model in Python: what a reader is given, whoever writes."""

import uuid
from typing import cast

from celery_sagemaker.channels import ChannelOptions, Feed, FeedOptions
from celery_sagemaker.channels.wire import Frame, Keys, Meta
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model_clock import ClockedRedis, drive

#: Records that the feeds of these tests keep; twice as many keys are known.
KEEP = 3


class Machine(RuleBasedStateMachine):
    """Drives a feed in Redis and its model with the same commands."""

    client: ClockedRedis

    @initialize()
    def begin_test(self) -> None:
        """Start without a feed."""
        self.client.loses_answers = False
        self.prefix = f"test-{uuid.uuid4().hex}"
        self.keys = Keys(self.prefix, "f")
        options = ChannelOptions(prefix=self.prefix)
        kept = FeedOptions(keep=KEEP)
        # Two processes write, as ever so many do.
        self.feeds = [Feed("f", self.client, options=options, feed=kept) for _ in range(2)]
        self.state = ""
        self.attempt = 0
        self.newest = 0
        self.frames: list[tuple[int, str, bytes]] = []
        self.known: list[str] = []

    @property
    def open(self) -> bool:
        """Whether the feed takes records."""
        return self.state == "open" and bool(self.frames)

    @rule(lost=st.booleans())
    def lose_answers(self, *, lost: bool) -> None:
        """From now on each answer is lost, and its command repeated; or none any more."""
        self.client.loses_answers = lost

    @rule(who=st.integers(0, 1))
    def open_(self, who: int) -> None:
        """The feed is opened, or kept open."""
        self._open()
        assert self.feeds[who].open() == self.attempt

    def _open(self) -> None:
        if not self.open:
            self.attempt, self.newest, self.state = self.attempt + 1, 0, "open"
            self.frames, self.known = [(0, "o", b"")], []

    @rule(who=st.integers(0, 1), key=st.integers(0, 11), data=st.binary(max_size=4))
    def append(self, who: int, key: int, data: bytes) -> None:
        """A record is written, or has been written."""
        if self.state in ("", "open"):
            self._open()
        new = self.open and str(key) not in self.known
        if new:
            self.newest += 1
            self.frames = [*self.frames, (self.newest, "p", data)][-KEEP:]
            self.known = [*self.known, str(key)][-2 * KEEP :]
        found = self.feeds[who].append(str(key), data)
        assert found is (new and not self.client.loses_answers)

    @rule(who=st.integers(0, 1))
    def end(self, who: int) -> None:
        """The feed ends, if there is one that has not ended."""
        may = self.open
        assert self.feeds[who].end() is (may and not self.client.loses_answers)
        if may:
            self.newest, self.state, self.known = self.newest + 1, "complete", []
            self.frames.append((self.newest, "e", b""))

    @rule()
    def lose_log(self) -> None:
        """The log is evicted, or has expired before meta."""
        self.client.delete(self.keys.log)
        self.frames = []
        if not self.state:
            # Nothing is left that knows the attempts.
            self.attempt = 0

    @rule()
    def lose_meta(self) -> None:
        """Meta is evicted; the log says which attempt was the newest."""
        self.client.delete(self.keys.meta)
        self.state = ""
        self.attempt = self.attempt if self.frames else 0

    @invariant()
    def same(self) -> None:
        """The log has the newest records in order, and meta says where it ends."""
        if not hasattr(self, "feeds"):
            return
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrange(self.keys.log))
        frames = [Frame.entry(id_, fields) for id_, fields in entries]
        assert [(frame.cursor.attempt, frame.cursor.seq, frame.kind) for frame in frames] == [
            (self.attempt, seq, kind) for seq, kind, _ in self.frames
        ]
        found = [frame.payload for frame in frames if frame.kind == "p"]
        assert found == [data for _, kind, data in self.frames if kind == "p"]
        values = self.client.hmget(self.keys.meta, Meta.FIELDS)
        meta = Meta.read(cast("list[bytes | None]", values))
        assert meta.state == self.state
        if self.state:
            assert (meta.attempt, meta.feed) == (self.attempt, True)
            assert (meta.end.attempt, meta.end.seq) == (self.attempt, self.newest)

    @invariant()
    def all_expires(self) -> None:
        """No key stays for ever."""
        if not hasattr(self, "feeds"):
            return
        for key in (self.keys.log, self.keys.meta, self.keys.seen):
            assert int(str(self.client.pttl(key))) != -1

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "keys"):
            self.client.delete(self.keys.log, self.keys.meta, self.keys.seen)


def test_a_feed_does_what_its_model_does(sagemaker_redis_url: str) -> None:
    """Writing, ending, beginning anew, lost keys and lost answers, in any order."""
    drive(Machine, sagemaker_redis_url, 0.6, 40)
