"""`sagemaker.poll`: one look at the outputs that are awaited under one S3 prefix.

The clock sends it; nothing waits in it. It is not in the ledger: a look that is lost is followed
by the next one.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import celery
from celery import Celery, shared_task

from ..runtime.exceptions import InferenceError, S3AccessDenied
from ..runtime.s3 import S3Location
from . import collect_many, observation, outputs
from .collect import collect
from .collect_many import TOGETHER
from .deployment import Deployment, deployment
from .exceptions import MalformedMessage
from .ledger import Pending

logger = logging.getLogger(__name__)

#: Objects that S3 lists on one page.
PAGE = 1_000

#: Pages that a location's listing last had; this process' guess at the next one's price.
_pages: dict[str, int] = {}

#: Locations that S3 does not let this process list: said once, looked at object by object.
_hidden: set[str] = set()


@shared_task(bind=True, name="sagemaker.poll", ignore_result=True, acks_late=True)
def poll(self: "celery.Task[Any, Any]", prefix: str) -> None:
    """Look once for the awaited outputs under `prefix`, an S3 location that ends in a slash."""
    if not isinstance(prefix, str):
        raise MalformedMessage("A look is at an S3 location.")
    app = self.app
    parts = deployment(app)
    try:
        look(app, parts, prefix)
    finally:
        parts.count_requests()


def look(app: Celery, parts: Deployment, prefix: str) -> None:
    """Hand over what has appeared, and what has waited too long."""
    pending = list(parts.ledger.pending(prefix))
    now = parts.ledger.now()
    looked, present = True, {}
    try:
        present = find(parts, pending)
    except InferenceError as error:
        # Deadlines hold all the same; the collecting task looks for itself.
        logger.warning("outputs_not_looked_at", extra={"prefix": prefix, "error": str(error)})
        looked = False
    answers = [(p, _kind(p, present, now)) for p in pending]
    _hand_over(app, parts, [(p, kind) for p, kind in answers if kind], now)
    missing = [awaited for awaited, kind in answers if looked and not kind]
    for awaited in missing:
        if awaited.unanswered_until and awaited.unanswered_until < now:
            _reopen(parts, awaited)
    _learn(parts, pending, present)
    parts.ledger.look_again(prefix, now + _interval(parts, pending))


def _reopen(parts: Deployment, awaited: Pending) -> None:
    if parts.ledger.reopen(awaited.id):
        extra = {"id": awaited.id, "endpoint": awaited.endpoint}
        logger.warning("unanswered_call_repeated", extra=extra)


def find(parts: Deployment, pending: list[Pending]) -> dict[str, float]:
    """Return the locations that are there, each with the Unix time of its appearance."""
    locations = outputs.keys_of(pending)
    polling = parts.settings.polling
    prices = outputs.Prices(polling.list_price, polling.head_price)
    present: dict[str, float] = {}
    by_parent: dict[str, set[str]] = defaultdict(set)
    for location in locations:
        by_parent[outputs.parent(location)].add(location)
    for parent, wanted in by_parent.items():
        pages = _pages.get(parent, math.ceil(len(wanted) / PAGE))
        if parent not in _hidden and outputs.listing_is_cheaper(len(wanted), pages, prices):
            present |= _list(parts, parent, wanted)
        else:
            present |= _head(parts, parent, wanted)
    return present


def _list(parts: Deployment, parent: str, wanted: set[str]) -> dict[str, float]:
    present, seen = {}, 0
    try:
        for found in parts.outputs.list(S3Location.parse(parent)):
            seen += 1
            if str(found.location) in wanted:
                present[str(found.location)] = found.last_modified.timestamp()
    except S3AccessDenied as error:
        _say_hidden(parent, error)
        return _head(parts, parent, wanted)
    _pages[parent] = max(1, math.ceil(seen / PAGE))
    return present


def _head(parts: Deployment, parent: str, wanted: Iterable[str]) -> dict[str, float]:
    present = {}
    for location in wanted:
        try:
            found = parts.outputs.head(S3Location.parse(location))
        except S3AccessDenied as error:
            # What is there can be read; what is not there yet looks forbidden.
            _say_hidden(parent, error)
            continue
        if found is not None:
            present[location] = found.last_modified.timestamp()
    return present


def _say_hidden(parent: str, error: S3AccessDenied) -> None:
    if parent not in _hidden:
        _hidden.add(parent)
        logger.error("outputs_hidden", extra={"location": parent, "error": str(error)})


def _kind(awaited: Pending, present: Iterable[str], now: float) -> str | None:
    kind = outputs.answered(awaited, present)
    return kind or ("deadline" if awaited.deadline < now else None)


def _hand_over(
    app: Celery, parts: Deployment, answers: list[tuple[Pending, str]], now: float
) -> None:
    """Send what collects the answers; of outputs, some together."""
    if not answers:
        return
    outputs_ = [(p, kind) for p, kind in answers if kind == "output"]
    others = [(p, kind) for p, kind in answers if kind != "output"]
    pages = [outputs_[at : at + TOGETHER] for at in range(0, len(outputs_), TOGETHER)]
    with app.producer_pool.acquire(block=True) as producer:
        for page in [*pages, *([other] for other in others)]:
            kinds = {awaited.id: kind for awaited, kind in page}
            found = parts.ledger.ready_many(kinds, task=collect.name)
            for awaited, kind in page:
                if awaited.id in found:
                    waited = now - awaited.submitted_at
                    observation.answered(awaited.id, awaited.endpoint, kind, waited)
            collect_many.send(app, found, producer)


def _learn(parts: Deployment, pending: list[Pending], present: dict[str, float]) -> None:
    took: dict[str, list[float]] = defaultdict(list)
    for awaited in pending:
        if awaited.output_location in present and not awaited.unanswered_until:
            appeared = present[awaited.output_location]
            took[awaited.endpoint].append(max(0.0, appeared - awaited.submitted_at))
    for endpoint, seconds in took.items():
        usual = outputs.average(parts.ledger.duration(endpoint), seconds)
        parts.ledger.learn(endpoint, seconds=usual)


def _interval(parts: Deployment, pending: list[Pending]) -> float:
    polling = parts.settings.polling
    usual = [parts.ledger.duration(name) for name in {p.endpoint for p in pending}]
    known = [seconds for seconds in usual if seconds is not None]
    shortest = min(known) if known else None
    return outputs.next_look(shortest, polling.min_interval, polling.max_interval)
