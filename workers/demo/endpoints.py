"""The demo's endpoints: how the emulator behaves, faults on purpose included."""

import json
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

#: Seconds for the emulator to answer an admin request.
ADMIN_SECONDS = 10.0

#: Behaviour of the endpoints; `{target}` is the model container's URL. The rates are small, but
#: 1,797 requests meet every one of them.
BEHAVIOURS = """
[endpoints.digits]
kind = "realtime"
target = "{target}"
seed = 1

[endpoints.digits.errors]
ServiceUnavailable = 0.01
ThrottlingException = 0.01
"ModelError:503" = 0.005

[endpoints.digits-async]
kind = "async"
target = "{target}"
seed = 2
delay = {{ fixed = 1.5 }}

[endpoints.digits-async.errors]
ServiceUnavailable = 0.01
ThrottlingException = 0.01

[endpoints.digits-chat]
kind = "realtime"
target = "{target}"
"""


def write_behaviours(folder: Path, target: str) -> Path:
    """Write the emulator's TOML for a container at `target`; the file's path."""
    path = folder / "endpoints.toml"
    path.write_text(BEHAVIOURS.format(target=target))
    return path


def calls(endpoint_url: str) -> dict[str, Counter[str]]:
    """The calls that the endpoints received, by endpoint and HTTP status."""
    found: dict[str, Counter[str]] = {}
    for call in _admin(endpoint_url, "calls"):
        found.setdefault(call["endpoint"], Counter())[str(call["status"])] += 1
    return found


def _admin(endpoint_url: str, what: str) -> Any:
    url = f"{endpoint_url}/_admin/{what}"
    with urllib.request.urlopen(url, timeout=ADMIN_SECONDS) as answer:  # noqa: S310 - our emulator
        return json.load(answer)
