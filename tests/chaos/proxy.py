"""Connections that can be cut, silenced, slowed down, or answered by somebody else."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from celery_sagemaker.local.processes import HOST

#: Bytes taken from a connection at once.
BLOCK = 65_536

#: Seconds between two looks whether a silent connection may go on.
LOOK = 0.02


class Link:
    """A port that leads to another one.

    Args:
        target: the port that it leads to.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.silent = False
        """Whether nothing passes; what was sent meanwhile passes afterwards."""
        self.delay = 0.0
        """Seconds that everything takes longer, in each direction."""
        self.answer: bytes | None = None
        """What is said instead of what the target would; then the connection ends."""
        self._writers: set[asyncio.StreamWriter] = set()

    def heal(self) -> None:
        """Let everything pass."""
        self.silent, self.delay, self.answer = False, 0.0, None

    async def listen(self) -> asyncio.Server:
        """Take connections from now on."""
        server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def cut(self) -> None:
        """End all connections, with a reset."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            await self._passable()
            far, onward = await asyncio.open_connection(HOST, self.target)
        except OSError:
            back.transport.abort()
            return
        self._writers |= {back, onward}
        try:
            await asyncio.gather(self._pass(near, onward, back), self._pass(far, back, None))
        except asyncio.CancelledError:
            # The proxy stops. asyncio's server would ask this task for its error, and log that.
            return
        finally:
            self._writers -= {back, onward}

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        back: asyncio.StreamWriter | None,
    ) -> None:
        try:
            while block := await source.read(BLOCK):
                await self._passable()
                if self.answer is not None and back is not None:
                    back.write(self.answer)
                    back.close()
                    break
                sink.write(block)
                await sink.drain()
        except OSError:
            sink.transport.abort()
        finally:
            with suppress(OSError, RuntimeError):
                sink.close()

    async def _passable(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        while self.silent:  # noqa: ASYNC110 - another thread says so
            await asyncio.sleep(LOOK)


class Proxy:
    """All links, on an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()

    def link(self, target: int) -> Link:
        """Return a new link to a port."""
        made = Link(target)
        self._servers.append(self._call(made.listen()).result())
        return made

    def cut(self, link: Link) -> None:
        """End all connections of a link."""
        self._call(link.cut()).result()

    def stop(self) -> None:
        """End everything."""
        self._call(self._stop()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


@contextmanager
def proxying() -> Iterator[Proxy]:
    """A proxy that is stopped at the end."""
    proxy = Proxy()
    try:
        yield proxy
    finally:
        proxy.stop()
