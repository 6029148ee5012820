"""What the servers that run behind SageMaker's endpoints write is recognised."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery_sagemaker.runtime import tokens
from celery_sagemaker.runtime.tokens import Recognised, recognise, text_of
from hypothesis import given
from hypothesis import strategies as st

NOTHING = Recognised()


def said(value: Any) -> Recognised:
    """What a JSON value says, which is the same in all framings of JSON."""
    data = json.dumps(value).encode()
    found = recognise(tokens.JSON_LINES, data + b"\n")
    assert recognise(tokens.JSON, b" " + data) == found
    if isinstance(value, dict | list):
        assert recognise(tokens.SSE, b"data: " + data + b"\n\n") == found
    return found


def delta(index: int = 0, reason: str | None = None, **content: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    return {"choices": [{"index": index, "delta": content, "finish_reason": reason}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(delta(role="assistant", content=""), NOTHING, id="chat: role"),
        pytest.param(delta(content="Hi"), Recognised("Hi"), id="chat: text"),
        pytest.param(delta(content=None), NOTHING, id="chat: null"),
        pytest.param(delta(content="x", index=1), NOTHING, id="chat: another choice"),
        pytest.param(delta(reason="stop"), Recognised(terminal=True), id="chat: end"),
        pytest.param(
            delta(content="!", reason="length"), Recognised("!", terminal=True), id="chat: last"
        ),
        pytest.param({"choices": [], "usage": {"total_tokens": 3}}, NOTHING, id="chat: usage"),
        pytest.param(
            {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]},
            Recognised("Hi", terminal=True),
            id="chat: not streamed",
        ),
        pytest.param(
            {"choices": [{"text": " a", "finish_reason": None}]}, Recognised(" a"), id="completion"
        ),
        pytest.param(
            {"index": 1, "token": {"id": 5, "text": " a", "special": False}, "details": None},
            Recognised(" a"),
            id="TGI: token",
        ),
        pytest.param(
            {
                "token": {"id": 2, "text": "</s>", "special": True},
                "generated_text": "the whole",
                "details": {"finish_reason": "eos_token"},
            },
            Recognised(terminal=True),
            id="TGI: last, special, with the whole repeated",
        ),
        pytest.param(
            {"token": {"text": " a"}, "generated_text": None}, Recognised(" a"), id="TGI: null"
        ),
        pytest.param(
            [{"generated_text": "the whole"}],
            Recognised("the whole", terminal=True),
            id="TGI: not streamed",
        ),
        pytest.param({"token": {"text": "a", "log_prob": -1}}, Recognised("a"), id="LMI: token"),
        pytest.param(
            {
                "token": {"text": "."},
                "generated_text": "a.",
                "details": {"finish_reason": "length"},
            },
            Recognised(".", terminal=True),
            id="LMI: last",
        ),
        pytest.param(
            {"token": {"text": "."}, "finish_reason": "stop"},
            Recognised(".", terminal=True),
            id="LMI: finish reason beside the token",
        ),
        pytest.param(
            {"token": {"text": "</s>", "special_token": True}}, NOTHING, id="LMI: special"
        ),
        pytest.param({"outputs": ["This"]}, Recognised("This"), id="LMI: outputs"),
        pytest.param({"outputs": "This"}, Recognised("This"), id="LMI: one output"),
        pytest.param({"outputs": [[0.5]]}, NOTHING, id="no text"),
        pytest.param({"answer": "yes"}, NOTHING, id="unknown"),
        pytest.param({"choices": 3, "token": 3, "details": 3}, NOTHING, id="other types"),
        pytest.param({"choices": [3]}, NOTHING, id="other choices"),
        pytest.param([], NOTHING, id="empty list"),
        pytest.param([0.1, 0.9], NOTHING, id="numbers"),
        pytest.param("a string", Recognised("a string"), id="string"),
        pytest.param(None, NOTHING, id="null"),
    ],
)
def test_known_forms(value: Any, expected: Recognised) -> None:
    """Each form's text and end, in all framings of JSON."""
    assert said(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"error": "out of memory", "error_type": "generation"}, "out of memory"),
        ({"error": {"message": "too long", "code": 400}}, "too long"),
        ({"error": {"code": 400}}, '{"code": 400}'),
        ({"error": "bad", "code": 424, "message": "invoke handler failure"}, "bad"),
        ({"object": "error", "message": "gone", "code": 500}, "gone"),
        ({"token": {"id": -1, "text": "", "error_msg": "broken"}}, "broken"),
        ({"token": {"text": ""}, "details": {"finish_reason": "error"}}, "The finish reason is"),
        ({"finish_reason": "error", "message": "killed"}, "killed"),
        (delta(content="x", reason="error"), "The finish reason is"),
    ],
)
def test_errors_within_the_payload(value: Any, message: str) -> None:
    """An HTTP status of 200 was long sent: they are recognised, and are neither text nor end."""
    found = said(value)
    assert (found.text, found.terminal) == ("", False)
    assert found.error is not None
    assert found.error.startswith(message)


