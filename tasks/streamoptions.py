"""How one stream is to be produced: what a caller may say beside the request."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from ..config.sections import StreamSettings
from ..runtime import framing
from ..runtime.exceptions import InvalidRequest

if TYPE_CHECKING:
    from ..runtime.deadlines import StreamDeadlines


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The options of a stream; None: as the settings say."""

    restart_after_output: bool = False
    """Whether the model may be run again after its readers were given a part."""
    framing: str | None = None
    """How records are cut, where the response's content type says something else."""
    first_part_timeout: float | None = None
    """Seconds from the call to the first part."""
    idle_timeout: float | None = None
    """Seconds between two parts."""
    total_timeout: float | None = None
    """Seconds from the call to the end."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the keywords by which a caller gives them."""
        return [option.name for option in fields(cls)]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read what a caller gave.

        Raises:
            InvalidRequest: a value cannot be right, or there is no such option.
        """
        unknown = sorted(set(given) - set(cls.names()))
        if unknown:
            raise InvalidRequest(f"A stream has no option {', '.join(unknown)}.")
        made = cls(**given)
        for name in ("first_part_timeout", "idle_timeout", "total_timeout"):
            _must_be_seconds(name, getattr(made, name))
        if not isinstance(made.restart_after_output, bool):
            raise InvalidRequest("restart_after_output is true or false.")
        if made.framing is not None:
            framing.framing_for(None, made.framing)
        return made

    def deadlines(self, settings: StreamSettings) -> "StreamDeadlines":
        """Return how long the stream may take."""
        from ..runtime.deadlines import StreamDeadlines  # noqa: PLC0415 - for workers

        return StreamDeadlines(
            first_part=self.first_part_timeout or settings.first_part_timeout,
            idle=self.idle_timeout or settings.idle_timeout,
            total=self.total_timeout or settings.total_timeout,
        )


def _must_be_seconds(name: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < float("inf")):  # type: ignore[operator]
        raise InvalidRequest(f"{name} is a number of seconds over 0, not {value!r}.")
