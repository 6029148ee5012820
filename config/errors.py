"""What is wrong with a configuration, key by key."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pydantic import ValidationError

#: A check of several keys names the one at fault itself.
CROSSING = re.compile(r"(?P<key>[a-z_]+): (?P<text>.*)", re.DOTALL)
UNKNOWN = "extra_forbidden"


class SettingsError(ValueError):
    """The configuration cannot be used.

    Attributes:
        problems: what is wrong, by dotted key (``ledger.lease``).
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("\n".join(f"{key}: {text}" for key, text in self.problems.items()))

    def __reduce__(self) -> tuple[type["SettingsError"], tuple[dict[str, str]]]:
        return type(self), (self.problems,)


def suggestion(word: str, known: Iterable[str], kind: str = "key") -> str:
    """Say that a word is unknown, and which known one it looks like.

    Args:
        word: the word that was written.
        known: the words that would have been understood.
        kind: what the word is.
    """
    names = {name.lower(): name for name in sorted(known)}
    close = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"unknown {kind}" + (f", did you mean {names[close[0]]}?" if close else "")


def problems(error: ValidationError, known: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """One line per wrong key; the values stay out of it, since they may be secrets.

    Args:
        error: what pydantic found.
        known: the keys of each section, by the section's name ("" is the top level).
    """
    found: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = [str(part) for part in item["loc"] if part != "[key]"]
        if item["type"] == UNKNOWN:
            text = suggestion(path[-1], known.get(_section(path), ()))
        else:
            text = item["msg"].removeprefix("Value error, ")
            if named := CROSSING.fullmatch(text):
                path, text = [*path, named["key"]], named["text"]
        found.setdefault(".".join(path), text)
    return found


def in_words(problems: Mapping[str, str]) -> str:
    """Return in one line what is wrong."""
    return "; ".join(f"{key}: {why}" if key else why for key, why in problems.items())


def _section(path: list[str]) -> str:
    """Name the section a key is in; names chosen by the user are left out of it."""
    if path[0] == "endpoints" and len(path) > 3:  # noqa: PLR2004 - endpoints.<name>.<section>.<key>
        return path[2]
    return path[0] if len(path) > 1 else ""
