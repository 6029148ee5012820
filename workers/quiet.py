"""Keeps secrets and payloads out of a worker's log, whatever its level."""

import logging
from typing import Any

from celery import signals

from ..runtime.secrets import masked

#: Loggers whose debug lines hold payloads, credentials and signatures. Who has given one a level
#: keeps it.
TALKATIVE = ("aiohttp", "boto3", "botocore", "celery.pool", "s3transfer", "urllib3")

_FORMAT = logging.Formatter()


class Masking(logging.Filter):
    """Masks what libraries quote in messages, and in the errors behind an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a record; every record passes."""
        text = record.getMessage()
        shown = masked(text)
        if shown != text:
            record.msg, record.args = shown, ()
        for name, value in vars(record).items():
            if isinstance(value, str) and name not in {"msg", "exc_text"}:
                # What was given as `extra`; a formatter may show it.
                setattr(record, name, masked(value))
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = masked(record.exc_text or _FORMAT.formatException(record.exc_info))
        elif record.exc_text:
            record.exc_text = masked(record.exc_text)
        return True


MASKING = Masking()


def connect() -> None:
    """Listen to Celery's set-up of its logging; to be called once or more in a worker."""
    signals.after_setup_logger.connect(_set_up, dispatch_uid="sagemaker-quiet")
    signals.after_setup_task_logger.connect(_set_up, dispatch_uid="sagemaker-quiet-tasks")


def _set_up(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.addFilter(MASKING)
    for name in TALKATIVE:
        talkative = logging.getLogger(name)
        if talkative.getEffectiveLevel() < logging.INFO and talkative.level == logging.NOTSET:
            talkative.setLevel(logging.INFO)
