"""A web process of somebody's own app (`shop`): follows a stream from every place it has.

Prints one JSON list for each: what was read after the cursor, by an event loop in the main thread,
by one in another thread, and without a loop.
"""

import asyncio
import json
import sys
import threading

import shop  # noqa: F401 - as a web process imports its app
from celery_sagemaker.channels import End, Event, Part, asubscribe, subscribe


def shown(event: Event) -> str:
    """What a page would show of an event."""
    if isinstance(event, Part):
        return event.text or ""
    return event.finish if isinstance(event, End) else repr(event)


async def follow(id_: str, last_event_id: str) -> list[str]:
    """Follow a stream as a web framework's handler does."""
    return [shown(event) async for event in asubscribe(id_, cursor=last_event_id)]


def main(id_: str, last_event_id: str) -> None:
    """Follow the stream three times."""
    found = [asyncio.run(follow(id_, last_event_id))]
    ways = (
        lambda: asyncio.run(follow(id_, last_event_id)),
        lambda: [shown(event) for event in subscribe(id_, cursor=last_event_id)],
    )
    for way in ways:
        thread = threading.Thread(target=lambda way=way: found.append(way()))
        thread.start()
        thread.join()
    print(json.dumps(found))  # noqa: T201 - what it is for


main(*sys.argv[1:])
