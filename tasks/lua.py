"""The Lua scripts of a package of ours, and what Redis answers."""

from importlib import resources
from typing import Any

import redis

#: What precedes each script of a package that has it.
COMMON = "common.lua"


def register(client: redis.Redis, package: str) -> dict[str, Any]:
    """Register the `.lua` files of a package with a client.

    Args:
        client: of the state server.
        package: its full name.

    Returns:
        The scripts, by their file's name without its end.
    """
    sources = {
        file.name: file.read_text("utf-8")
        for file in resources.files(package).iterdir()
        if file.name.endswith(".lua")
    }
    common = sources.pop(COMMON, "")
    return {
        name.removesuffix(".lua"): client.register_script(common + source)
        for name, source in sources.items()
    }


def text(value: Any) -> str:
    """Return an answer as text, whether or not the client decodes."""
    return value.decode() if isinstance(value, bytes) else str(value)
