"""Who listens to which channel of one pub/sub connection; sans I/O."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self

#: Takes a message, or None: the channel was subscribed, now or again, and what was published
#: meanwhile is not known. redis-py reconnects silently; its second `subscribe` message is the only
#: sign that messages were lost.
Sink = Callable[[bytes | None], None]


class Changes(NamedTuple):
    """What the connection has to be told."""

    subscribe: list[str]
    unsubscribe: list[str]


class Register:
    """Sinks by channel, and what the connection in use has been told of them."""

    def __init__(self) -> None:
        self._sinks: dict[str, list[Sink]] = {}
        self._told: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def add(self, channel: str, sink: Sink) -> None:
        """Give a channel's messages to a sink, from its next subscription at the latest."""
        # Lists are replaced, not changed: the thread that dispatches walks over them.
        self._sinks[channel] = [*self._sinks.get(channel, ()), sink]

    def remove(self, channel: str, sink: Sink) -> None:
        """Give it nothing more."""
        left = [other for other in self._sinks.get(channel, ()) if other is not sink]
        if left:
            self._sinks[channel] = left
        else:
            self._sinks.pop(channel, None)

    def changes(self) -> Changes:
        """Return what is to be told now, and note it as told."""
        wanted = set(self._sinks)
        changes = Changes(sorted(wanted - self._told), sorted(self._told - wanted))
        self._told = wanted
        return changes

    @property
    def told(self) -> bool:
        """Whether the connection has any subscription."""
        return bool(self._told)

    def reset(self) -> None:
        """The connection is another one."""
        self._told = set()

    def dispatch(self, message: Mapping[str, Any]) -> None:
        """Hand on what redis-py's `get_message` returned."""
        kind, channel = message["type"], message["channel"].decode()
        if kind in ("message", "smessage"):
            self._hand(channel, message["data"])
        elif kind in ("subscribe", "ssubscribe"):
            self._hand(channel, None)
        elif kind == "sunsubscribe" and channel in self._told:
            # The slot moved to another node. Nobody asked for this.
            self._told.discard(channel)
            self._hand(channel, None)

    def _hand(self, channel: str, data: bytes | None) -> None:
        for sink in self._sinks.get(channel, ()):
            sink(data)


class Hub(Protocol):
    """Whoever owns a pub/sub connection."""

    def add(self, channel: str, sink: Sink) -> None:
        """Hand a channel's messages to a sink."""
        ...

    def remove(self, channel: str, sink: Sink) -> None:
        """Hand it nothing more."""
        ...

    def renew(self) -> None:
        """Make the connection anew."""
        ...


class Line:
    """A sink's hold on a channel.

    Args:
        hub: finds the hub that has a channel now.
        channel: its name.
        sink: called by the hub; must not block.
    """

    def __init__(self, hub: Callable[[str], Hub], channel: str, sink: Sink) -> None:
        self._find = hub
        self._channel = channel
        self._sink = sink
        self._hub = hub(channel)
        self._hub.add(channel, sink)

    def check(self) -> None:
        """Follow the channel if its slot has moved to another node of a cluster."""
        hub = self._find(self._channel)
        if hub is not self._hub:
            self.close()
            self._hub = hub
            hub.add(self._channel, self._sink)

    def renew(self) -> None:
        """The connection is silent although something was published: make another."""
        self._hub.renew()

    def close(self) -> None:
        """Hand on nothing more."""
        self._hub.remove(self._channel, self._sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
