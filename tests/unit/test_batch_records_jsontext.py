"""JSON that is validated and cut, and never written anew."""

import json
from collections.abc import Callable

import pytest
from celery_sagemaker.tasks.batch.records import jsontext
from hypothesis import given
from hypothesis import strategies as st

SPACES = st.text(" \t", max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_members_are_cut_as_they_were_written(
    value: dict[str, object],
    ascii_: bool,
    indent: int | None,
) -> None:
    """Each member's text has its value, wherever the white space is and whatever is escaped."""
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    found = jsontext.members(text)
    assert {name: json.loads(part) for name, part in found.items()} == value
    assert all(part in text for part in found.values())


@given(st.lists(JSON, max_size=6), SPACES)
def test_elements_are_cut_as_they_were_written(value: list[object], space: str) -> None:
    """Each element's text has its value."""
    text = "[" + space + f"{space},{space}".join(map(json.dumps, value)) + space + "]"
    found = jsontext.elements(text)
    assert [json.loads(part) for part in found] == value
    assert found == [json.dumps(one) for one in value]


def test_digits_are_kept() -> None:
    """A number that Python would write otherwise, or cannot, stays as it is."""
    long = "9" * 5_000
    text = f'{{"a": 1.10, "b": 1E400, "c": {long}, "d": -0}}'
    assert jsontext.members(text) == {"a": "1.10", "b": "1E400", "c": long, "d": "-0"}
    assert jsontext.is_json(text.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"NaN",
        b'{"a":-Infinity}',
        b"1 2",
        b"[1,]",
        b"'a'",
        b'"\xff"',
        b"\x0c1",
        b"[" * 100000,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    """NaN, which Python reads, and text too deep to be read as well."""
    assert not jsontext.is_json(body)


@given(
    st.one_of(JSON.map(json.dumps), st.text('{}[]",:0123456789.eE+- \\\\utrnNafls', max_size=12))
)
def test_both_parsers_agree(text: str) -> None:
    """What is JSON, and what its value is, does not depend on which one reads it."""

    def read(function: Callable[[], object]) -> str:
        try:
            return repr(function())
        except ValueError:
            return "refused"

    body = text.encode()
    assert read(lambda: jsontext.parse(body)) == read(lambda: jsontext.loads(text.strip(" \t\r\n")))


def test_what_pydantic_refuses_may_be_json() -> None:
    """Half a surrogate pair, deep arrays, digits without end; white space does not matter."""
    for text in ('"\\ud800"', "[" * 500 + "]" * 500, "9" * 5_000):
        assert jsontext.parse(f" {text}\r\n".encode()) == jsontext.loads(text)


@given(JSON)
def test_one_line_keeps_the_value(value: object) -> None:
    """Line breaks are between tokens only, and become spaces."""
    line = jsontext.one_line(json.dumps(value, indent=1).replace("\n", "\r\n").encode())
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == value


def test_half_a_surrogate_pair_is_escaped() -> None:
    """JSON can name it, UTF-8 cannot."""
    assert jsontext.dump("\ud800é") == b'"\\ud800\\u00e9"'
    assert jsontext.dump("é") == '"é"'.encode()
