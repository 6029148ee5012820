"""What readers use when they are given nothing: the deployment says it once per process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .events import TextOf, text_of
from .options import ChannelOptions


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where the channels of a deployment are, and how to read them."""

    url: str
    """Of the Redis."""
    options: ChannelOptions = field(default_factory=ChannelOptions)
    to_text: TextOf = text_of


class Unset(LookupError):
    """No Redis was given, and this process was not told of one.

    `celery_sagemaker.tasks` tells: importing it is enough.
    """

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()))


_provider: Callable[[], Defaults] | None = None


def configure(provider: Callable[[], Defaults]) -> None:
    """Let `provider` say, when it is asked, what this process' readers use."""
    global _provider  # noqa: PLW0603 - one per process is what it is
    _provider = provider


def current() -> Defaults:
    """Return this process' defaults.

    Raises:
        Unset: there are none.
    """
    if _provider is None:
        raise Unset
    return _provider()


def choose(
    redis: object, options: ChannelOptions | None, to_text: TextOf | None
) -> tuple[Any, ChannelOptions, TextOf]:
    """Return what was given, and the deployment's where nothing was.

    With a Redis of the caller's, options and texts are the library's own unless they are given.

    Raises:
        Unset: no Redis was given, and there are no defaults.
    """
    if redis is not None:
        return redis, options or ChannelOptions(), to_text or text_of
    found = current()
    return found.url, options or found.options, to_text or found.to_text
