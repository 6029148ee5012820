"""The producer's sans-IO parts: what shares an entry, what waits."""

import zlib

import pytest
from celery_sagemaker.channels import ChannelOptions
from celery_sagemaker.channels.coalescer import Coalescer
from celery_sagemaker.channels.outbox import CALL_BYTES, CALL_FRAMES, Outbox
from hypothesis import given
from hypothesis import strategies as st


def test_a_record_after_a_pause_goes_at_once() -> None:
    """Nobody waits for the first word; the ones behind it wait a little, together."""
    coalescer = Coalescer(0.025, 4096)
    assert coalescer.add(b"a", 10.0) == [b"a"]
    assert coalescer.due is None
    assert coalescer.add(b"b", 10.01) == []
    assert coalescer.due == pytest.approx(10.025)
    assert coalescer.add(b"c", 10.03) == [b"b", b"c"]
    assert coalescer.add(b"d", 11.0) == [b"d"]


def test_a_model_that_speaks_fifty_times_a_second_is_not_held_up() -> None:
    """By default, records that come every 20 ms all go at once."""
    coalescer = Coalescer.of(ChannelOptions())
    for n in range(100):
        assert coalescer.add(b"a", 10.0 + n * 0.02) == [b"a"]


def test_held_records_go_when_they_are_large() -> None:
    """4 KiB do not wait."""
    coalescer = Coalescer(0.025, 4096)
    coalescer.add(b"a", 10.0)
    assert coalescer.add(b"b" * 4095, 10.0) == []
    assert coalescer.add(b"c", 10.0) == [b"b" * 4095, b"c"]


def test_coalescing_can_be_turned_off() -> None:
    """With 0 seconds every record is an entry."""
    coalescer = Coalescer(0.0, 4096)
    assert [coalescer.add(b"%d" % n, 10.0) for n in range(3)] == [[b"0"], [b"1"], [b"2"]]


@given(st.lists(st.tuples(st.binary(max_size=30), st.floats(0, 0.05))))
def test_a_coalescer_keeps_every_record_whole_and_in_order(
    steps: list[tuple[bytes, float]],
) -> None:
    """Nothing is cut, lost, doubled, or held longer than it may be."""
    coalescer, now, out = Coalescer(0.025, 64), 100.0, list[bytes]()
    for record, wait in steps:
        now += wait
        out += coalescer.add(record, now)
        assert coalescer.due is None or now < coalescer.due <= now + 0.025
    assert out + coalescer.flush(now) == [record for record, _ in steps]


def test_an_outbox_numbers_records_not_frames() -> None:
    """A batch has the number of its last record: every record can be resumed at."""
    box = Outbox(2, 1000)
    box.put([b"a"])
    box.put([b"b", b"c", b"d"])
    assert [(n.first, str(n.frame.cursor), n.frame.kind) for n in box.head()] == [
        (1, "2-1", "p"),
        (2, "2-4", "b"),
    ]
    assert (box.parts, box.total, box.crc32) == (4, 4, zlib.crc32(b"abcd"))


def test_an_outbox_keeps_what_is_not_confirmed() -> None:
    """The same frames are sent again, with the same ids."""
    box = Outbox(1, 1000)
    box.put([b"a"])
    box.put([b"b"])
    assert box.head() == box.head()
    box.confirm(1)
    assert [n.frame.payload for n in box.head()] == [b"b"]
    box.confirm(1)
    assert not box


def test_an_outbox_that_overflows_takes_nothing_more() -> None:
    """A stream with a hole must not go on; what was counted still is."""
    box = Outbox(1, 10)
    box.put([b"x" * 8])
    box.put([b"y" * 8])
    box.put([b"z"])
    assert box.overflowed
    assert not box
    assert box.parts == 3
    box.confirm(1)


def test_one_call_takes_a_bounded_part() -> None:
    """A long outage's records go in several calls; a large one goes alone."""
    box = Outbox(1, 10 * CALL_BYTES)
    for size in (CALL_BYTES * 2, 10, CALL_BYTES - 10, 1):
        box.put([b"x" * size])
    taken = []
    while head := box.head():
        taken.append(len(head))
        box.confirm(len(head))
    assert taken == [1, 2, 1]


def test_one_call_takes_few_frames() -> None:
    """However small they are: a script holds up everybody."""
    box = Outbox(1, 10 * CALL_BYTES)
    for _ in range(2 * CALL_FRAMES + 1):
        box.put([b"x"])
    taken = []
    while head := box.head():
        taken.append(len(head))
        box.confirm(len(head))
    assert taken == [CALL_FRAMES, CALL_FRAMES, 1]
