"""The few names that a schedule's payloads and locations may have in braces."""

from collections.abc import Mapping
from datetime import datetime
from string import Formatter
from typing import Any

#: What may stand in braces.
NAMES = ("date", "time", "due", "run")


def check(value: Any) -> None:
    """Refuse what `fill` could not fill.

    Args:
        value: a text, or a table or list with texts in it.

    Raises:
        ValueError: something else stands in braces.
    """
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            check(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            check(inner)


def _check_text(text: str) -> None:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}: {{{{ and }}}} stand for braces") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in NAMES or form or conversion):
            known = ", ".join(f"{{{name}}}" for name in NAMES)
            raise ValueError(f"{{{name}}} is not one of {known}; {{{{ and }}}} stand for braces")


def values(due: datetime, run: str) -> dict[str, str]:
    """Return what stands for the names.

    Args:
        due: when the run was due, in the schedule's time zone.
        run: the run's id.
    """
    return {
        "date": due.strftime("%Y-%m-%d"),
        "time": due.strftime("%H%M%S"),
        "due": due.isoformat(timespec="seconds"),
        "run": run,
    }


def fill(value: Any, names: Mapping[str, str]) -> Any:
    """Put the names' values into every text of a value; keys stay as they are."""
    if isinstance(value, str):
        return value.format_map(names)
    if isinstance(value, Mapping):
        return {key: fill(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill(inner, names) for inner in value]
    return value
