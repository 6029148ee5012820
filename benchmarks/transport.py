"""What a call costs: boto3 with 1 and 8 threads against the fast transport, on this machine.

    python benchmarks/transport.py [--calls 4000] [--rounds 5] [--json FILE]

All call one loopback server, a process of its own that parses nothing it need not. The rounds
alternate between the variants, so that a noisy machine is noisy for all; medians are shown. CPU is
this process' own, the server's is not in it. "aiohttp alone" sends the same bytes unsigned and
looks at nothing that comes back: what is above it is ours and botocore's.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import botocore
from celery_sagemaker.runtime import InvokeEndpointRequest
from celery_sagemaker.runtime.fast import FastTransport
from celery_sagemaker.runtime.transport import BotoTransport

#: Requests in flight of the asynchronous variants.
IN_FLIGHT = 32

#: A small JSON record, and a small prediction.
RECORD = b'{"instances": [[5.1, 3.5, 1.4, 0.2]], "id": "0123456789abcdef"}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
    b"x-amzn-RequestId: 01234567-89ab-cdef-0123-456789abcdef\r\n"
    b"x-Amzn-Invoked-Production-Variant: AllTraffic\r\n"
    b'Date: Tue, 24 Nov 2026 20:40:07 GMT\r\n\r\n{"score":0.5}'
)
END_OF_HEADERS = b"\r\n\r\n"

REFERENCE = "boto3, 1 thread"


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant's round."""

    cpu: float
    """Microseconds of this process' CPU per call."""
    rate: float
    """Calls per second."""


class Server(asyncio.Protocol):
    """Answers every request alike."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._missing = -1

    def data_received(self, data: bytes) -> None:
        """Count bytes until the request is whole; the clients do not pipeline."""
        if self._missing < 0:
            head, _, body = data.partition(END_OF_HEADERS)
            lower = head.lower()
            at = lower.index(b"content-length:") + len(b"content-length:")
            self._missing = int(lower[at:].split(b"\r\n", 1)[0]) - len(body)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._missing = -1
            self._transport.write(ANSWER)


async def serve() -> None:
    """Serve on a free port, which is printed."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server() -> Iterator[str]:
    """Run the server in a process of its own; give its address."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.terminate()


def request(number: int) -> InvokeEndpointRequest:
    """Make one record's request, as a batch would."""
    return InvokeEndpointRequest(
        endpoint_name="benchmark",
        body=RECORD,
        content_type="application/json",
        inference_id=f"{number:032x}",
    )


def boto(threads: int) -> Callable[[int], None]:
    """Call through boto3, from some threads that share a client."""
    transport = BotoTransport(max_connections=threads)
    pool = ThreadPoolExecutor(threads)

    def part(first: int, calls: int) -> None:
        for number in range(first, calls, threads):
            transport.invoke(request(number))

    def run(calls: int) -> None:
        for done in [pool.submit(part, first, calls) for first in range(threads)]:
            done.result()

    return run


async def keep_in_flight(calls: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Make calls, so many at a time."""
    numbers = iter(range(calls))

    async def one_after_another() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*[one_after_another() for _ in range(IN_FLIGHT)])


def fast(runner: asyncio.Runner, parts: ExitStack) -> Callable[[int], None]:
    """Call through the fast transport."""
    transport = FastTransport(max_connections=IN_FLIGHT)
    parts.callback(lambda: runner.run(transport.close()))

    async def run(calls: int) -> None:
        await keep_in_flight(calls, lambda number: transport.invoke(request(number)))

    return lambda calls: runner.run(run(calls))


def aiohttp_alone(runner: asyncio.Runner, url: str) -> Callable[[int], None]:
    """Call without botocore's share: what no transport on aiohttp can undercut."""

    async def run(calls: int) -> None:
        async with aiohttp.ClientSession(auto_decompress=False) as session:

            async def call(number: int) -> None:
                headers = {"Content-Type": "application/json", "X-Number": str(number)}
                response = await session.post(url, data=RECORD, headers=headers)
                await response.read()

            await keep_in_flight(calls, call)

    return lambda calls: runner.run(run(calls))


def measure(run: Callable[[int], None], calls: int) -> Sample:
    """Run one round."""
    cpu, wall = time.process_time(), time.perf_counter()
    run(calls)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Sample(cpu=cpu / calls * 1e6, rate=calls / wall)


def report(samples: dict[str, list[Sample]]) -> dict[str, dict[str, float]]:
    """Return medians, and how often cheaper than boto3 on one thread a call is."""
    cpu = {name: statistics.median(s.cpu for s in found) for name, found in samples.items()}
    rate = {name: statistics.median(s.rate for s in found) for name, found in samples.items()}
    return {
        name: {
            "cpu_us": round(cpu[name], 1),
            "calls_per_second": round(rate[name]),
            "cheaper": round(cpu[REFERENCE] / cpu[name], 2),
            "faster": round(rate[name] / rate[REFERENCE], 2),
        }
        for name in samples
    }


def main() -> None:
    """Run all variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4000, help="per variant and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    with server() as url, asyncio.Runner() as runner, ExitStack() as parts:
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url,
        }
        variants = {
            REFERENCE: boto(1),
            "boto3, 8 threads": boto(8),
            f"fast, {IN_FLIGHT} in flight": fast(runner, parts),
            f"aiohttp alone, {IN_FLIGHT} in flight": aiohttp_alone(runner, url),
        }
        samples: dict[str, list[Sample]] = {name: [] for name in variants}
        for run in variants.values():
            run(200)
        for _ in range(arguments.rounds):
            for name, run in variants.items():
                samples[name].append(measure(run, arguments.calls))
    figures = report(samples)
    for name, row in figures.items():
        print(
            f"{name:30} {row['cpu_us']:7.1f} us CPU {row['calls_per_second']:7.0f} calls/s"
            f"   {row['cheaper']:5.2f} x cheaper   {row['faster']:5.2f} x faster"
        )
    versions = {"python": platform.python_version(), "aiohttp": aiohttp.__version__}
    result = {"versions": versions | {"botocore": botocore.__version__}, "variants": figures}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
