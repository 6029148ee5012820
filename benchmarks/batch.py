"""What a record of a batch job costs, against a boto3 loop and against one Celery task a record.

    python benchmarks/batch.py [--quick] [--rounds 5] [--json FILE]
    python benchmarks/batch.py --million multi      (or single: memory, instead of speed)

All variants read JSON Lines from one S3, call one endpoint, and write their outputs to that S3.
Rounds alternate between them, so that a noisy machine is noisy for all; medians are shown, and
minimum and maximum. CPU is that of the client's processes: worker and submitter, the loop's own, or
worker and caller. Redis is shown apart; endpoint and S3 would be AWS' own.
"""

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import botocore
import celery
import redis
from botocore.config import Config
from celery.result import ResultSet
from celery_sagemaker.config import Settings
from celery_sagemaker.runtime import InvokeEndpointResponse
from celery_sagemaker.tasks import batch
from celery_sagemaker.tasks.invoke import invoke
from celery_sagemaker.workers import create_app
from loopback import BUCKET, MULTI, PER_INVOCATION, SINGLE, Bench, bench, cpu, peak_rss

#: Threads of the loop over boto3.
THREADS = 8

#: Numbers in a record: with id and envelope it has about 300 bytes.
FEATURES = 36

#: Records of a round. A batch job has costs of its own, and is made for millions; the others are
#: as long as they have to be.
RECORDS = {
    "pool": 4_000,
    "task": 1_500,
    "batch": 20_000,
    "multi": 200_000,
}
QUICK = {"pool": 1_500, "task": 500, "batch": 6_000, "multi": 40_000}

NAMES = {
    "pool": f"ThreadPoolExecutor({THREADS}) over boto3",
    "task": "one Celery task a record",
    "batch": "batch job",
    "multi": f"batch job, MultiRecord of {PER_INVOCATION}",
}

#: What the issue asked for: the most of `this` that a record may cost is a share of `that`.
TARGETS = (("batch", "pool", 4.0), ("batch", "task", 6.0), ("multi", "pool", 50.0))

MILLION = 1_000_000

#: Seconds that a job may take.
PATIENCE = 720.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant's round."""

    cpu_us: float
    """Microseconds of the client's CPU for a record."""
    wall_us: float
    """Microseconds for a record."""
    redis_us: float
    """Microseconds of Redis' CPU for a record."""
    endpoint_busy: float
    """Share of the time for which the endpoint was at work; near 1 it is the bottleneck."""


def records(count: int) -> Iterable[bytes]:
    """Yield lines of about 300 bytes."""
    numbers = random.Random(0)
    features = [[round(numbers.gauss(0, 1), 3) for _ in range(FEATURES)] for _ in range(100)]
    for n in range(count):
        body = {"features": features[n % len(features)], "model": "iris"}
        yield json.dumps({"custom_id": f"record-{n:07d}", "body": body}).encode() + b"\n"


class Variants:
    """Each method does records [0, count) and checks that all have an output."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._s3: Any = boto3.client("s3")
        options = Config(max_pool_connections=THREADS)
        self._runtime: Any = boto3.client("sagemaker-runtime", config=options)
        self._pool = ThreadPoolExecutor(THREADS)

    def stage(self, count: int) -> None:
        """Write an input."""
        file = self._folder / "input.jsonl"
        with file.open("wb") as lines:
            lines.writelines(records(count))
        self._s3.upload_file(str(file), BUCKET, key(count))
        file.unlink()

    def pool(self, count: int) -> None:
        """Loop over boto3 in threads."""
        with self._input(count) as lines:
            self._output(count, self._pool.map(self._call, lines))

    def task(self, count: int) -> None:
        """Send a task for each record, and read the results."""
        with self._input(count) as lines:
            found = [json.loads(line) for line in lines]
        sent = ResultSet([invoke.delay(SINGLE, record["body"]) for record in found])
        answers = sent.join_native()
        bodies = [InvokeEndpointResponse.from_json(answer).body for answer in answers]
        pairs = zip(found, bodies, strict=True)
        self._output(count, (line_of(record, json.loads(body)) for record, body in pairs))

    def batch(self, count: int) -> None:
        """Run a batch job."""
        finished(job(SINGLE, count), count)

    def multi(self, count: int) -> None:
        """Run a batch job with many records an invocation."""
        finished(job(MULTI, count), count)

    def _call(self, line: bytes) -> bytes:
        record = json.loads(line)
        answer = self._runtime.invoke_endpoint(
            EndpointName=SINGLE,
            Body=json.dumps(record["body"]).encode(),
            ContentType="application/json",
        )
        return line_of(record, json.loads(answer["Body"].read()))

    def _input(self, count: int) -> Any:
        file = self._folder / "input.jsonl"
        self._s3.download_file(BUCKET, key(count), str(file))
        return file.open("rb")

    def _output(self, count: int, lines: Iterable[bytes]) -> None:
        file = self._folder / "output.jsonl"
        with file.open("wb") as outputs:
            written = sum(1 for line in lines if outputs.write(line))
        assert written == count, written
        self._s3.upload_file(str(file), BUCKET, f"out/{count}.jsonl")


def key(count: int) -> str:
    """Return where the input of so many records is."""
    return f"in/{count}.jsonl"


def line_of(record: dict[str, Any], output: object) -> bytes:
    """Return a line of the others' outputs."""
    return json.dumps({"id": record["custom_id"], "output": output}).encode() + b"\n"


