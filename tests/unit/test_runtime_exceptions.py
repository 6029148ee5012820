"""The family of errors: each one whole after a copy, a pickle, and Celery's result backend."""

import copy
import datetime as dt
import json
import pickle
from typing import Any

import pytest
from celery import Celery
from celery.backends.cache import CacheBackend
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.runtime.exceptions import InferenceError, by_code
from hypothesis import given
from hypothesis import strategies as st

CLASSES = [pytest.param(cls, id=code) for code, cls in sorted(by_code.items())]
MEMBERS = {
    "original_status_code": 0,
    "retry_after": 1.5,
    "violations": ["a", "b"],
    "content": {"why": None, "größe": True},
}
BACKEND = CacheBackend(Celery(set_as_current=False), backend="memory://", serializer="json")
#: What JSON has; `args` of an error are made of it.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def same(one: BaseException, other: BaseException) -> bool:
    """Whether two errors are the same in class, message and members."""
    assert isinstance(one, InferenceError)
    assert isinstance(other, InferenceError)
    return type(one) is type(other) and one.to_json() == other.to_json() and str(one) == str(other)


def through_celery(error: InferenceError) -> BaseException:
    """What a caller gets of an error that a task raised: through the backend's JSON, as text."""
    stored = BACKEND.encode(BACKEND.prepare_exception(error))
    found: BaseException = BACKEND.exception_to_python(BACKEND.decode(stored))
    return found


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_a_pickle(cls: type[InferenceError]) -> None:
    """With class, message and members, by every protocol."""
    error = cls("what happened", MEMBERS)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert same(pickle.loads(pickle.dumps(error, protocol)), error)  # noqa: S301 - our own


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_celerys_json_backend(cls: type[InferenceError]) -> None:
    """The caller of `get()` sees the class that was raised, not a namesake."""
    error = cls("what happened", MEMBERS)
    assert same(through_celery(error), error)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_its_own_json(cls: type[InferenceError]) -> None:
    """Which is what the ledger keeps."""
    error = cls("what happened", MEMBERS)
    assert same(exceptions.from_json(json.loads(json.dumps(error.to_json()))), error)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_can_be_copied(cls: type[InferenceError]) -> None:
    """A deep copy shares nothing that changes."""
    error = cls("what happened", MEMBERS)
    assert same(copy.copy(error), error)
    deep = copy.deepcopy(error)
    deep.members["violations"].append("c")
    assert error.violations == ["a", "b"]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_says_something_by_itself(cls: type[InferenceError]) -> None:
    """One sentence, without the docstring's list of members."""
    text = str(cls())
    assert text.endswith(".")
    assert "Members" not in text
    assert "\n" not in text


@given(message=st.text(min_size=1), members=st.dictionaries(st.text(), JSON))
def test_any_json_member_survives(message: str, members: dict[str, Any]) -> None:
    """Whatever the service may say one day."""
    error = exceptions.ModelError(message, members)
    assert error.members == members
    assert same(pickle.loads(pickle.dumps(error)), error)  # noqa: S301 - our own
    try:
        message.encode()
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # lone surrogates are not text, and Redis could not hold them
    assert same(through_celery(error), error)


@pytest.mark.parametrize(
    "value",
    [
        b"\xff",
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        {1, 2},
        (1, (2, b"x")),
        {1: object},
        object(),
        ValueError("x"),
    ],
    ids=["bytes", "time", "set", "tuple", "dict", "object", "error"],
)
def test_a_member_that_is_not_json_becomes_it(value: object) -> None:
    """The class of the error is worth more than the type of a member."""
    error = exceptions.S3Error("what happened", {"value": value})
    json.dumps(error.to_json())
    assert same(through_celery(error), error)


def test_members_are_attributes() -> None:
    """A member that is not there is an ordinary AttributeError, before construction as well."""
    error = exceptions.ModelError("failed", {"original_status_code": 503})
    assert error.original_status_code == 503
    assert getattr(error, "log_stream_arn", None) is None
    with pytest.raises(AttributeError, match="ModelError has no member 'other'"):
        _ = error.other
    empty = exceptions.ModelError.__new__(exceptions.ModelError)
    assert not hasattr(empty, "anything")


def test_members_are_the_errors_own() -> None:
    """What the caller does to its mapping later does not change the error."""
    members = {"violations": ["a"]}
    error = exceptions.InvalidRequest("wrong", members)
    members["violations"].append("b")
    assert error.violations == ["a"]


def test_an_unknown_code_is_still_an_error() -> None:
    """An older reader of the ledger can say that, and what, failed."""
    read = exceptions.from_json({"code": "OfTomorrow", "message": "what happened", "members": {}})
    assert type(read) is InferenceError
    assert str(read) == "what happened"


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every class of the module is drawn under its parent."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for shown in (exceptions.__doc__ or "").splitlines():
        line = shown.removeprefix("    ")
        name = line.lstrip("│├└─ ").split("  ")[0]
        if name not in by_code:
            continue
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 3
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else ""
    real = {
        cls.__name__: "" if cls is InferenceError else cls.__mro__[1].__name__
        for cls in by_code.values()
        if cls.__module__ == exceptions.__name__
    }
    assert drawn == real


@pytest.mark.parametrize("cls", CLASSES)
def test_a_code_is_its_classes_alone(cls: type[InferenceError]) -> None:
    """Settings and the ledger find the class by it."""
    assert by_code[cls.code] is cls


def test_what_may_have_run_is_what_was_sent() -> None:
    """These alone are not repeated unless the caller says that it does no harm."""
    ours = {c: cls for c, cls in by_code.items() if cls.__module__ == exceptions.__name__}
    streams = {code for code, cls in ours.items() if issubclass(cls, exceptions.StreamError)}
    sent = {"ReadTimeout", "ConnectionLost", *streams}
    assert {code for code, cls in ours.items() if cls.may_have_run} == sent
    assert "StreamCancelled" in streams
