"""`sagemaker.invoke_async`: InvokeEndpointAsync, holding no worker slot while the model works.

The task submits and ends; its place in chains, groups and chords is kept in the ledger. `poll`
finds the output, and `collect` ends the request under the same id.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore
from kombu.utils.json import dumps

from ..runtime.exceptions import InferenceError
from ..runtime.requests import InvokeEndpointAsyncRequest
from ..runtime.responses import InvokeEndpointAsyncResponse
from ..runtime.s3 import S3Location
from . import messages, observation, outputs, staging
from .base import LedgerTask, Submitted, inference_id
from .collect import collect, fetch, store_again
from .ledger import Pending, Run
from .messages import Message
from .staging import Upload

logger = logging.getLogger(__name__)

#: What SageMaker assumes where a request does not say: seconds in the queue, seconds in the model.
REQUEST_TTL = 21_600
INVOCATION_TIMEOUT = 900


class InvokeAsyncTask(LedgerTask):
    """Asynchronous invocation; see `invoke_async`."""

    abstract = True

    def draft(
        self, args: Any, kwargs: Mapping[str, Any], task_id: str
    ) -> tuple[Message[InvokeEndpointAsyncRequest], Upload | None]:
        """Validate what the caller wrote; returns its message, and what has to be uploaded."""
        settings = self.deployment.settings

        def defaults(endpoint: str) -> dict[str, Any]:
            given = settings.endpoint(endpoint)
            chosen = {
                "content_type": given.content_type,
                "accept": given.accept,
                "request_ttl_seconds": given.request_ttl_seconds,
                "invocation_timeout_seconds": given.invocation_timeout_seconds,
                "inference_id": inference_id(task_id),
                "filename": inference_id(task_id),
                "s3_output_path_extension": outputs.extension(settings.prefix, time.time()),
            }
            return {name: value for name, value in chosen.items() if value is not None}

        message = messages.compose(InvokeEndpointAsyncRequest, args, kwargs, defaults=defaults)
        message, upload = staging.route_async(message, settings, task_id)
        message.request.validate()
        return message, upload

    def submit(self, message: Message[InvokeEndpointAsyncRequest]) -> dict[str, Any]:
        """Submit a request and end the run, or wait for the output where there is no ledger.

        Raises:
            Ignore: the request is submitted; the ledger waits for its output.
            InferenceError: the endpoint refused it.
        """
        request, run = message.request, self.ledger_run
        if run is None:
            return self._wait(request, self._call(request))
        if "output_location" in run.row:
            raise self._defer(run, request, _noted(run))
        if "intent" in run.row and self._await_unanswered(run, request):
            raise Submitted
        if not self.deployment.ledger.note(run, intent=1):
            raise Ignore
        raise self._defer(run, request, self._answer(run, request))

    def _answer(self, run: Run, request: InvokeEndpointAsyncRequest) -> InvokeEndpointAsyncResponse:
        ledger = self.deployment.ledger
        try:
            answer = self.attempt(lambda: self._call(request), request.endpoint_name)
        except InferenceError as error:
            if error.may_have_run and self._await_unanswered(run, request):
                raise Submitted from error
            raise
        failure = answer.failure_location or ""
        located = {"output_location": answer.output_location, "failure_location": failure}
        if not ledger.note(run, **located):
            raise Ignore
        return answer

    def _call(self, request: InvokeEndpointAsyncRequest) -> InvokeEndpointAsyncResponse:
        with observation.Call(request):
            return self.deployment.transport.invoke_async(request)

    def _defer(
        self, run: Run, request: InvokeEndpointAsyncRequest, answer: InvokeEndpointAsyncResponse
    ) -> Ignore:
        seconds = self._deadline(request)
        # First: once the row is SUBMITTED, the final state may be stored at any time.
        self.update_state(
            state="SUBMITTED",
            meta={
                "output_location": answer.output_location,
                "failure_location": answer.failure_location,
                "deadline": time.time() + seconds,
            },
        )
        self._learn_root(request, answer.output_location)
        # Only an unanswered call may have to be made again: this one's payload is done with.
        if not self._submitted(run, request, answer.output_location, signature="{}"):
            # Taken over meanwhile. If the other run has ended, SUBMITTED may stand over its result.
            store_again(self.deployment, self.backend, run.id)
        return Submitted()

    def _submitted(
        self, run: Run, request: InvokeEndpointAsyncRequest, location: str, **fields: object
    ) -> bool:
        ledger, polling = self.deployment.ledger, self.deployment.settings.polling
        name, deadline = request.endpoint_name, self._deadline(request)
        usual = self.deployment.lately.get(name, lambda: ledger.duration(name))
        submitted = ledger.submit(
            run,
            prefix=outputs.parent(location),
            first_look=outputs.next_look(usual, polling.min_interval, polling.max_interval),
            deadline=deadline,
            output_location=location,
            inference_id=request.inference_id or inference_id(run.id),
            collecting=self._collecting(),
            **fields,
        )
        if submitted:
            observation.submitted(run.id, name, deadline)
        return submitted

    def _collecting(self) -> str:
        signature = self.signature_from_request(args=(), kwargs={})
        signature["task"] = collect.name
        # The endpoint has the request: its answer is collected however late it comes.
        signature["options"].pop("expires", None)
        options = {name: value for name, value in signature["options"].items() if value is not None}
        return dumps({**signature, "options": options})

    def _await_unanswered(self, run: Run, request: InvokeEndpointAsyncRequest) -> bool:
        """Look for the output of a call whose answer is unknown, before calling again."""
        location = self._expected(request)
        if location is None:
            logger.warning("unanswered_call_repeated", extra={"id": run.id})
            return False
        until = self.deployment.ledger.now() + self.deployment.settings.polling.unanswered_grace
        self._submitted(run, request, location, unanswered_until=until)
        return True

    def _expected(self, request: InvokeEndpointAsyncRequest) -> str | None:
        name = request.endpoint_name
        configured = self.deployment.settings.endpoint(name).output_path
        root = configured or self.deployment.ledger.output_root(name)
        if root is None or not request.filename or not request.s3_output_path_extension:
            return None
        extension = request.s3_output_path_extension.strip("/")
        return f"{str(root).rstrip('/')}/{extension}/{request.filename}"

    def _learn_root(self, request: InvokeEndpointAsyncRequest, location: str) -> None:
        extension, filename = request.s3_output_path_extension, request.filename
        if extension and filename:
            name, root = request.endpoint_name, outputs.root_of(location, extension, filename)
            parts = self.deployment
            parts.lately.get((name, root), lambda: parts.ledger.learn(name, root=root))

    def _deadline(self, request: InvokeEndpointAsyncRequest) -> float:
        ttl = request.request_ttl_seconds or REQUEST_TTL
        timeout = request.invocation_timeout_seconds or INVOCATION_TIMEOUT
        return float(ttl + timeout + self.deployment.settings.polling.deadline_margin)

    def _wait(
        self, request: InvokeEndpointAsyncRequest, answer: InvokeEndpointAsyncResponse
    ) -> dict[str, Any]:
        """Wait in this process: called directly or eagerly, a task has no clock."""
        store, polling = self.deployment.outputs, self.deployment.settings.polling
        now = time.time()
        awaited = Pending(
            id=self.request.id or "",
            endpoint=request.endpoint_name,
            output_location=answer.output_location,
            failure_location=answer.failure_location,
            submitted_at=now,
            deadline=now + self._deadline(request),
            unanswered_until=None,
            inference_id=answer.inference_id or request.inference_id or "",
        )
        while time.time() < awaited.deadline:
            for location in sorted(outputs.keys_of([awaited])):
                if store.head(S3Location.parse(location)) is not None:
                    kind = outputs.answered(awaited, [location]) or "output"
                    return fetch(self.deployment, awaited, kind)
            time.sleep(polling.min_interval)
        return fetch(self.deployment, awaited, "deadline")


@shared_task(bind=True, base=InvokeAsyncTask, name="sagemaker.invoke_async")
def invoke_async(self: InvokeAsyncTask, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Invoke an asynchronous endpoint; no worker slot is held while the model works.

    Called as `invoke` is: `invoke_async.delay("endpoint", payload)`, or with
    `input_location="s3://..."` instead of a payload. In a canvas: `invoke_async.s(endpoint="b")`.
    A payload of up to 128,000 bytes travels inline where botocore can, a larger one over the
    staging prefix. The result's state is SUBMITTED while the endpoint has the request.

    Returns:
        The JSON form of an `AsyncInferenceOutput`, with the body if it has at most
        `result_inline_limit` bytes.

    Raises:
        AsyncInferenceFailed: the model failed; the failure object's content is a member.
        AsyncDeadlinePassed: neither output nor failure came.
        InferenceError: see `celery_sagemaker.runtime.exceptions`.
    """

    def submit() -> dict[str, Any]:
        message = Message.from_kwargs(self.delivered(args, kwargs), InvokeEndpointAsyncRequest)
        return self.submit(message)

    return self.settle(submit)


def _noted(run: Run) -> InvokeEndpointAsyncResponse:
    return InvokeEndpointAsyncResponse(
        inference_id=inference_id(run.id),
        output_location=run.row["output_location"],
        failure_location=run.row.get("failure_location"),
    )
