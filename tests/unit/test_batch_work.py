"""What a run of a chunk has before it and behind it, whatever order its records end in."""

import random
from collections import Counter

from celery_sagemaker.tasks.batch.progress import Progress
from celery_sagemaker.tasks.batch.records.exceptions import InputRecordTooLarge
from celery_sagemaker.tasks.batch.records.packing import Invocation
from celery_sagemaker.tasks.batch.records.values import Record, RecordError
from celery_sagemaker.tasks.batch.work import Work
from hypothesis import given, settings
from hypothesis import strategies as st

FIRST = 1_000


def invocation(*offsets: int) -> Invocation:
    """An invocation of records of the chunk."""
    records = tuple(Record(FIRST + offset, None, b"x") for offset in offsets)
    return Invocation(records, tuple(record.data for record in records), "text/plain")


def offsets(progress: Progress, count: int) -> list[int]:
    """What is left of a chunk."""
    return [offset for offset in range(count) if offset in progress]


def test_progress_survives_json() -> None:
    """Spans, single offsets and attempts come back."""
    made = Progress.of(9, [0, 1, 2, 5, 7, 8], {5: {"ReadTimeout": 2}})
    assert made.left == ((0, 2), (5, 5), (7, 8))
    assert Progress.from_json(made.to_json()) == made
    assert Progress.from_json({"upto": 4}) == Progress(4)


@given(st.sets(st.integers(0, 30)), st.integers(0, 31))
def test_progress_knows_what_is_left(left: set[int], upto: int) -> None:
    """Membership, the first and the number agree with the plain set."""
    wanted = sorted({offset for offset in left if offset < upto} | set(range(upto, 31)))
    made = Progress.of(upto, (offset for offset in left if offset < upto))
    assert offsets(made, 31) == wanted
    assert made.remaining(31) == len(wanted)
    assert made.first == (wanted[0] if wanted else 31)


def test_records_are_added_to_what_is_left() -> None:
    """Failed records are to be done again, those that are left anyway only once."""
    assert Progress(5).with_left([1, 3], 5) == Progress.of(5, [1, 3])
    assert Progress.of(3, [0]).with_left([1, 4], 5) == Progress.of(3, [0, 1])


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 4))
def test_runs_that_stop_anywhere_do_each_record_once(seed: int, count: int, size: int) -> None:
    """However often a chunk is left, and whatever was waiting: each record ends exactly once."""
    draw = random.Random(seed)
    ended: Counter[int] = Counter()
    progress = Progress()
    while progress.remaining(count):
        progress = run_somewhat(draw, progress, count, size, ended)
        progress = Progress.from_json(progress.to_json())
        assert offsets(progress, count) == [o for o in range(count) if not ended[o]]
    assert ended == Counter(dict.fromkeys(range(count), 1))


def run_somewhat(
    draw: random.Random, progress: Progress, count: int, size: int, ended: Counter[int]
) -> Progress:
    """Run a chunk with random outcomes, and stop at a random point."""
    work = Work(FIRST, count, progress, most_waiting=3)
    wanted = offsets(progress, count)
    packed = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    fed = draw.randint(1, len(packed))
    work.feed(invocation(*group) for group in packed[:fed])
    work.exhausted = fed == len(packed)
    now = 0.0
    for _ in range(draw.randint(1, 30)):
        now += 1.0
        call = work.take(now)
        if call is None:
            continue
        offsets_ = [record.position - FIRST for record in call.invocation.records]
        match draw.choice(["end", "end", "again", "split", "hang"]):
            case "end":
                work.end(call)
                ended.update(offsets_)
            case "again":
                work.again(call, now + draw.randint(0, 5))
            case "split" if len(offsets_) > 1:
                work.split([invocation(offsets_[0]), invocation(*offsets_[1:])], now)
            case _:
                pass
    return work.progress()


def test_a_failed_call_waits_and_keeps_its_count() -> None:
    """It comes again when it is due, before anything fresh, and in another run with its count."""
    work = Work(FIRST, 3, Progress(), most_waiting=3)
    work.feed([invocation(0), invocation(1), invocation(2)])
    call = work.take(0.0)
    assert call is not None
    call.counted["ServiceUnavailable"] += 1
    work.again(call, 5.0)
    assert work.due == 5.0
    second = work.take(1.0)
    assert second is not None
    assert second.invocation == invocation(1)
    assert work.take(5.0) is call
    work.again(call, 9.0)
    left = work.progress()
    assert left.attempts == {0: {"ServiceUnavailable": 1}}
    later = Work(FIRST, 3, left, most_waiting=3)
    later.feed([invocation(0)])
    again = later.take(0.0)
    assert again is not None
    assert again.attempts == 1


def test_a_record_that_cannot_be_sent_has_its_turn() -> None:
    """It is handed out in order, with the reason, and is no call in flight for ever."""
    work = Work(FIRST, 2, Progress(), most_waiting=3)
    error = InputRecordTooLarge()
    work.feed([RecordError(Record(FIRST, None, b""), error), invocation(1)])
    work.exhausted = True
    refused = work.take(0.0)
    assert refused is not None
    assert refused.refused is error
    work.end(refused)
    last = work.take(0.0)
    assert last is not None
    work.end(last)
    assert work.done
    assert work.progress() == Progress(2)


def test_nothing_fresh_is_begun_while_too_much_waits() -> None:
    """A run that only waits is idle, so that it can be left."""
    work = Work(FIRST, 9, Progress(), most_waiting=1)
    work.feed(invocation(offset) for offset in range(5))
    for _ in range(2):
        call = work.take(0.0)
        assert call is not None
        work.again(call, 10.0)
    assert work.take(0.0) is None
    assert work.idle
    assert work.fresh == 3
