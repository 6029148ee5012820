"""Where the benchmarks run: Redis, endpoints and an S3 on this machine, and the peers."""

import json
import os
import re
import shutil
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery_sagemaker.local import redis_server
from celery_sagemaker.local.guardian import guarded_folder
from celery_sagemaker.local.processes import HOST, Child, answers, free_port
from frame import PEERS, Peer

#: Seconds that the model takes, in milliseconds.
LATENCIES = (0, 20, 200)

#: Records of an invocation with MultiRecord.
PER_INVOCATION = 100

BUCKET = "benchmark"

#: Slots of every worker, ours and others'.
SLOTS = 64

#: A prediction.
ANSWER = '{"label":"setosa","score":0.9731}'

#: What each endpoint says: content type, body, and seconds until it says it.
ENDPOINTS = {
    f"{name}-{ms}": (kind, body, ms / 1000)
    for name, kind, body in (
        ("single", "application/json", ANSWER),
        ("multi", "application/jsonlines", "\n".join([ANSWER] * PER_INVOCATION)),
    )
    for ms in LATENCIES
}

#: How the names of any number of endpoints begin that do what `single-200` does.
UNKNOWN, UNKNOWN_IS = "unknown-", "single-200"

#: Where Debian's libnginx-mod-http-echo is: it can wait.
ECHO = Path("/usr/share/nginx/modules/ngx_http_echo_module.so")

#: One process, and nothing written: what a static answer costs at least.
NGINX = """
load_module {echo}; daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_max_body_size 0; client_body_buffer_size 1m; client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen {host}:{port};
    location = /health {{ return 200; }}
    location /endpoints/{unknown} {{ echo_sleep {seconds}; echo_exec @{known}; }}
    {locations}
  }}
}}
"""
#: A bare `return` would be done before any waiting.
WAITING = """
location = /endpoints/{name}/invocations {{ echo_sleep {seconds}; echo_exec @{name}; }}
location @{name} {{ default_type {kind}; return 200 '{body}'; }}
"""
AT_ONCE = """
location = /endpoints/{name}/invocations {{ default_type {kind}; return 200 '{body}'; }}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """The services, and where peers are started."""

    folder: Path
    redis: Child
    s3: Child
    endpoint: Child
    endpoint_is: str
    environment: Mapping[str, str]
    peers: ExitStack

    def peer(
        self, name: str, script: str, *args: str, python: Path | None = None, **environment: str
    ) -> Peer:
        """Begin to start a peer; `started` waits for it. It ends with the bench."""
        command = [str(python or sys.executable), str(PEERS / script), *args]
        log = self.folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.log"
        peer = Peer(name, command, log, {**os.environ, **self.environment, **environment})
        self.peers.callback(peer.stop)
        return peer

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        url = f"http://{HOST}:{self.s3.port}/{BUCKET}/{key}"
        request = urllib.request.Request(url, data=body, method="PUT")
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            answer.read()

    def asked_of_s3(self) -> Counter[str]:
        """Return the requests that S3 was sent so far, by kind."""
        with urllib.request.urlopen(f"http://{HOST}:{self.s3.port}/asked") as answer:
            return Counter(json.load(answer))


@contextmanager
def bench(*, late: bool = False) -> Iterator[Bench]:
    """Start everything; stop it at the end.

    Args:
        late: whether SageMaker Runtime is the endpoints that stream or write to S3 later.
    """
    with guarded_folder() as folder, ExitStack() as children:

        def started(child: Child) -> Child:
            children.callback(child.stop)
            child.wait_until_up()
            return child

        redis = redis_server.start(folder)
        children.callback(redis.stop)
        s3 = started(_script(folder, "s3"))
        endpoint, kind = _endpoint(folder)
        started(endpoint)
        runtime = s3 if late else endpoint
        environment = _environment(redis.port, s3.port, runtime.port)
        peers = children.enter_context(ExitStack())
        yield Bench(folder, redis, s3, endpoint, kind, environment, peers)


def _script(folder: Path, kind: str, *arguments: str) -> Child:
    port, script = free_port(), str(Path(__file__).with_name("standins.py"))
    command = [sys.executable, script, kind, str(port), *arguments]
    return Child(kind, command, port=port, folder=folder, ready=lambda _: answers(port, "/health"))


def _endpoint(folder: Path) -> tuple[Child, str]:
    nginx = shutil.which("nginx")
    if nginx is None or not ECHO.exists():
        file = folder / "endpoints.json"
        file.write_text(json.dumps({**ENDPOINTS, UNKNOWN: ENDPOINTS[UNKNOWN_IS]}))
        return _script(
            folder, "endpoint", str(file)
        ), "an asyncio server (nginx, or its echo module, is missing)"
    port, conf = free_port(), folder / "nginx.conf"
    locations = "".join(
        (WAITING if seconds else AT_ONCE).format(name=name, kind=kind, body=body, seconds=seconds)
        for name, (kind, body, seconds) in ENDPOINTS.items()
    )
    _, _, waits = ENDPOINTS[UNKNOWN_IS]
    conf.write_text(
        NGINX.format(
            echo=ECHO,
            folder=folder,
            host=HOST,
            port=port,
            locations=locations,
            unknown=UNKNOWN,
            known=UNKNOWN_IS,
            seconds=waits,
        )
    )
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
        "BENCH_REDIS": f"redis://{HOST}:{redis}",
        "CELERY_SAGEMAKER_BROKER_URL": f"redis://{HOST}:{redis}/0",
        "CELERY_SAGEMAKER_CONCURRENCY": str(SLOTS),
        "CELERY_SAGEMAKER_STAGING": f"s3://{BUCKET}/staging",
    }
