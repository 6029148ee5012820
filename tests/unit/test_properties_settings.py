"""Settings from any file and any variables: they load, or every wrong key is named."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from celery_sagemaker.config import Settings, SettingsError
from celery_sagemaker.config.settings import _known
from celery_sagemaker.config.sources import FILE_VARIABLE, NESTED, PREFIX, leaves
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

#: One folder serves all examples: each writes the file anew.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["redis://h/0", "amqp://h//", "s3://bucket/p", "fast", "1", "-1", "nan", ""]),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)

#: Sections whose keys are the settings' own, and the values at the top.
SECTIONS = {
    name: keys
    for name, keys in _known().items()
    if name not in ("", "endpoints", "retries", "schedules")
}
SCALAR_KEYS = sorted(set(_known()[""]) - set(SECTIONS) - {"endpoints", "retries", "schedules"})
PATHS: list[tuple[str, ...]] = [
    *((key,) for key in SCALAR_KEYS),
    *((name, key) for name, keys in SECTIONS.items() for key in keys),
    *(("endpoints", "Some-Endpoint", key) for key in _known()["endpoints"]),
    *(("retries", "ThrottlingException", key) for key in _known()["retries"]),
    *(("schedules", "nightly", key) for key in _known()["schedules"]),
]

#: Keys that are named for another's sake: what they are compared with was given.
CROSSING = {
    "visibility_timeout": {"hold_limit", "timeouts.connect", "timeouts.read", "timeouts"},
    "result_url": {"broker_url"},
    "state_url": {"broker_url", "result_url"},
    "polling.min_interval": {"polling.max_interval"},
}

SECONDS = st.integers(1, 10**6)
GOOD: Mapping[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("prefix",): st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True),
    ("broker_url",): st.sampled_from(["redis://:p@ss:w%22ord@h:6379/1", "rediss://u:p@h/0"]),
    ("staging",): st.sampled_from(["s3://bucket", 's3://bucket/a "quoted"\\\n\t path\x1f/ä€🎉']),
    ("hold_limit",): st.floats(0, 5),
    ("concurrency",): st.integers(1, 64),
    ("ledger", "lease"): st.floats(0.001, 1e6),
    ("ledger", "retention"): SECONDS,
    ("polling", "tick"): st.floats(1e-5, 10),
    ("limits", "adaptive"): st.booleans(),
    ("limits", "max_concurrency"): SECONDS,
    ("batch", "transport"): st.sampled_from(["fast", "boto3"]),
    ("logging", "format"): st.sampled_from(["text", "json"]),
    ("allow", "endpoints"): st.lists(st.sampled_from(["a", "b-*", "c/d"]), min_size=1, max_size=3),
    ("endpoints", "A-B", "accept"): st.text(
        st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20
    ),
    ("endpoints", "A-B", "request_ttl_seconds"): st.integers(60, 21_600),
    ("retries", "ThrottlingException", "cost"): st.integers(0, 99),
}


@st.composite
def good(draw: st.DrawFn) -> dict[tuple[str, ...], Any]:
    """Settings that are right."""
    paths = draw(st.sets(st.sampled_from(sorted(GOOD))))
    return {path: draw(GOOD[path]) for path in paths}


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Values by their paths, as sections in sections."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        inside = found
        for name in path[:-1]:
            inside = inside.setdefault(name, {})
        inside[path[-1]] = value
    return found


def toml(value: Any) -> str:
    """A value as TOML, on one line."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case float():
            return repr(value)
    return json.dumps(value)


def document(values: Mapping[str, Any]) -> str:
    """A file of settings."""
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in values.items())


def variable(value: Any) -> str:
    """A value as a variable has it."""
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def variables(given_: Mapping[str, str]) -> Iterator[None]:
    """Some environment."""
    with mock.patch.dict(os.environ, given_):
        yield


def problems(call: Any) -> dict[str, str] | None:
    """What is wrong with settings; None: they load."""
    try:
        call()
    except SettingsError as error:
        return error.problems
    return None


@given(values=good(), above=good())
@SHARED
def test_what_is_written_is_read(
    tmp_path: Path, values: dict[tuple[str, ...], Any], above: dict[tuple[str, ...], Any]
) -> None:
    """A file and variables give what a call with the same values gives; variables win."""
    path = tmp_path / "c.toml"
    path.write_text(document(nested(values)), "utf-8")
    named = {PREFIX + NESTED.join(key): variable(value) for key, value in above.items()}
    with variables(named):
        found = Settings.load(path)
    called = Settings(**nested({**values, **above}))
    for name in Settings.model_fields:
        assert getattr(found, name) == getattr(called, name)
    given_ = {key: value for key, value in found.sources().items() if value != "default"}
    expected = dict.fromkeys(values, f"file {path}")
    expected |= {key: f"env {PREFIX}{NESTED.join(key)}" for key in above}
    assert {key.lower(): origin for key, origin in given_.items()} == {
        ".".join(key).lower(): origin for key, origin in expected.items()
    }


