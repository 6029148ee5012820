"""Where the benchmark of batch jobs runs: Redis, a worker, an endpoint and an S3, all local."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery_sagemaker.config import queues
from celery_sagemaker.local import redis_server
from celery_sagemaker.local.processes import HOST, Child, answers, free_port

#: The endpoints: one record an invocation, and MULTI of them.
SINGLE, MULTI = "single", "multi"
PER_INVOCATION = 100

BUCKET = "benchmark"

#: A prediction.
ANSWER = '{"label":"setosa","score":0.9731}'

#: What each endpoint says: content type and body.
ENDPOINTS = {
    SINGLE: ("application/json", ANSWER),
    MULTI: ("application/jsonlines", "\n".join([ANSWER] * PER_INVOCATION)),
}

#: One process, and nothing written: what a static answer costs at least.
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_max_body_size 0; client_body_buffer_size 1m; client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen {host}:{port};
    location = /health {{ return 200; }}
    {locations}
  }}
}}
"""
LOCATION = "location = /endpoints/{}/invocations {{ default_type {}; return 200 '{}'; }}\n"

#: Clock ticks in a second, of /proc.
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Bench:
    """The processes; their addresses are in the environment."""

    redis: Child
    worker: Child
    endpoint: Child
    endpoint_is: str


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used; ten milliseconds is the grain."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_rss(pid: int) -> float:
    """Megabytes that a process had resident at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) * 1024 / 1e6


@contextmanager
def bench() -> Iterator[Bench]:
    """Start everything; stop it at the end."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as children:
        folder = Path(name)

        def started(child: Child) -> Child:
            children.callback(child.stop)
            child.wait_until_up()
            return child

        redis = redis_server.start(folder)
        children.callback(redis.stop)
        s3 = started(_script(folder, "s3"))
        endpoint, kind = _endpoint(folder)
        started(endpoint)
        os.environ |= _environment(redis.port, s3.port, endpoint.port)
        yield Bench(redis, started(_worker(folder)), endpoint, kind)


def _script(folder: Path, kind: str, *arguments: str) -> Child:
    port, script = free_port(), str(Path(__file__).with_name("standins.py"))
    command = [sys.executable, script, kind, str(port), *arguments]
    return Child(kind, command, port=port, folder=folder, ready=lambda _: answers(port, "/health"))


def _endpoint(folder: Path) -> tuple[Child, str]:
    nginx = shutil.which("nginx")
    if nginx is None:
        file = folder / "endpoints.json"
        file.write_text(json.dumps(ENDPOINTS))
        return _script(folder, "endpoint", str(file)), "an asyncio server (nginx is not on PATH)"
    port, conf = free_port(), folder / "nginx.conf"
    locations = "".join(LOCATION.format(name, *given) for name, given in ENDPOINTS.items())
    conf.write_text(NGINX.format(folder=folder, host=HOST, port=port, locations=locations))
    command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(conf)]
    child = Child(
        "nginx", command, port=port, folder=folder, ready=lambda _: answers(port, "/health")
    )
    return child, "nginx"


def _environment(redis: int, s3: int, endpoint: int) -> Mapping[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://{HOST}:{endpoint}",
        "AWS_ENDPOINT_URL_S3": f"http://{HOST}:{s3}",
        "CELERY_SAGEMAKER_BROKER_URL": f"redis://{HOST}:{redis}/0",
        "CELERY_SAGEMAKER_STAGING": f"s3://{BUCKET}/staging",
    }


def _worker(folder: Path) -> Child:
    """One process, as it is advised: the threads pool, our queues, the default settings."""
    command = [
        sys.executable, "-m", "celery", "-A", "celery_sagemaker.workers.app", "worker",
        "--queues", ",".join(queues.ALL), "--without-mingle", "--without-gossip",
        "--loglevel", "WARNING",
    ]  # fmt: skip
    log = folder / "worker.log"
    return Child("worker", command, port=0, folder=folder, ready=lambda _: log.exists())
