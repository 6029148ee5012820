"""Asynchronous inferences: taken now, answered on S3 later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from .async_store import AsyncStore, Locations
from .behaviours import Behaviour
from .calling import ASYNC_CALLS, Call, Caller
from .faults import Fate
from .refusals import Refusal, injected

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inference:
    """One that was taken.

    Attributes:
        call: the call of the container; its body is empty if there is an input location.
        source: the input location.
        expires: RequestTTLSeconds.
    """

    call: Call
    source: str | None
    locations: Locations
    behaviour: Behaviour
    fate: Fate
    expires: float


class Inferences:
    """Those under way, each an asyncio task: 10,000 that wait cost 10,000 timers and no thread."""

    def __init__(
        self,
        store: AsyncStore,
        caller: Caller | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._caller = caller or Caller(ASYNC_CALLS)
        self._sleep = sleep
        self._under_way: set[asyncio.Task[None]] = set()

    def take(self, inference: Inference) -> None:
        """Begin one."""
        task = asyncio.create_task(self._run(inference))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def join(self) -> None:
        """Return when all that were taken have ended."""
        await asyncio.gather(*self._under_way)

    async def _run(self, inference: Inference) -> None:
        try:
            await self._sleep(min(inference.fate.delay, inference.expires))
            await self._end(inference)
        except Exception:
            # Nobody waits for this task: an S3 that cannot be reached is told in the log.
            extra = {"location": inference.locations.output}
            logger.exception("inference_unanswered", extra=extra)

    async def _end(self, inference: Inference) -> None:
        fate, behaviour = inference.fate, inference.behaviour
        if fate.missing:
            return
        if fate.delay > inference.expires:
            if behaviour.expired == "failure":
                await self._fail(inference, "The request expired in the queue.")
            return
        if fate.failure:
            await self._fail(inference, "Injected by the emulator.")
            return
        body = await self._input(inference)
        if body is not None:
            await self._answer(inference, body)

    async def _input(self, inference: Inference) -> bytes | None:
        if inference.source is None:
            return inference.call.body
        try:
            return await self._store.read(inference.source)
        except Exception as error:  # noqa: BLE001 - whatever S3 says goes into the failure object
            await self._fail(inference, f"Cannot download {inference.source}: {error}")
            return None

    async def _answer(self, inference: Inference, body: bytes) -> None:
        try:
            if inference.fate.error:
                raise injected(inference.fate.error, inference.call.endpoint)
            answer, content = await self._caller.whole(replace(inference.call, body=body))
        except Refusal as refused:
            await self._fail(inference, refused.message)
        else:
            await self._store.write(inference.locations.output, content, answer.content_type)

    async def _fail(self, inference: Inference, reason: str) -> None:
        if inference.behaviour.failure_path:
            await self._store.fail(inference.locations, reason)