@pytest.mark.parametrize("value", [{"error": None}, {"error": ""}, {"error": False}])
def test_an_empty_error_is_none(value: Any) -> None:
    """Servers that always write the member."""
    assert said({**value, "token": {"text": "a"}}) == Recognised("a")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"data: plain words\n\n", Recognised("plain words")),
        (b"data:  two spaces\n\n", Recognised(" two spaces")),
        (b"data: a\ndata: b\n\n", Recognised("a\nb")),
        (b"data\n\n", NOTHING),
        (b"data: 42\n\n", Recognised("42")),
        (b"data: [INST] not JSON\n\n", Recognised("[INST] not JSON")),
        (b"data:[DONE]\n\n", Recognised(terminal=True)),
        (b": ping\n\n", NOTHING),
        (b"id: 1\nretry: 10\nother: x\n\n", NOTHING),
        ("\ufeffdata: bom\n\n".encode(), Recognised("bom")),
        ("data: a\u2028b\n\n".encode(), Recognised("a\u2028b")),
        (b"data: cr\r\rdata: lf\n\ndata: crlf\r\n\r\n", Recognised("crlfcrlf")),
        (b"data: last", Recognised("last")),
        (b"data: a\n\ndata: [DONE]\n\n", Recognised("a", terminal=True)),
        (b"event: error\ndata: out of memory\n\n", Recognised(error="out of memory")),
        (b'event: error\ndata: {"message": "gone"}\n\n', Recognised(error="gone")),
        (b'event: error\ndata: {"error": {"message": "gone"}}\n\n', Recognised(error="gone")),
        (b'event: token\ndata: {"token": {"text": "a"}}\n\n', Recognised("a")),
    ],
)
def test_event_streams(data: bytes, expected: Recognised) -> None:
    """Events are read as the specification says; data that is not JSON is text."""
    assert recognise(tokens.SSE, data) == expected


@pytest.mark.parametrize(
    ("framing", "data", "expected"),
    [
        (tokens.RAW, b"bytes", ""),
        ("a later framing", b"bytes", ""),
        (tokens.TEXT, "\u20ac".encode(), "\u20ac"),
        (tokens.TEXT, b"\xff", "\ufffd"),
        (tokens.LINES, b"a\r\n", "a\r\n"),
        (tokens.JSON_LINES, b"not JSON\n", ""),
        (tokens.JSON_LINES, b"\r\n", ""),
        (tokens.JSON_LINES, b"[" * 100_000, ""),
        (tokens.JSON, b"[" * 100_000, ""),
        (tokens.JSON, b'data: "a" rest "b"', "ab"),
        (tokens.JSON, b'"a" {"cut', "a"),
        (tokens.JSON, b"", ""),
    ],
)
def test_text_of_other_framings(framing: str, data: bytes, expected: str) -> None:
    """Text is its own text; what cannot be read has none, and nothing raises."""
    assert text_of(framing, data) == expected


VALUES = st.sampled_from([delta(content="é"), {"token": {"text": "b"}}, {"x": 1}, "s", [1], None])


@given(st.lists(VALUES, max_size=6), st.sampled_from([tokens.JSON_LINES, tokens.JSON, tokens.SSE]))
def test_several_records_are_read_as_each_is(values: list[Any], framing: str) -> None:
    """A frame that holds many records has the text of all."""
    form = b"data: %b\n\n" if framing == tokens.SSE else b"%b\n"
    found = [form % json.dumps(value).encode() for value in values]
    assert text_of(framing, b"".join(found)) == "".join(text_of(framing, data) for data in found)


def test_an_end_that_goes_on_is_none() -> None:
    """Within several records, too, text after an end means that it was not the last."""
    end, more = json.dumps(delta(reason="stop")), json.dumps(delta(content="more"))
    assert recognise(tokens.JSON_LINES, f"{end}\n".encode()).terminal
    assert not recognise(tokens.JSON_LINES, f"{end}\n{more}\n".encode()).terminal


def test_the_module_stands_alone() -> None:
    """It runs where nothing of this package, nor anything else, is installed."""
    path = Path(tokens.__file__).resolve()
    code = f"import runpy; print(runpy.run_path({str(path)!r})['text_of']('text', b'alone'))"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "alone\n"
