"""A relayed stream and its readers: `readers.py KIND`.

KIND is `direct` (a loop over boto3, without readers), `ours`, or one of `relays.py`. Readers are
tasks of one event loop, as in a web server. Each part has the time at which the endpoint wrote it;
a part's latency is the time until a reader has it.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import boto3
import line
import redis.asyncio as aredis
from relays import END, parts

KIND = sys.argv[1]

#: Seconds that a reader waits for a part.
WAIT = 60.0

#: Entries that one XREAD gives.
PAGE = 100


class Stamps:
    """Latencies of the parts that one reader got."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def take(self, data: bytes) -> None:
        """Note when each part in the bytes came."""
        now = time.time()
        self.seconds += [now - float(text.split(b"..", 1)[0]) for text in data.splitlines() if text]


async def from_pubsub(client: aredis.Redis, channel: str, ready: Any) -> AsyncIterator[bytes]:
    """Yield what is published."""
    async with client.pubsub() as heard:
        await heard.subscribe(channel)
        async for message in heard.listen():
            if message["type"] == "subscribe":
                await ready()
            elif message["data"] == END:
                return
            else:
                yield message["data"]


async def from_stream(client: aredis.Redis, name: str, ready: Any) -> AsyncIterator[bytes]:
    """Yield what is added."""
    last: Any = "0"
    await ready()
    while True:
        found: Any = await client.xread({name: last}, count=PAGE, block=int(WAIT * 1000))
        for id_, fields in found[0][1]:
            last = id_
            if fields[b"d"] == END:
                return
            yield fields[b"d"]


async def from_ours(id_: str, ready: Any) -> AsyncIterator[bytes]:
    """Yield the parts of a channel."""
    from celery_sagemaker.channels import Part, asubscribe  # noqa: PLC0415 - only for ours

    await ready()
    async with aclosing(asubscribe(id_)) as events:
        async for event in events:
            if isinstance(event, Part):
                yield event.data + b"\n"


class Readers:
    """So many readers of one stream, and whoever starts it once they are there."""

    def __init__(self, count: int, begin: Callable[[str], None]) -> None:
        self.id = uuid.uuid4().hex
        self._missing = count
        self._begin = begin
        self._client = aredis.Redis.from_url(
            os.environ["BENCH_REDIS"] + "/7", max_connections=2 * count + 10
        )

    async def _ready(self) -> None:
        self._missing -= 1
        if not self._missing:
            await asyncio.sleep(0.05)  # the last one's subscription has to be on its way
            self._begin(self.id)

    def _source(self, number: int) -> AsyncIterator[bytes]:
        if KIND == "ours":
            return from_ours(self.id, self._ready)
        if KIND == "xadd":
            return from_stream(self._client, self.id, self._ready)
        if KIND == "publish":
            return from_pubsub(self._client, self.id, self._ready)

        async def ask() -> None:
            await self._ready()
            while not await self._client.exists(f"{self.id}:there"):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.005)
            await self._client.publish(f"{self.id}:ask", str(number))

        return from_pubsub(self._client, f"{self.id}:{number}", ask)

    async def read(self, count: int) -> list[float]:
        """Return the latencies of all parts at all readers; none may be missing."""

        async def one(number: int) -> list[float]:
            stamps = Stamps()
            async for data in self._source(number):
                stamps.take(data)
            if len(stamps.seconds) != count:
                raise RuntimeError(f"{len(stamps.seconds)} of {count} parts")
            return stamps.seconds

        found = await asyncio.gather(*map(one, range(self._missing)))
        await self._client.aclose()
        return [seconds for reader in found for seconds in reader]


def summed(seconds: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


def direct(count: int, apart: int, readers: int) -> dict[str, float]:  # noqa: ARG001 - there are none
    """Read the response, and nothing else."""
    stamps = Stamps()
    for part in parts(sagemaker, f"stream-{count}-{apart}"):
        stamps.take(part)
    return summed(stamps.seconds)


def turn(count: int, apart: int, readers: int) -> dict[str, float]:
    """Relay one stream to its readers."""
    endpoint = f"stream-{count}-{apart}"
    began = time.perf_counter()

    def begin(id_: str) -> None:
        nonlocal began
        began = time.perf_counter()
        start(id_, endpoint, readers)

    found = runner.run(Readers(readers, begin).read(count))
    return {"seconds": time.perf_counter() - began, **summed(found)}


with ExitStack() as stack:
    runner = stack.enter_context(asyncio.Runner())
    if KIND == "direct":
        sagemaker = boto3.client("sagemaker-runtime")
        line.serve(direct)
    elif KIND == "ours":
        from celery_sagemaker.tasks.stream import stream
        from ours import COMMAND, app

        def start(id_: str, endpoint: str, readers: int) -> None:  # noqa: ARG001 - as the others
            """Send the task."""
            stream.apply_async((endpoint, {}), task_id=id_)

        stack.enter_context(line.worker(*COMMAND))
        line.until(lambda: bool(app.control.ping(limit=1)), "the worker's start")
        line.serve(turn)
    else:
        command = [sys.executable, str(Path(__file__).with_name("relays.py")), KIND]
        relay = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, text=True))
        assert relay.stdin is not None
        relay_in = relay.stdin

        def start(id_: str, endpoint: str, readers: int) -> None:
            """Tell the relay."""
            relay_in.write(json.dumps({"id": id_, "endpoint": endpoint, "readers": readers}) + "\n")
            relay_in.flush()

        line.serve(turn)
