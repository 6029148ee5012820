"""Who listens to what on one pub/sub connection, and which hub has a channel."""

from typing import Any

from celery_sagemaker.channels.register import Line, Register, Sink


def message(kind: str, channel: str, data: bytes | int = 1) -> dict[str, Any]:
    """A message as redis-py's `get_message` returns it."""
    return {"type": kind, "channel": channel.encode(), "data": data}


def test_a_connection_is_told_each_channel_once() -> None:
    """However many listen; and again after it was made anew."""
    register, heard = Register(), list[bytes | None]()
    register.add("a", heard.append)
    other: Sink = heard.append
    register.add("a", other)
    assert register.changes() == (["a"], [])
    assert register.changes() == ([], [])
    register.remove("a", other)
    assert register.changes() == ([], [])
    register.reset()
    assert register.changes() == (["a"], [])


def test_a_channel_without_listeners_is_given_up() -> None:
    """And nothing of it is handed on any more."""
    register, heard = Register(), list[bytes | None]()
    sink: Sink = heard.append
    register.add("a", sink)
    register.changes()
    register.remove("a", sink)
    assert register.changes() == ([], ["a"])
    register.dispatch(message("message", "a", b"late"))
    assert (heard, bool(register), register.told) == ([], False, False)


def test_messages_and_subscriptions_are_handed_on() -> None:
    """A subscription as None: something may have been lost."""
    register, heard = Register(), list[bytes | None]()
    register.add("a", heard.append)
    register.changes()
    for kind, data in (("subscribe", 1), ("message", b"1"), ("ssubscribe", 1), ("smessage", b"2")):
        register.dispatch(message(kind, "a", data))
    assert heard == [None, b"1", None, b"2"]


def test_a_slot_that_moves_away_is_noticed() -> None:
    """The node takes the subscription away without being asked; it is asked for again."""
    register, heard = Register(), list[bytes | None]()
    register.add("a", heard.append)
    register.changes()
    register.dispatch(message("sunsubscribe", "a"))
    assert heard == [None]
    assert register.changes() == (["a"], [])


class Recorded(Register):
    """A hub without a connection."""

    def renew(self) -> None:
        """Nothing to make anew."""


def test_a_line_follows_its_channel_to_another_node() -> None:
    """When the cluster's slots have changed."""
    first, second = Recorded(), Recorded()
    place = [first]
    with Line(lambda _: place[0], "a", lambda _: None) as line:
        line.check()
        assert (bool(first), bool(second)) == (True, False)
        place[0] = second
        line.check()
        assert (bool(first), bool(second)) == (False, True)
    assert not second
