"""Readers in threads, producers in processes, and a Redis that goes away."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from typing import Any

from celery_sagemaker.channels import ChannelOptions, Event, Part, asubscribe, subscribe
from celery_sagemaker.local import redis_server
from celery_sagemaker.local.processes import Child

#: Seconds after which a test gives up on a reader.
PATIENCE = 30.0

#: Takes an event; false: leave.
Take = Callable[[Event], bool]


def follow_in_thread(take: Take, stream: str, url: str, **more: Any) -> None:
    """Follow a stream with `subscribe`."""
    with closing(subscribe(stream, url, **more)) as events:
        for event in events:
            if not take(event):
                return


def follow_in_loop(take: Take, stream: str, url: str, **more: Any) -> None:
    """Follow a stream with `asubscribe`, in an event loop of its own."""

    async def follow() -> None:
        async with aclosing(asubscribe(stream, url, **more)) as events:
            async for event in events:
                if not take(event):
                    return

    asyncio.run(follow())


FOLLOWERS = {"subscribe": follow_in_thread, "asubscribe": follow_in_loop}


class Following:
    """A reader at work, in a thread.

    Args:
        follow: one of `FOLLOWERS`.
        stream: what to follow.
        url: of Redis.
        leave_after: events after which it leaves; None: it stays to the end.
        more: for the follower.
    """

    def __init__(
        self,
        follow: Callable[..., None],
        stream: str,
        url: str,
        *,
        leave_after: int | None = None,
        **more: Any,
    ) -> None:
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._leave_after = leave_after
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(follow, stream, url), kwargs=more)
        self._thread.start()

    @property
    def data(self) -> list[bytes]:
        """The records so far."""
        return [event.data for event in self.events if isinstance(event, Part)]

    def wait(self) -> "Following":
        """Return when the reader has ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"still reading after {self.events[-1:]}"
        return self

    def wait_for(self, parts: int) -> None:
        """Return when there are so many records."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.data) >= parts, PATIENCE)

    def _run(self, follow: Callable[..., None], stream: str, url: str, **more: Any) -> None:
        try:
            follow(self._take, stream, url, **more)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def _take(self, event: Event) -> bool:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()
        return self._leave_after is None or len(self.events) < self._leave_after


PRODUCER = """
import sys, time
from celery_sagemaker.channels import ChannelOptions, Publisher
stream, url, prefix, heartbeat, count = sys.argv[1:]
options = ChannelOptions(prefix=prefix, heartbeat=float(heartbeat), coalesce_seconds=0)
publisher = Publisher.open(stream, url, options=options)
for n in range(int(count)):
    publisher.append(b"%d" % n)
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def producer(stream: str, url: str, options: ChannelOptions, count: int) -> Iterator[None]:
    """A process that publishes some records, falls silent, and is killed at the end."""
    arguments = [stream, url, options.prefix, str(options.heartbeat), str(count)]
    process = subprocess.Popen(
        [sys.executable, "-c", PRODUCER, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def own_redis(folder: Path) -> Iterator["OwnRedis"]:
    """A Redis that a test may stop and start."""
    server = OwnRedis(folder)
    try:
        yield server
    finally:
        server.stop()


class OwnRedis:
    """A Redis with an append-only file, on one port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: Child = redis_server.start(folder)
        self._child.wait_until_up()
        self.port = self._child.port
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        """Stop it as a machine that is shut down does."""
        self._child.stop()

    def kill(self) -> None:
        """Kill it, with SIGKILL."""
        self._child._process.kill()
        self._child.stop()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._child._process.send_signal(number)

    def start(self) -> None:
        """Start it again, with what it had."""
        self._child = redis_server.start(self._folder, port=self.port)
        self._child.wait_until_up()
