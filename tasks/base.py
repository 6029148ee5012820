"""The base of every `sagemaker.*` task: nothing accepted is lost, nothing is done twice.

Publishing (`publishing`) writes the ledger's row first. A delivered message takes the row or does
nothing. What a run was answered is written to the row before Celery hears of it, so that a run that
dies afterwards is delivered again without another call. Only when Celery has stored the result and
sent on callbacks, chain and chord does the row reach its final state.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast

from celery.exceptions import Ignore
from celery.signals import task_postrun
from kombu.utils.json import dumps

from ..config import retries
from ..runtime import exceptions
from ..runtime.exceptions import InferenceError
from . import messages, observation
from .attempts import Attempts, HandBack, PolicyFor, Told
from .deployment import wait_for_room
from .exceptions import MalformedMessage, PoisonMessage
from .ledger import Run, State
from .limits import Admission, resource
from .publishing import PublishingTask

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Where a run is kept with the request of its task.
_RUN = "sagemaker_run"

#: Longest `Filename` of an asynchronous inference, and of an id that can be one as it is.
FILENAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}")


def inference_id(task_id: str) -> str:
    """Return the id's form as `InferenceId` and `Filename`: at most 32 characters, no dot.

    Celery's own ids lose their dashes; any other id that does not fit gets a name made from it.
    """
    try:
        return uuid.UUID(task_id).hex
    except ValueError:
        fits = FILENAME.fullmatch(task_id)
        return task_id if fits else uuid.uuid5(uuid.NAMESPACE_OID, task_id).hex


#: States in which errors end a request; any other fails it.
ENDS = {
    exceptions.AsyncDeadlinePassed: State.EXPIRED,
    exceptions.StreamCancelled: State.REVOKED,
}


#: Fields of a row that hold a payload, or an answer: nothing for the dead-letter list.
_CONTENT = frozenset({"signature", "collecting", "outcome"})


def _described(run: Run) -> dict[str, str]:
    return {name: value for name, value in run.row.items() if name not in _CONTENT}


class HandedBack(Ignore):
    """The request goes on in `seconds`, in another run; this one has nothing more to do."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(seconds, why)
        self.seconds = seconds
        self.why = why


class Submitted(Ignore):
    """An asynchronous endpoint has the request; its answer is another run's."""


