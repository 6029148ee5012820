"""What a reader has heard and not taken yet: bounded, and shed without loss."""

import asyncio
import threading
from collections import deque


class Messages:
    """Live messages in order. What is too much is dropped: the log has it.

    Args:
        limit: messages kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[bytes | None] = deque()

    def push(self, message: bytes | None) -> None:
        """Keep a message; a full inbox is emptied, and says so by None: look into the log."""
        if len(self._waiting) >= self._limit:
            self._waiting.clear()
            message = None
        self._waiting.append(message)

    def take(self) -> list[bytes | None]:
        """Return what is there."""
        messages = list(self._waiting)
        self._waiting.clear()
        return messages


class Inbox:
    """Messages between a hub's thread and a reader's.

    Args:
        limit: messages kept.
    """

    def __init__(self, limit: int) -> None:
        self._messages = Messages(limit)
        self._filled = threading.Condition()
        self._any = False

    def put(self, message: bytes | None) -> None:
        """Keep a message."""
        with self._filled:
            self._messages.push(message)
            self._any = True
            self._filled.notify()

    def get(self, timeout: float) -> list[bytes | None]:
        """Wait for messages; empty: none came within `timeout` seconds."""
        with self._filled:
            self._filled.wait_for(lambda: self._any, timeout)
            self._any = False
            return self._messages.take()


class AsyncInbox:
    """Messages between tasks of one event loop.

    Args:
        limit: messages kept.
    """

    def __init__(self, limit: int) -> None:
        self._messages = Messages(limit)
        self._filled = asyncio.Event()

    def put(self, message: bytes | None) -> None:
        """Keep a message."""
        self._messages.push(message)
        self._filled.set()

    async def get(self, timeout: float) -> list[bytes | None]:  # noqa: ASYNC109 - as the other's
        """Wait for messages; empty: none came within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._filled.wait()
        except TimeoutError:
            return []
        self._filled.clear()
        return self._messages.take()
