"""The wire format: cursors, keys, frames, batches."""

import contextlib

import pytest
from celery_sagemaker.channels import (
    EARLIEST,
    Cursor,
    UnknownVersion,
)
from celery_sagemaker.channels.wire import Frame, Keys, Kind, join, pack, split
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(0, 2**64 - 1)
RECORDS = st.lists(st.binary(max_size=20), min_size=1, max_size=5)


@given(NUMBERS, NUMBERS)
def test_a_cursor_is_read_as_it_is_written(attempt: int, seq: int) -> None:
    """Text and bytes give the same cursor back."""
    cursor = Cursor(attempt, seq)
    assert Cursor.parse(str(cursor)) == Cursor.parse(str(cursor).encode()) == cursor


def test_cursors_are_ordered_as_integers() -> None:
    """10 comes after 9, which strings would deny."""
    assert Cursor.parse("1-9") < Cursor.parse("1-10") < Cursor.parse("2-0")
    assert Cursor.parse("earliest") == EARLIEST < Cursor(1, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "a-b",
        " 1-2",
        "1-2\n",
        "+",
        "$",
        "\u0663-\u0661",
        "1-" + "9" * 20,
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """A client's header is checked before Redis sees it."""
    with pytest.raises(ValueError, match="no cursor"):
        Cursor.parse(text)


def test_keys_share_a_slot() -> None:
    """The stream's id is the hash tag of all of its keys."""
    keys = Keys("p", "schedule:nightly")
    assert keys.log == "p:{schedule:nightly}:log"
    names = (keys.log, keys.meta, keys.lease, keys.ctl, keys.live)
    assert {name.split("{")[1].split("}")[0] for name in names} == {"schedule:nightly"}


@pytest.mark.parametrize("stream", ["", "a b", "a}b", "{a}", "a/b", "a*", "ä", "a\n", "x" * 129])
def test_ids_that_do_not_belong_in_keys_are_refused(stream: str) -> None:
    """Neither hash tags nor globs nor paths come in through an id."""
    with pytest.raises(ValueError, match="stream id"):
        Keys("p", stream)


@given(NUMBERS, NUMBERS, st.sampled_from(list(Kind)), st.binary(max_size=50))
def test_a_live_message_is_read_as_it_is_written(
    attempt: int, seq: int, kind: Kind, payload: bytes
) -> None:
    """Whatever bytes the payload has, line feeds included."""
    frame = Frame(Cursor(attempt, seq), kind, payload)
    assert Frame.parse(frame.live()) == frame


def test_a_live_message_can_be_read_by_people() -> None:
    """The header is text, and a single record stands as it is."""
    assert pack(2, 17, [b"hello\n"]).live() == b"1 2-17 p\nhello\n"
    assert pack(2, 17, [b"hello", b"you"]).live() == b"1 2-17 b\n5:hello,3:you,"


def test_another_version_is_refused() -> None:
    """A reader does not guess what a newer producer means."""
    with pytest.raises(UnknownVersion):
        Frame.parse(b"2 1-1 p\nhello")


@pytest.mark.parametrize("message", [b"1", b"1 1-1 p", b"1 1-1\nx", b"1 x p\ny", b"1 1-1 \xff\n"])
def test_what_is_no_frame_is_refused(message: bytes) -> None:
    """Nothing malformed passes as a record."""
    with pytest.raises(ValueError, match=r"frame|cursor|decode"):
        Frame.parse(message)


@given(RECORDS)
def test_records_come_out_of_a_frame_as_they_went_in(records: list[bytes]) -> None:
    """One or several, empty ones and those that look like netstrings included."""
    assert pack(1, len(records), records).records() == records
    assert split(join(records)) == records


@given(RECORDS, st.data())
def test_a_cut_batch_is_never_read_as_a_whole_one(
    records: list[bytes], data: st.DataObject
) -> None:
    """A prefix of a batch is malformed, or has fewer records."""
    whole = join(records)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with contextlib.suppress(ValueError):
        found = split(cut)
        assert found == records[: len(found)] != records


@pytest.mark.parametrize("payload", [b"x", b":,", b"-1:,", b"+1:a,", b"1:a", b"2:a,", b"1:ab"])
def test_a_malformed_batch_is_refused(payload: bytes) -> None:
    """No record is made up."""
    with pytest.raises(ValueError, match=r"batch|found"):
        split(payload)