def job(endpoint: str, count: int) -> batch.Job:
    """Submit a job."""
    return batch.submit(
        endpoint,
        input=f"s3://{BUCKET}/{key(count)}",
        output=f"s3://{BUCKET}/out/",
        mode="realtime",
        batch_strategy="MultiRecord" if endpoint == MULTI else "SingleRecord",
        max_records=PER_INVOCATION,
    )


def finished(job: batch.Job, count: int) -> None:
    """Wait for a job; all of its records have to have outputs."""
    status = job.wait(PATIENCE)
    assert status.request_counts.succeeded == count, status


def measure(on: Bench, run: Callable[[int], None], count: int) -> Sample:
    """Run one round."""
    others = (on.worker.pid, on.redis.pid, on.endpoint.pid)

    def now() -> list[float]:
        return [time.perf_counter(), time.process_time(), *map(cpu, others)]

    before = now()
    run(count)
    wall, own, worker, redis_, endpoint = (b - a for a, b in zip(before, now(), strict=True))
    each = 1e6 / count
    return Sample((own + worker) * each, wall * each, redis_ * each, endpoint / wall)


def rounds(on: Bench, variants: Variants, counts: dict[str, int], number: int) -> dict[str, Any]:
    """Return all samples, by variant."""
    runs = {name: getattr(variants, name) for name in NAMES}
    for count in {count for size in (counts, QUICK) for count in size.values()}:
        variants.stage(count)
    for name, run in runs.items():
        run(QUICK[name])  # connections are opened, and the endpoints' speeds become known
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for _ in range(number):
        for name, run in runs.items():
            samples[name].append(measure(on, run, counts[name]))
    return samples


def report(samples: dict[str, list[Sample]], counts: dict[str, int]) -> dict[str, Any]:
    """Print the tables; return the figures."""
    figures = {}
    print(
        "\n                                         client CPU us a record   records/s           "
    )
    print(
        "variant                         records  median (min .. max)      a core   wall  Redis us"
    )
    for name, found in samples.items():
        spent = [sample.cpu_us for sample in found]
        median = {
            member: statistics.median(getattr(sample, member) for sample in found)
            for member in Sample.__slots__
        }
        figures[name] = {"records": counts[name], **median, "samples": list(map(asdict, found))}
        print(
            f"{NAMES[name]:32}{counts[name]:7d} {median['cpu_us']:7.1f}"
            f" ({min(spent):6.1f} .. {max(spent):6.1f}) {1e6 / median['cpu_us']:7.0f}"
            f" {1e6 / median['wall_us']:7.0f} {median['redis_us']:7.1f}"
        )
    busy = max(figure["endpoint_busy"] for figure in figures.values())
    print(f"\nThe endpoint was at work for at most {busy:.0%} of the time.\n")
    for this, that, wanted in TARGETS:
        ratios = [b.cpu_us / a.cpu_us for a, b in zip(samples[this], samples[that], strict=True)]
        ratio = figures[that]["cpu_us"] / figures[this]["cpu_us"]
        figures[this][f"cheaper_than_{that}"] = ratio
        print(
            f"{NAMES[this]:32} {ratio:6.1f} x cheaper than {NAMES[that]}"
            f" ({min(ratios):.1f} .. {max(ratios):.1f}; wanted: {wanted:g})"
        )
    return figures


def million(on: Bench, variants: Variants, endpoint: str) -> dict[str, Any]:
    """Run one job of a million records, and look at memory.

    The worker has just started, and no endpoint's speed is known: the plan cuts small chunks.
    """
    variants.stage(MILLION)
    began, spent = time.perf_counter(), cpu(on.worker.pid)
    with redis.Redis(port=on.redis.port) as client:

        def used() -> int:
            return int(client.info("memory")["used_memory"])

        before = most = used()
        running = job(endpoint, MILLION)
        for _ in running.watch(PATIENCE):
            most = max(most, used())
        after = used()
    finished(running, MILLION)
    figures = {
        "endpoint": endpoint,
        "seconds": time.perf_counter() - began,
        "worker_cpu_us": cpu(on.worker.pid) - spent,
        "worker_peak_rss_mb": peak_rss(on.worker.pid),
        "redis_growth_mb": (most - before) / 1e6,
        "redis_left_mb": (after - before) / 1e6,
    }
    print(
        f"{MILLION:,} records ({endpoint}) in {figures['seconds']:.0f} s,"
        f" {figures['worker_cpu_us']:.1f} us of the worker's CPU each: the worker had at most"
        f" {figures['worker_peak_rss_mb']:.0f} MB resident (wanted: below 200), Redis grew by at"
        f" most {figures['redis_growth_mb']:.2f} MB (wanted: below 20)"
    )
    return figures


def main() -> None:
    """Start everything, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="rougher figures in under 90 s")
    parser.add_argument("--million", choices=(SINGLE, MULTI), help="one job, and its memory")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    counts = QUICK if arguments.quick else RECORDS
    with bench() as on, tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings.load())
        app.set_current()
        print(f"Redis is real; the endpoint is {on.endpoint_is}; S3 is a stand-in in memory.")
        variants = Variants(Path(folder))
        if arguments.million:
            figures = million(on, variants, arguments.million)
        else:
            figures = report(rounds(on, variants, counts, arguments.rounds), counts)
    versions = {
        "python": platform.python_version(),
        "aiohttp": aiohttp.__version__,
        "botocore": botocore.__version__,
        "celery": celery.__version__,
    }
    result = {"versions": versions, "endpoint": on.endpoint_is, "figures": figures}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
