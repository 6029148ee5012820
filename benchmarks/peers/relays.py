"""What a user would write to relay a response stream: `relays.py KIND`; jobs on standard input.

`publish` and `xadd` send each part as it comes. `resumable` does what Vercel's resumable-stream
does: the producer keeps the parts, readers make themselves known on a channel, and each part is
published to each reader's own channel.
"""

import json
import os
import sys
from typing import Any

import boto3
import redis

#: Marks the end, for every kind.
END = b"\x00"


def parts(runtime: Any, endpoint: str) -> Any:
    """Yield the bytes of the response's parts."""
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body=b"{}")
    for event in answer["Body"]:
        yield event["PayloadPart"]["Bytes"]


def publish(client: redis.Redis, id_: str, found: Any, _: int) -> None:
    """PUBLISH each part."""
    for part in found:
        client.publish(id_, part)
    client.publish(id_, END)


def xadd(client: redis.Redis, id_: str, found: Any, _: int) -> None:
    """XADD each part."""
    for part in found:
        client.xadd(id_, {"d": part})
    client.xadd(id_, {"d": END})
    client.expire(id_, 600)


def resumable(client: redis.Redis, id_: str, found: Any, expected: int) -> None:
    """Publish each part to each reader that has asked; late ones get the parts so far.

    Here the model is called when all readers that are expected have asked.
    """
    kept, readers = list[bytes](), list[bytes]()
    with client.pubsub(ignore_subscribe_messages=True) as asking:
        asking.subscribe(f"{id_}:ask")

        def admit() -> None:
            while (message := asking.get_message()) is not None:
                readers.append(message["data"])
                client.publish(f"{id_}:{message['data'].decode()}", b"".join(kept))

        asking.get_message(timeout=1.0)
        client.set(f"{id_}:there", 1, ex=600)
        while len(readers) < expected:
            admit()
        for part in found:
            admit()
            kept.append(part)
            for reader in readers:
                client.publish(f"{id_}:{reader.decode()}", part)
        admit()
        for reader in readers:
            client.publish(f"{id_}:{reader.decode()}", END)


if __name__ == "__main__":
    relay = {"publish": publish, "xadd": xadd, "resumable": resumable}[sys.argv[1]]
    server = redis.Redis.from_url(os.environ["BENCH_REDIS"] + "/7")
    sagemaker = boto3.client("sagemaker-runtime")
    for job in sys.stdin:
        asked = json.loads(job)
        relay(server, asked["id"], parts(sagemaker, asked["endpoint"]), asked["readers"])
