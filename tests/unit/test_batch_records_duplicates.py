"""Ids that came twice, in little memory."""

from collections import Counter

from celery_sagemaker.tasks.batch.records.duplicates import Seen
from hypothesis import given
from hypothesis import strategies as st

#: More than any example has.
MANY = 1_000


@given(st.lists(st.text("abc", max_size=3)))
def test_exactly_what_came_twice_is_suspect(ids: list[str]) -> None:
    """However often it came."""
    seen = Seen()
    for id_ in ids:
        seen.add(id_)
    assert seen.suspects(MANY) == {hash(id_) for id_, n in Counter(ids).items() if n > 1}


def test_suspects_are_bounded() -> None:
    """An input that is there twice does not fill the memory."""
    seen = Seen()
    for id_ in [*map(str, range(5_000))] * 2:
        seen.add(id_)
    found = seen.suspects(100)
    assert len(found) == 100
    assert found < {hash(str(n)) for n in range(5_000)}
