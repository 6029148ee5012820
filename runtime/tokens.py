"""What records of a payload say: their text, whether they end it, whether they are an error.

Pure functions of a framing's name and the bytes of whole records, one or several in a row. They
need the standard library alone, so that a reader at the other end of a channel, who gets nothing
but those two, can read records as their producer does. Known are the forms of

- OpenAI's chat completions and completions, as served by vLLM, SGLang, TGI and LMI,
- Text Generation Inference: `token`, `generated_text`, `details`,
- LMI (DJL Serving): TGI's form, and `outputs` of its batching without rolling.

Of several choices or prompts, the text is the first one's.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Names of framings, as they travel with a stream.
RAW = "raw"
TEXT = "text"
LINES = "lines"
JSON_LINES = "jsonlines"
JSON = "json"
SSE = "sse"

#: By which OpenAI's event streams end.
DONE = "[DONE]"

#: Ends of line in an event stream; no other character is one.
_SSE_LINE = re.compile("\r\n|\n|\r")
_BLANK = re.compile(r"[ \t\r\n]*")
#: What is no JSON value between two that are.
_BARE = re.compile(r'[^ \t\r\n{\["]+')

_json = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Recognised:
    """What records say.

    Attributes:
        text: what the model wrote; without special tokens, and without a repetition of the whole.
        terminal: whether they say that the answer is complete.
        error: the model's message, when it failed after its answer had begun.
    """

    text: str = ""
    terminal: bool = False
    error: str | None = None


_NOTHING = Recognised()


def text_of(framing: str, data: bytes) -> str:
    """Return the text of whole records.

    Bytes of framing `raw` have none; those of `text` and `lines` are it. JSON of a form that is
    not known has none either, because which of its members the model wrote is not known; a string
    is its own text. An event that is not JSON is its own text too.

    Args:
        framing: the framing's name; one that is not known here is treated as `raw`.
        data: one record, or several in a row.
    """
    return recognise(framing, data).text


def recognise(framing: str, data: bytes) -> Recognised:
    """Return what whole records say; see `text_of`."""
    if framing == RAW:
        return _NOTHING
    text = data.decode("utf-8", "replace")
    if framing in (TEXT, LINES):
        return Recognised(text)
    if framing == JSON_LINES:
        return _join(map(_line, text.split("\n")))
    if framing == JSON:
        return _join(map(_value, _values(text)))
    if framing == SSE:
        return _join(_event(name, content) for name, content in _events(text))
    return _NOTHING


def _join(parts: Iterable[Recognised]) -> Recognised:
    """Join what records say, one after the other; text after an end means that it was none."""
    text, terminal, error = [], False, None
    for part in parts:
        text.append(part.text)
        terminal = part.terminal or (terminal and not part.text)
        error = error or part.error
    return Recognised("".join(text), terminal, error)


def _line(text: str) -> Recognised:
    try:
        return _value(json.loads(text)) if text.strip() else _NOTHING
    except (ValueError, RecursionError):
        return _NOTHING


def _values(text: str) -> Iterator[Any]:
    """Read JSON values one after the other, with or without space between them."""
    at = _end(_BLANK, text, 0)
    while at < len(text):
        try:
            value, at = _json.raw_decode(text, at)
        except (ValueError, RecursionError):
            after = _end(_BARE, text, at)
            if after == at:
                return
            at = after
        else:
            yield value
        at = _end(_BLANK, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _events(text: str) -> Iterator[tuple[str, str]]:
    """Read the events of an event stream: name and data. The last one may lack its blank line."""
    name, content = "", list[str]()
    for line in [*_SSE_LINE.split(text.removeprefix("\ufeff")), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if content:
                yield name, "\n".join(content)
            name, content = "", []
        elif field == "data":
            content.append(value)
        elif field == "event":
            name = value


def _event(name: str, content: str) -> Recognised:
    if content.strip() == DONE:
        return Recognised(terminal=True)
    value: Any = content
    if content.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = content
    if name == "error":
        return Recognised(error=_error(value) or _message(value))
    return _value(value)


def _value(value: Any) -> Recognised:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return Recognised(value)
    if not isinstance(value, Mapping):
        return _NOTHING
    error = _error(value)
    if error:
        return Recognised(error=error)
    return Recognised(_text(value), _is_terminal(value))


def _text(value: Mapping[str, Any]) -> str:
    choices = _choices(value)
    if choices:
        return "".join(_choice_text(c) for c in choices if c.get("index", 0) == 0)
    token = value.get("token")
    if isinstance(token, Mapping):
        is_special = token.get("special") or token.get("special_token")
        return "" if is_special else _string(token.get("text"))
    outputs = value.get("outputs")
    if isinstance(outputs, list) and outputs:
        outputs = outputs[0]
    return _string(value.get("generated_text")) or _string(outputs)


def _choice_text(choice: Mapping[str, Any]) -> str:
    for name in ("delta", "message"):
        if isinstance(said := choice.get(name), Mapping):
            return _string(said.get("content"))
    return _string(choice.get("text"))


def _is_terminal(value: Mapping[str, Any]) -> bool:
    reasons = [value.get("finish_reason"), _details(value).get("finish_reason")]
    reasons += [choice.get("finish_reason") for choice in _choices(value)]
    return any(reasons) or isinstance(value.get("generated_text"), str)


def _error(value: Any) -> str | None:
    """Return the message of an error, in any of the forms that servers have for it."""
    if not isinstance(value, Mapping):
        return None
    if value.get("error"):
        return _message(value["error"])
    if value.get("object") == "error":
        return _message(value)
    token = value.get("token")
    if isinstance(token, Mapping) and token.get("error_msg"):
        return _message(token["error_msg"])
    ended = [value, _details(value), *_choices(value)]
    if any(part.get("finish_reason") == "error" for part in ended):
        return _string(value.get("message")) or "The finish reason is an error."
    return None


def _message(error: Any) -> str:
    if isinstance(error, Mapping) and isinstance(error.get("message"), str):
        error = error["message"]
    return error if isinstance(error, str) else json.dumps(error)


def _choices(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = value.get("choices")
    found = choices if isinstance(choices, list) else []
    return [choice for choice in found if isinstance(choice, Mapping)]


def _details(value: Mapping[str, Any]) -> Mapping[str, Any]:
    details = value.get("details")
    return details if isinstance(details, Mapping) else {}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
