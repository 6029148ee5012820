"""The Lua scripts of a package of ours, and what Redis answers."""

from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis

#: What precedes each script of a package that has it.
COMMON = ("common",)


def register(client: redis.Redis, package: str, common: Sequence[str] = COMMON) -> dict[str, Any]:
    """Register the `.lua` files of a package with a client.

    Args:
        client: of the state server.
        package: its full name.
        common: files, in this order, that precede each of the others; without their end.

    Returns:
        The scripts, by their file's name without its end.
    """
    sources = {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in resources.files(package).iterdir()
        if file.name.endswith(".lua")
    }
    before = "".join(sources.pop(name, "") for name in common)
    return {name: client.register_script(before + source) for name, source in sources.items()}


def text(value: Any) -> str:
    """Return an answer as text, whether or not the client decodes."""
    return value.decode() if isinstance(value, bytes) else str(value)