class LedgerTask(PublishingTask):
    """A task whose requests are in the ledger from `apply_async` to their final state."""

    abstract = True
    acks_late = True
    acks_on_failure_or_timeout = True
    reject_on_worker_lost = True
    track_started = False
    typing = False
    #: An error of the inference is an outcome: Celery's log needs no traceback of it.
    throws = (InferenceError,)
    Request = f"{__package__}.showing:LedgerRequest"
    #: What a model answered is for neither Celery's log nor its events.
    resultrepr_maxsize = 1
    accepts_delivered: ClassVar[bool] = True
    """Whether a message without a row opens one, as `app.send_task` by name needs."""

    @property
    def ledger_run(self) -> Run | None:
        """This run's hold on its row; None where a task is called directly or eagerly."""
        return cast("Run | None", getattr(self.request, _RUN, None))

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Take the request's row for this run, or drop a message that has nothing to do."""
        if self.request.is_eager or self.request.called_directly:
            return
        parts = self.deployment
        parts.work()
        wait_for_room(self.backend)
        name = self.name
        parts.lease.hold(task_id)
        run = parts.ledger.begin(task_id, name, parts.owner)
        if run == "ABSENT" and self.accepts_delivered:
            self._accept_delivered(task_id, args, kwargs)
            run = parts.ledger.begin(task_id, name, parts.owner)
        if not isinstance(run, Run):
            logger.info("message_dropped", extra={"id": task_id, "task": name, "why": run})
            raise Ignore
        setattr(self.request, _RUN, run)
        observation.begun(run, name)

    def _accept_delivered(self, task_id: str, args: Any, kwargs: Any) -> None:
        signature = self.signature_from_request(args=args, kwargs=kwargs)
        info = self.request.delivery_info or {}
        self.deployment.ledger.accept(
            task_id,
            task=self.name,
            signature=dumps(signature),
            lane=f"{info.get('routing_key', '')}/{info.get('priority') or 0}",
            endpoint=messages.endpoint_of(kwargs),
        )

    def delivered(self, args: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the message of a delivery; one sent by name is composed here."""
        if messages.travels(kwargs):
            return kwargs
        return self.compose(args, kwargs, self.request.id or uuid.uuid4().hex)

    def settle(self, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return this request's outcome, made by `function` unless an earlier run has it.

        Raises:
            Ignore: it was handed back, revoked, or taken over.
            InferenceError: its outcome is a failure.
        """
        run = self.ledger_run
        if run is None:
            return function()
        outcome = run.outcome
        if outcome is None:
            outcome = self._outcome(run, function)
            if not self.deployment.ledger.note(run, outcome=dumps(outcome)):
                raise Ignore
        if "error" in outcome:
            raise exceptions.from_json(outcome["error"])
        return cast("dict[str, Any]", outcome["value"])

    def _outcome(self, run: Run, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            if run.poison:
                raise PoisonMessage(f"{run.deaths} runs of it died.", {"id": run.id})
            return {"value": function()}
        except InferenceError as error:
            if isinstance(error, PoisonMessage | MalformedMessage):
                self.deployment.ledger.bury(
                    {"id": run.id, "task": self.name, **error.to_json(), "row": _described(run)}
                )
            return {"error": error.to_json()}

    def attempt(
        self,
        function: Callable[[], T],
        endpoint: str,
        component: str | None = None,
        policy_for: PolicyFor | None = None,
    ) -> T:
        """Call `function` under the endpoint's retry policies and the fleet's limits.

        Args:
            function: makes the call.
            endpoint: that is called.
            component: the inference component that is called.
            policy_for: gives an error its policy; by default as the settings and the caller say.

        Raises:
            HandedBack: a wait is too long to hold a slot, or the call is not admitted now.
            InferenceError: the last error.
        """
        run = self.ledger_run
        settings = self.deployment.settings
        ledger, size = self.deployment.ledger, settings.budget.size
        attempts = Attempts(
            policy_for or self._policy_for(endpoint),
            (lambda _: True) if run is None else (lambda c: ledger.spend(endpoint, c, size)),
            hold_limit=float("inf") if run is None else settings.hold_limit,
            counted={} if run is None else run.attempts,
            owed=0 if run is None else run.owed,
            told=self._teller(endpoint, settings.hold_limit),
        )
        try:
            answer = attempts.call(lambda: self._limited(function, resource(endpoint, component)))
        except HandBack as later:
            raise self._handed_back(run, endpoint, later, attempts) from later
        finally:
            if run is not None and attempts.counted != run.attempts:
                ledger.note(run, attempts=dumps(attempts.counted))
        if run is not None and attempts.counted:
            ledger.spend(endpoint, -settings.budget.refund, size)
        return answer

    def _teller(self, endpoint: str, hold_limit: float) -> Told:
        id_ = self.request.id

        def told(code: str, calls: int, wait: float) -> None:
            held = wait if wait <= hold_limit else None
            observation.retried(endpoint, code, id_=id_, calls=calls, wait=held)

        return told

    def _policy_for(self, endpoint: str) -> PolicyFor:
        settings, repeatable = self.deployment.settings, self.repeatable
        return lambda error: retries.policy_for(error, settings, endpoint, repeatable=repeatable)

    def _limited(self, function: Callable[[], T], name: str) -> T:
        limits = self.deployment.limits
        return limits.call(name, function, refused=self._refused, waiter=self.request.id)

    def _refused(self, refusal: Admission) -> None:
        if self.ledger_run is not None:
            raise HandBack(refusal.wait, str(refusal.reason))
        time.sleep(refusal.wait)  # called directly or eagerly: no worker slot is held

    def _handed_back(
        self, run: Run | None, endpoint: str, later: HandBack, attempts: Attempts
    ) -> HandedBack:
        if run is None:
            raise AssertionError("Without a row every wait is held.")
        counted, owed = dumps(attempts.counted), attempts.owed or ""
        self.deployment.ledger.park(run, later.seconds, attempts=counted, owed=owed, intent="")
        observation.handed_back(run.id, endpoint, later.why, later.seconds)
        return HandedBack(later.seconds, later.why)

    @property
    def repeatable(self) -> bool:
        """Whether the caller said that a call that may have run may be made again."""
        message = (self.request.kwargs or {}).get("message")
        return bool(message.get("repeatable")) if isinstance(message, Mapping) else False

    def on_success(self, *_: Any) -> None:
        """Celery has stored the result and sent on what follows: the row is final."""
        self._finish(State.SUCCEEDED, None)

    def on_failure(self, exc: Any, *_: Any) -> None:
        """Celery has stored the failure and called the errbacks: the row is final."""
        if isinstance(exc, InferenceError):
            reason = exc.to_json()
        else:
            reason = {"code": type(exc).__name__, "message": str(exc), "members": {}}
        found = (state for kind, state in ENDS.items() if isinstance(exc, kind))
        self._finish(next(found, State.FAILED), reason)

    def _finish(self, state: State, reason: Mapping[str, Any] | None) -> None:
        run = self.ledger_run
        if run is None or not self.deployment.ledger.finish(run, state, reason):
            return
        task, code = observation.task_of(self.name), None if reason is None else reason["code"]
        seconds = max(0.0, time.time() - float(run.row["accepted_at"]))
        observation.ended(run.id, task, state, code, seconds)


@task_postrun.connect
def _let_go(task_id: str, task: Any, **_: Any) -> None:
    """Whatever became of the run: this process does not have it any more."""
    if isinstance(task, LedgerTask):
        task.deployment.lease.let_go(task_id)
