"""Submitting the records of a chunk to an asynchronous endpoint."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...runtime import payloads
from ...runtime.exceptions import AsyncError, InferenceError
from ...runtime.requests import InvokeEndpointAsyncRequest
from ...runtime.responses import InvokeEndpointAsyncResponse
from ...runtime.s3 import S3Location, S3Store
from .. import observation
from .awaited import Awaited, below
from .calls import AsyncTransport
from .records.packing import Invocation
from .runner import Runner
from .spec import Spec
from .work import Call

#: What SageMaker assumes where a request does not say: seconds in the queue, and in the model.
REQUEST_TTL = 21_600
INVOCATION_TIMEOUT = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """How a chunk's records are submitted."""

    spec: Spec
    job: str
    store: S3Store
    extension: str
    """`S3OutputPathExtension` of all of them."""
    first: int
    """Position in the job of the chunk's first record."""
    count: int
    ttl: int
    """RequestTTLSeconds."""
    timeout: int
    """InvocationTimeoutSeconds."""
    margin: float
    """Seconds granted beyond both."""
    first_look: float
    """Seconds from the last submission to the first look at S3."""

    async def request(self, invocation: Invocation) -> InvokeEndpointAsyncRequest:
        """Return the request of one record; a body that is too large for one goes to S3."""
        (record,) = invocation.records
        body, location = invocation.body, record.location
        if location is not None and body == record.data:
            body = b""
        elif len(body) > payloads.ASYNC_INLINE_LIMIT or not payloads.async_body_supported():
            place = S3Location.parse(self.spec.output) / f"payloads/{record.position}"
            await asyncio.to_thread(self.store.put, place, body, invocation.content_type)
            location = str(place)
        else:
            location = None
        return InvokeEndpointAsyncRequest(
            endpoint_name=self.spec.endpoint,
            body=None if location else body,
            input_location=location,
            content_type=invocation.content_type or None,
            inference_id=f"{self.job}-{record.position}",
            filename=str(record.position),
            s3_output_path_extension=self.extension,
            request_ttl_seconds=self.ttl,
            invocation_timeout_seconds=self.timeout,
            **self.spec.members,
        )


class Submitter(Runner):
    """A run that submits; what it has submitted is awaited, and holds no slot.

    Args:
        transport: the calls.
        submission: how.
        awaited: what earlier runs have submitted.
        given: the rest of what a `Runner` takes.
        named: the same.
    """

    def __init__(
        self,
        *given: Any,
        transport: AsyncTransport,
        submission: Submission,
        awaited: Awaited,
        **named: Any,
    ) -> None:
        super().__init__(*given, transport=transport, **named)
        self._calls = transport
        self._submission = submission
        self._awaited = awaited
        self._offsets = set(awaited.offsets)

    async def _perform(self, call: Call) -> None:
        if call.refused is not None:
            self._fail(call, call.refused)
            return
        try:
            request = await self._submission.request(call.invocation)
            with observation.Call(request):
                answer = await self._calls.invoke_async(request)
            self._await(call, answer)
        except InferenceError as error:
            self._failed(call, error)

    def _await(self, call: Call, answer: InvokeEndpointAsyncResponse) -> None:
        (record,) = call.invocation.records
        name = str(record.position)
        output = below(answer.output_location, name)
        if output is None:
            raise AsyncError(f"The output goes to {answer.output_location}, not where it was to.")
        self._answers.succeeded += 1
        made, now = self._submission, time.time()
        self._awaited = replace(
            self._awaited,
            output=output,
            failure=below(answer.failure_location, name) or self._awaited.failure,
            since=self._awaited.since or now,
            deadline=now + made.ttl + made.timeout + made.margin,
        )
        self._offsets.add(record.position - made.first)
        self._work.defer(call)

    def _left(self) -> Mapping[str, Any]:
        count = self._submission.count
        left = self._work.progress().with_left(self._offsets, count).to_json()
        awaited = self._awaited.having(self._offsets, count)
        return {**left, "awaited": awaited.to_json()} if awaited else left

    def _delay(self) -> float:
        return self._submission.first_look if self._work.spent else super()._delay()
