"""Log lines: each is one event with its ids, known to the page, and visible in both formats."""

import ast
import json
import logging
import logging.config
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signals
from celery_sagemaker.config import Settings
from celery_sagemaker.workers import create_app, logs
from celery_sagemaker.workers.logs import JsonFormatter, TextFormatter

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "channels", "config", "tasks", "workers", "local")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
PAGE = ROOT / "docs/reference/logs.md"
EVENT = re.compile(r"[a-z]+(_[a-z]+)+")


def logged() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield each logger call of the source: where, its level, the call."""
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id.lower() in {"logger", "log", "logging"}
                and node.func.attr in LEVELS
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.func.attr, node


CALLS = list(logged())


def event_of(call: ast.Call, level: str) -> ast.expr:
    """Return what a call has as its event."""
    return call.args[1 if level == "log" else 0]


@pytest.mark.parametrize(("where", "level", "call"), CALLS, ids=[call[0] for call in CALLS])
def test_a_line_is_one_event_name(where: str, level: str, call: ast.Call) -> None:
    """No call interpolates: what belongs to the event is in its fields."""
    event = event_of(call, level)
    assert isinstance(event, ast.Constant), where
    assert EVENT.fullmatch(str(event.value)), where
    assert len(call.args) == (2 if level == "log" else 1), where
    assert {keyword.arg for keyword in call.keywords} <= {"extra", "exc_info"}, where


def rows() -> dict[str, str]:
    """Return the events of the page, with their levels."""
    found = re.findall(r"^\| `([a-z_]+)` \| ([A-Z, ]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(found) == len(dict(found)), "an event has two rows"
    return dict(found)


def test_the_page_has_every_event_and_no_other() -> None:
    """The reference is whole."""
    assert {ast.literal_eval(event_of(call, level)) for _, level, call in CALLS} == set(rows())


def test_the_page_has_the_levels() -> None:
    """An event's level, where the source says it outright, is the page's."""
    page = rows()
    for where, level, call in CALLS:
        if level != "log":
            name = ast.literal_eval(event_of(call, level))
            said = "ERROR" if level == "exception" else level.upper()
            assert said in page[name].split(", "), where


def record(name: str = "celery_sagemaker.tasks", **fields: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    made = logging.LogRecord(name, logging.INFO, "path", 1, "it_happened", (), None)
    vars(made).update(fields)
    return made


def test_text_shows_the_fields() -> None:
    """What `extra` holds follows the event, quoted where it has spaces."""
    line = TextFormatter().format(record(id="a", error="b c", seconds=1.5))
    assert line.endswith("it_happened id=a error='b c' seconds=1.5")


def test_text_has_the_traceback_after_the_fields() -> None:
    """The first line is the event's, whole."""
    made = record(id="a")
    made.exc_info = raised()
    lines = TextFormatter().format(made).splitlines()
    assert lines[0].endswith("it_happened id=a")
    assert lines[-1] == "ZeroDivisionError: no"


def test_json_is_one_object_a_line() -> None:
    """Time in RFC 3339 and UTC, level, logger, event, fields, and the traceback as one string."""
    made = record(id="a", odd={1, 2}, text="zwei\nZeilen")
    made.exc_info = raised()
    line = JsonFormatter().format(made)
    found = json.loads(line)
    assert "\n" not in line
    assert list(found)[:4] == ["time", "level", "logger", "event"]
    moment = datetime.fromisoformat(found["time"])
    assert moment.utcoffset() == timedelta(0)
    assert moment.timestamp() == pytest.approx(made.created, abs=1e-3)
    assert (found["level"], found["logger"]) == ("INFO", "celery_sagemaker.tasks")
    assert (found["event"], found["id"]) == ("it_happened", "a")
    assert found["text"] == "zwei\nZeilen"
    assert found["exc_info"].endswith("ZeroDivisionError: no")


def test_a_field_cannot_pass_for_the_event() -> None:
    """Somebody's field of that name does not replace ours."""
    found = json.loads(JsonFormatter().format(record(event="mine", level="mine")))
    assert (found["event"], found["level"]) == ("it_happened", "INFO")


def test_celerys_lines_have_no_payload() -> None:
    """Celery attaches arguments and results to its lines; of JSON's, id, name and runtime are."""
    data = {"id": "a1", "name": "shop.save", "args": "secret", "return_value": "secret"}
    made = record("celery.app.trace", data={**data, "runtime": 0.25})
    assert TextFormatter().format(made).endswith("] it_happened")
    line = JsonFormatter().format(made)
    found = json.loads(line)
    assert (found["task_id"], found["task_name"], found["seconds"]) == ("a1", "shop.save", 0.25)
    assert "secret" not in line


def test_a_line_within_a_task_names_it() -> None:
    """Also one of somebody's own code."""
    app = Celery("logs", set_as_current=False)
    lines = []

    @app.task(name="shop.work")
    def work() -> None:
        lines.append(json.loads(JsonFormatter().format(record("shop"))))

    result = work.apply(task_id="t1")
    assert result.successful()
    assert (lines[0]["task_id"], lines[0]["task_name"]) == ("t1", "shop.work")


@pytest.fixture
def handler() -> Iterator[logging.StreamHandler[Any]]:
    """A handler as Celery has set it up; the signals are let go afterwards."""
    yield logging.StreamHandler()
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.disconnect(dispatch_uid=logs._UID)


@pytest.mark.parametrize(("format_", "kind"), [("text", TextFormatter), ("json", JsonFormatter)])
def test_our_app_writes_what_the_setting_says(
    handler: logging.StreamHandler[Any], format_: str, kind: type[logging.Formatter]
) -> None:
    """The newest app of ours decides, for Celery's handlers of both kinds."""
    create_app(Settings(logging={"format": "json" if format_ == "text" else "text"}))
    create_app(Settings(logging={"format": format_}))
    logger = logging.getLogger(f"test.logs.{format_}")
    logger.addHandler(handler)
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        handler.setFormatter(None)
        signal.send(sender=None, logger=logger, loglevel=20, logfile=None, format="", colorize=None)
        assert type(handler.formatter) is kind


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_configuration_for_other_processes(format_: logs.Format) -> None:
    """What uvicorn or an app of somebody's own is given can be used."""
    made = logs.dict_config(format_)
    kept = logging.config.DictConfigurator(made)
    built = kept.configure_formatter(made["formatters"]["events"])
    assert type(built) is type(logs.formatter(format_))


def raised() -> Any:
    """Return the traceback of an error."""
    try:
        raise ZeroDivisionError("no")  # noqa: TRY301 - its traceback is what is wanted
    except ZeroDivisionError:
        return sys.exc_info()
