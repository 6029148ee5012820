"""JSON as text: validated, and cut without being written anew.

What a caller or a model wrote stays as it is, down to the digits of a number.
"""

import json
from collections.abc import Iterator
from itertools import islice
from json.decoder import JSONDecodeError
from typing import Any, NoReturn

from pydantic_core import from_json

#: What JSON counts as white space.
SPACE = " \t\r\n"


class NotJson(ValueError):
    """Python reads it, JSON does not have it."""


def _refuse(constant: str) -> NoReturn:
    raise NotJson(f"{constant} is no value of JSON")


_decode = json.JSONDecoder(parse_constant=_refuse).raw_decode
#: For integers of over 4,300 digits, which Python does not convert.
_decode_long = json.JSONDecoder(parse_constant=_refuse, parse_int=float).raw_decode

#: `json.dumps` would make an encoder for each value.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def loads(text: str) -> Any:
    """Return the value of one JSON text without white space around it.

    Stricter than `json.loads`: NaN and Infinity are not JSON.

    Raises:
        ValueError: it is not one JSON text; says why.
    """
    value, end = _value(text, 0)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


def parse(text: bytes) -> Any:
    """Return the value of one JSON text, in UTF-8, with white space around it or not.

    A quarter of what `loads` costs. What pydantic's parser takes is JSON; what it refuses may be
    (half a surrogate pair, or hundreds of arrays in each other), or there is more to say of it.

    Raises:
        ValueError: it is not one JSON text; says why.
    """
    try:
        return from_json(text, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        return loads(text.decode().strip(SPACE))


def dump(value: Any) -> bytes:
    """Return a value as compact JSON in UTF-8.

    Raises:
        ValueError: it has a number that JSON does not have.
    """
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which JSON's escapes can name and UTF-8 cannot.
        return _encode_ascii(value).encode()


def is_json(body: bytes) -> bool:
    """Whether a body is one JSON text, in UTF-8."""
    try:
        parse(body)
    except ValueError:
        return False
    return True


def one_line(text: bytes) -> bytes:
    """Return a valid JSON text without line breaks: they are only between its tokens."""
    return text.strip().replace(b"\r", b" ").replace(b"\n", b" ")


def members(text: str) -> dict[str, str]:
    """Return the members of a valid JSON object, their values as text."""
    return dict(_pairs(text))


def first_members(text: str, most: int) -> list[tuple[str, str]]:
    """Return up to `most` members of a valid JSON object, and none of another text."""
    return list(islice(_pairs(text), most)) if text.startswith("{") else []


def elements(text: str) -> list[str]:
    """Return the elements of a valid JSON array, as text."""
    found = []
    at = _skip(text, 1)
    while text[at] != "]":
        _, end = _value(text, at)
        found.append(text[at:end])
        at = _next(text, end)
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at = _skip(text, 1)
    while text[at] != "}":
        name, end = _value(text, at)
        at = _skip(text, _skip(text, end) + 1)
        _, end = _value(text, at)
        yield name, text[at:end]
        at = _next(text, end)


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _decode(text, at)
    except (JSONDecodeError, NotJson):
        raise
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        return _decode_long(text, at)


def _next(text: str, at: int) -> int:
    """Step over a comma, if there is one."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    while text[at] in SPACE:
        at += 1
    return at
