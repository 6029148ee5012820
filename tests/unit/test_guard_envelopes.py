"""What a message has to look like before a worker takes it."""

import inspect
import json
import tracemalloc
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker.tasks.exceptions import MalformedMessage
from celery_sagemaker.workers import envelopes, guard, inflating
from celery_sagemaker.workers.envelopes import Takes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kombu import Exchange, Queue, compression
from kombu.message import Message

QUEUE = "sagemaker.invoke"
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def run(prefix: str, *, more: int = 0) -> None:
    """How a task is called."""


TAKES = Takes.of(
    {"sagemaker.poll": inspect.signature(run)},
    1_000,
    [Queue(QUEUE, Exchange(QUEUE), QUEUE), Queue("t", Exchange("x", type="topic"), "a.#")],
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def message(body: Any = None, *, raw: bytes | None = None, **parts: Any) -> Message:
    """A message as kombu hands it over; `parts` change its headers or its delivery_info."""
    came = {"exchange": "", "routing_key": QUEUE, **parts.pop("came", {})}
    headers = {"id": "i", "task": "sagemaker.poll", **parts.pop("headers", {})}
    text = json.dumps([["p"], {}, EMBED] if body is None else body).encode()
    body_: Any = text if raw is None else raw
    return Message(
        body=body_,
        content_type=parts.get("content_type", "application/json"),
        content_encoding="utf-8",
        headers=headers,
        properties={"delivery_info": came},
        accept={"application/json"},
    )


def refused(given: Message) -> str:
    """Why a message is not taken."""
    with pytest.raises(MalformedMessage) as caught:
        envelopes.check(given, TAKES)
    return caught.value.message


def test_a_good_message_is_taken() -> None:
    """As Celery writes it, with whatever a canvas puts behind it."""
    signature = {"task": "any", "args": [], "kwargs": {}, "options": {}, "immutable": True}
    embed = {"callbacks": [signature], "errbacks": None, "chain": [signature], "chord": signature}
    headers: dict[str, Any] = {
        "eta": "2026-01-01T00:00:00+00:00", "expires": None, "timelimit": [None, 5],
        "retries": 0, "group": None, "group_index": 3, "stamps": {}, "parent_id": "p",
    }  # fmt: skip
    envelopes.check(message(), TAKES)
    envelopes.check(message([["p"], {"more": 1}, embed], headers=headers), TAKES)
    envelopes.check(message(came={"exchange": QUEUE}), TAKES)
    from_rabbitmq = message()
    from_rabbitmq.properties.clear()
    from_rabbitmq.delivery_info = {"exchange": "celery_delayed", "routing_key": "0.1.invoke"}
    envelopes.check(from_rabbitmq, TAKES)
    envelopes.check(message(came={"exchange": "x", "routing_key": "a.b"}), TAKES)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (message(raw=b"{"), "cannot be read"),
        (message(raw=b"[" * 900), "cannot be read"),
        (message(content_type="application/x-yaml"), "ContentDisallowed"),
        (message([["p"], {}, {}, {}]), "body"),
        (message("abc"), "body"),
        (message([["p"], {}, {"chord": [1]}]), "chord"),
        (message([["p" * 1_000], {}, {}]), "at most 1,000"),
        (message([[], {}, EMBED]), "missing a required argument"),
        (message([["p", 1], {}, EMBED]), "too many positional"),
        (message([["p"], {"k" * 300: 1}, EMBED]), "255"),
        (message([["p"], {"x": 1}, EMBED]), "unexpected keyword"),
        (message(headers={"task": "sagemaker.of_tomorrow"}), "no task sagemaker.of_tomorrow"),
        (message(headers={"id": "x" * 256}), "id"),
        (message(headers={"id": "a\x00"}), "id"),
        (message(headers={"id": "\ud800"}), "id"),
        (message(headers={"id": None}), "id"),
        (message(headers={"eta": "tomorrow"}), "eta"),
        (message(headers={"timelimit": [float("nan"), None]}), "timelimit"),
        (message(headers={"retries": True}), "retries"),
        (message(came={"routing_key": "elsewhere"}), "another queue"),
        (message(came={"exchange": "elsewhere"}), "another queue"),
        (message(came={"exchange": None}), "exchange"),
    ],
)
def test_what_is_wrong_is_named(given: Message, why: str) -> None:
    """For whoever looks at the dead-letter list."""
    assert why in refused(given)


@pytest.mark.parametrize("levels", [101, 300])
def test_deep_messages_are_refused(levels: int) -> None:
    """Before anything walks through them by recursion."""
    nested = json.loads("[" * levels + "]" * levels)
    assert "deeper than 100" in refused(message([["p"], {"more": nested}, EMBED]))


@given(JSON, JSON, JSON)
@settings(max_examples=50)
def test_any_message_is_taken_or_refused(body: Any, header: Any, name: Any) -> None:
    """With an error of ours, which is short, and repeats nothing of the body."""
    marked = [body, "SECRET"]
    for made in (message(marked), message(headers={"id": header}), message([["p"], {}, body])):
        said = ""
        try:
            envelopes.check(made, TAKES)
        except MalformedMessage as error:
            said = error.message
        assert len(said) < 2_000
        assert "SECRET" not in said
    assert envelopes.id_of(name) is None or isinstance(name, dict)
    assert envelopes.name_of({"task": name}) in (name, None)


@given(JSON)
@example("")
@example("\ud800")
def test_what_is_somebody_elses_has_an_id_that_celery_takes(id_: Any) -> None:
    """A task that the worker lacks is reported once: Celery makes a key of its id for that."""
    backend: Any = Celery(backend="cache+memory://", set_as_current=False).backend
    if guard.is_theirs(message(headers={"task": "theirs", "id": id_})):
        assert backend.get_key_for_task(id_)
    else:
        assert "headers.id" in refused(message(headers={"task": "theirs", "id": id_}))


@given(JSON, st.integers(0, 6))
@settings(max_examples=50)
def test_depth_is_that_of_lists_and_objects(value: Any, levels: int) -> None:
    """Counted without recursion, as recursion counts it."""

    def depth(one: Any) -> int:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        below = max(map(depth, inner), default=0)
        return below + 1 if isinstance(one, dict | list) and inner else below

    assert envelopes.is_deeper(value, levels) is (depth(value) > levels)


@pytest.mark.parametrize("kind", sorted(inflating.METHODS))
def test_a_small_message_does_not_become_a_large_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kombu compressed is whole again; beyond the limit nothing is kept."""
    theirs: Any = compression
    monkeypatch.setattr(theirs, "_decoders", dict(theirs._decoders))
    inflating.bound()
    small, _ = compression.compress(b"x" * 10_000, kind)
    assert compression.decompress(small, kind) == b"x" * 10_000
    bomb, _ = compression.compress(bytes(32 * 1_048_576), kind)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="longer than 1,000"):
            inflating.inflate(inflating.METHODS[kind], bomb, 1_000)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1_048_576
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match="not whole"):
        compression.decompress(small[:-8], kind)
