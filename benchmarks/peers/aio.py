"""aiobotocore, with so many calls in flight: `aio.py CALLS`."""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import line
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

CALLS = int(sys.argv[1])


async def calls(client: Any, endpoint: str, records: Iterator[Any], done: list[Any]) -> None:
    """Call with one record after the other."""
    for record in records:
        answer = await client.invoke_endpoint(
            EndpointName=endpoint,
            Body=json.dumps(record["body"]).encode(),
            ContentType="application/json",
        )
        done.append((record["custom_id"], await answer["Body"].read()))


with asyncio.Runner() as runner:
    entered: Any = get_session().create_client(
        "sagemaker-runtime", config=AioConfig(max_pool_connections=CALLS)
    )
    connected = runner.run(entered.__aenter__())

    async def one(count: int, endpoint: str) -> None:
        """Call with all records."""
        records, done = iter(line.read(count)), list[Any]()
        await asyncio.gather(*[calls(connected, endpoint, records, done) for _ in range(CALLS)])
        line.write(count, done)

    line.serve(lambda **what: runner.run(one(**what)))
    runner.run(entered.__aexit__(None, None, None))
