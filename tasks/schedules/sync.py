"""The schedules of the settings file, put into Redis when beat starts."""

import logging

from celery import Celery

from ..deployment import deployment
from ..exceptions import InvalidSchedule
from . import api
from .reading import to_text

logger = logging.getLogger(__name__)


def synchronise(app: Celery) -> None:
    """Add, change and remove schedules until those of the file are as the file has them.

    Those that were added by `schedules.add` stay, and so does a pause. One that cannot be right is
    left as it was, with an error in the log: the others have to run.

    Raises:
        redis.RedisError: Redis is away.
    """
    parts = deployment(app)
    wanted = parts.settings.schedules
    for name, settings in wanted.items():
        try:
            known = parts.schedules.record(name)
            if known is None or known.settings != to_text(settings):
                api.check_endpoint(parts, settings.endpoint)
            verdict = api.put(app, name, settings, source="file", change=True)
        except InvalidSchedule as error:
            extra = {"schedule": name, "error": str(error)}
            logger.error("schedule_refused", extra=extra)  # noqa: TRY400 - no traceback
            continue
        if verdict != "SAME":
            logger.info("schedule_written", extra={"schedule": name, "how": verdict.lower()})
    for name in parts.schedules.names():
        record = parts.schedules.record(name)
        if record is not None and record.source == "file" and name not in wanted:
            api.remove(name, app)
            logger.info("schedule_removed", extra={"schedule": name})