@given(st.sampled_from(PATHS), JUNK)
@example(("broker_url",), "redis://[h")
@example(("broker_url",), "redis://h/\u00b2")
@example(("endpoints", "Some-Endpoint", "retries"), {"x": 1})
@example(("retries", "ThrottlingException", "attempts"), 10**400)
@example(("schedules", "nightly", "cron"), "61 * * * *")
@example(("signing", "key"), "\0")
def test_a_value_is_taken_or_named(path: tuple[str, ...], value: Any) -> None:
    """Whatever is wrong with it, the error names its key; any other exception is a bug."""
    found = problems(lambda: Settings(**nested({path: value})))
    dotted = ".".join(path).lower()
    for key in found or ():
        lowered = key.lower()
        section = dotted.rpartition(".")[0]
        crossed = {name.lower() for name in CROSSING.get(lowered, ())}
        assert lowered.startswith((dotted, section)) or crossed & {dotted, path[0]}, (key, found)


@given(JUNK, st.sampled_from(["", *sorted(SECTIONS), "endpoints", "retries", "schedules"]))
@example({"a": {"retries": 1}, "A": {}}, "endpoints")
@example({"": {}}, "endpoints")
@example([], "retries")
def test_a_section_is_taken_or_named(value: Any, name: str) -> None:
    """Also one that is no section at all."""
    given_ = value if not name and isinstance(value, dict) else {name or "x": value}
    found = problems(lambda: Settings(**given_))
    assert found is None or found


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
@example(b"[" * 5_000)
@example(b"a = " + b"[" * 5_000)
@example(b"concurrency = " + b"9" * 5_000)
@example(b"concurrency = 0x" + b"f" * 5_000)
@example(b"concurrency = 1979-05-27T07:32:00Z")
@example(b"prefix = 07:32:00\n[ledger]\nlease = inf")
@SHARED
def test_any_file_is_read_or_named(tmp_path: Path, content: bytes) -> None:
    """Every problem has the file's name, or the key's."""
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    found = problems(lambda: Settings.load(path))
    for key, text in (found or {}).items():
        assert str(path) in key + text


#: Text that an environment can have.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
NAMES = st.sampled_from([NESTED.join(path).upper() for path in PATHS]) | st.from_regex(
    r"[A-Z_]{1,12}(__[A-Za-z0-9_-]{0,8}){0,4}", fullmatch=True
)


@given(st.dictionaries(NAMES, VALUES | JUNK.map(json.dumps), min_size=1, max_size=3))
@example({"LEDGER": "[" * 5_000})
@example({"LEDGER": "9" * 5_000})
@example({"LEDGER": '"x"'})
@example({"LEDGER__LEASE__X": "1"})
@example({"ENDPOINTS__": "1"})
@example({"ENDPOINTS__A__RETRIES": "{"})
@example({"ENDPOINTS__A": "[" * 5_000})
@example({"ALLOW__ENDPOINTS": "[1, 2"})
@example({"CONCURRENCY": "9" * 5_000})
@example({"LEDGER": '{"lease": 3}', "LEDGER__LEASE": "4"})
@example({"LEDGER": "3", "LEDGER__LEASE": "4"})
def test_any_variables_are_read_or_named(given_: dict[str, str]) -> None:
    """Every problem has a variable's name, or is in the section that a variable is in."""
    named = {PREFIX + name: text for name, text in given_.items() if text}
    named.pop(FILE_VARIABLE, None)
    with variables(named):
        found = problems(Settings.load)
    sections = {name.removeprefix(PREFIX).lower().split(NESTED)[0] for name in named}
    assert found or sections <= Settings.model_fields.keys()
    for key, text in (found or {}).items():
        is_named = any(name in key + text for name in named)
        assert is_named or key in CROSSING or key.split(".")[0].lower() in sections, (key, text)


def test_every_key_is_tried() -> None:
    """The paths of these tests are all the settings there are."""
    dumped = {".".join(leaf) for leaf in leaves(Settings().model_dump())}
    tried = {".".join(path) for path in PATHS}
    assert dumped - {"endpoints", "retries", "schedules"} <= tried
    with pytest.raises(SettingsError):
        Settings(unknown=1)
