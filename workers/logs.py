"""Log lines as text or as JSON, with the fields beside the event that Celery's own format hides.

For an app of ours the setting `logging.format` chooses. Somebody else's app names a formatter of
this module in its own logging configuration; see docs/reference/logs.md.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from celery import current_task, signals
from celery.utils.log import ColorFormatter
from pythonjsonlogger import json
from pythonjsonlogger.core import RESERVED_ATTRS, merge_record_extra

from .quiet import Masking

Format = Literal["text", "json"]

#: What Celery attaches to its own lines of a task, and what it is called as JSON. The rest of it
#: are arguments and results.
OF_CELERY = {"id": "task_id", "name": "task_name", "runtime": "seconds"}

#: What is on a record beside the fields that somebody added.
NOT_FIELDS = frozenset({*RESERVED_ATTRS, "data", "taskName"})

#: The beginning of a line, as Celery has it.
TEXT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"

_UID = "sagemaker-logs"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record's own fields, with the task that it was written in."""
    task: Any = current_task
    found: dict[str, Any] = {}
    if task and task.request.id and not _of_celery(record):
        found.update(task_id=task.request.id, task_name=task.name)
    return merge_record_extra(record, found, reserved=NOT_FIELDS)


def _of_celery(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return the task that one of Celery's own lines is about; its text names it as well."""
    data = getattr(record, "data", None)
    if not record.name.startswith("celery.") or not isinstance(data, Mapping):
        return {}
    return {name: data[key] for key, name in OF_CELERY.items() if key in data}


class TextFormatter(ColorFormatter):
    """A line as Celery writes it, with the fields after it as `name=value`."""

    def __init__(
        self, fmt: str | None = None, datefmt: str | None = None, *, use_color: bool = False
    ) -> None:
        super().__init__(fmt or TEXT, use_color)
        self.datefmt = datefmt

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line without its traceback."""
        fields = (f"{name}={_shown(value)}" for name, value in fields_of(record).items())
        return " ".join((super().formatMessage(record), *fields))


class JsonFormatter(json.JsonFormatter):
    """One JSON object a line: time, level, logger, event, and the record's fields.

    The time is RFC 3339 in UTC. A traceback is the string `exc_info`. What JSON cannot hold is
    written as text.
    """

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Put together what is written."""
        log_data.update(
            time=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            level=record.levelname,
            logger=record.name,
            event=record.message,
        )
        fields = {**_of_celery(record), **fields_of(record), **message_dict}
        for name, value in fields.items():
            log_data.setdefault(name, value)


def formatter(format_: Format, *, use_color: bool = False) -> logging.Formatter:
    """Return the formatter of a format."""
    return JsonFormatter() if format_ == "json" else TextFormatter(use_color=use_color)


def dict_config(format_: Format, level: str = "INFO") -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig`, or uvicorn's `log_config`.

    Args:
        format_: of the lines, which go to standard error.
        level: the least one that is written.
    """
    made = JsonFormatter if format_ == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"events": {"()": f"{made.__module__}.{made.__name__}"}},
        "filters": {"masking": {"()": f"{Masking.__module__}.{Masking.__name__}"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "events",
                "filters": ["masking"],
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }


def connect(format_: Format) -> None:
    """Let Celery's worker and beat of this process write lines in a format."""

    def configured(logger: logging.Logger, *, colorize: bool | None = None, **_: Any) -> None:
        for handler in logger.handlers:
            handler.setFormatter(formatter(format_, use_color=bool(colorize)))

    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        # The newest app of ours decides.
        signal.disconnect(dispatch_uid=_UID)
        signal.connect(configured, weak=False, dispatch_uid=_UID)


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or " " in text or "\n" in text else text
