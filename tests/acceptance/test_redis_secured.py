"""Redis with a password, an ACL user that may do no more than it needs, and TLS."""

import asyncio
import json
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
import typer
from celery import Celery, chord
from celery_sagemaker import tasks
from celery_sagemaker.channels import End, Event, Part, asubscribe, subscribe
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import responses
from celery_sagemaker.tasks import batch
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from celery_sagemaker.workers.cli import reach
from channels_harness import OwnRedis, own_redis
from channels_sse import serving
from harness import Environment, Worker, behave, eventually
from kombu.exceptions import OperationalError
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisAway
from tls import Authority, Identity, tls

pytestmark = pytest.mark.timeout(180)

#: Seconds for one request to end.
PATIENCE = 60.0

#: Whose passwords must not be seen anywhere.
ADMIN, PASSWORD, WRONG = "admins-secret", "workers-secret", "wrong-secret"

#: The page with the user's rights, as they are copied from it.
PAGE = Path(__file__).parents[2] / "docs/howto/redis.md"


#: The rules of the documented users, by name.
DOCUMENTED = {
    name: rules.replace("PASSWORD", PASSWORD).split()
    for name, rules in re.findall(r"^ +user (\w+) (.+)$", PAGE.read_text(), re.MULTILINE)
}

#: What has to be in `redis.conf`.
CONFIGURED = re.findall(
    r"^    (appendonly|appendfsync|maxmemory-policy) (\S+)$", PAGE.read_text(), re.MULTILINE
)


class Secured:
    """A Redis that nobody enters without a password, and TLS before it."""

    def __init__(self, server: OwnRedis, authority: Authority, client: Identity, port: int) -> None:
        self.authority, self.client = authority, client
        self._port, self._tls_port = server.port, port
        with redis.Redis.from_url(server.url) as admin:
            for user, rules in DOCUMENTED.items():
                admin.execute_command("ACL", "SETUSER", user, *rules)
            for name, value in CONFIGURED:
                admin.config_set(name, value)
            admin.config_set("requirepass", ADMIN)
        self.admin = redis.Redis.from_url(f"redis://:{ADMIN}@127.0.0.1:{server.port}/0")

    def url(self, kind: str, user: str = f"sagemaker:{PASSWORD}", ca: Path | None = None) -> str:
        """An address with everything that a client needs."""
        if kind == "acl":
            return f"redis://{user}@127.0.0.1:{self._port}/0"
        files = {
            "ssl_ca_certs": ca or self.authority.certificate,
            "ssl_certfile": self.client.certificate,
            "ssl_keyfile": self.client.key,
        }
        return f"rediss://{user}@localhost:{self._tls_port}/0?{urlencode(files)}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One for all tests."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    identity = authority.issue("server")
    with own_redis(folder) as server, tls(server.port, identity, authority) as proxy:
        made = Secured(server, authority, authority.issue("client"), proxy.port)
        yield made
        made.admin.close()


@pytest.fixture(scope="module", params=["acl", "tls"])
def standing(
    request: pytest.FixtureRequest,
    secured: Secured,
    sagemaker_local: LocalStack,
    quick: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Environment]:
    """The environment of a worker that runs during all tests of one kind of address."""
    environment = {
        **sagemaker_local.environment(),
        **quick,
        "CELERY_SAGEMAKER_BROKER_URL": secured.url(request.param),
        "CELERY_SAGEMAKER_ENDPOINTS__ECHO__OUTPUT_PATH": f"s3://{sagemaker_local.bucket}/outputs",
        "CELERY_SAGEMAKER_LIMITS__MAX_CONCURRENCY": "8",
        "CELERY_SAGEMAKER_LIMITS__BREAKER": "true",
    }
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = Worker(environment, log, "celery_sagemaker.workers.app")
    worker.start()
    yield environment
    worker.kill()
    assert PASSWORD not in worker.output


@pytest.fixture
def environment(standing: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The worker's environment, for this process."""
    for name, value in standing.items():
        monkeypatch.setenv(name, value)
    return standing


@pytest.fixture(autouse=True)
def nothing_refused(secured: Secured) -> Iterator[None]:
    """What a test lets be done, the documented user may do."""
    secured.admin.execute_command("ACL", "LOG", "RESET")
    yield
    refused = secured.admin.acl_log()
    assert [(entry["reason"], entry["object"], entry["client-info"]) for entry in refused] == []


def text(events: list[Event]) -> str:
    """What the parts of a stream say, when it came to its end."""
    assert isinstance(events[-1], End)
    return "".join(event.text or "" for event in events if isinstance(event, Part))


def in_a_browser(app: Celery, id_: str, url: str | None = None) -> list[Event]:
    """Follow a stream as server-sent events."""
    parts, seen = deployment(app), list[Event]()

    def take(event: Event) -> bool:
        seen.append(event)
        return True

    with serving(url or parts.settings.state_url, parts.channels) as web:
        web.follow(take, id_, "")
    return seen


def test_requests(app: Celery) -> None:
    """Both kinds, in a chord; and a wish that travels to every worker."""
    header = [tasks.invoke.s("echo", "a"), tasks.invoke_async.s("echo", "b")]
    joined: Any = chord(header)(tasks.invoke.s(endpoint="echo"))
    answer: Any = responses.from_json(joined.get(timeout=PATIENCE))
    assert [member["body"]["text"] for member in answer.json()] == ["a", "b"]
    assert app.control.ping(timeout=5.0, limit=1)


def test_a_stream_and_its_readers(app: Celery, sagemaker_local: LocalStack) -> None:
    """With and without an event loop, and a browser's."""
    behave(sagemaker_local, "words", target="models:words")
    result = tasks.stream.delay("words", "Once upon a time")

    async def read() -> list[Event]:
        return [event async for event in asubscribe(result.id)]

    assert text(list(subscribe(result.id))) == "Once upon a time "
    assert text(asyncio.run(read())) == "Once upon a time "
    assert text(in_a_browser(app, result.id)) == "Once upon a time "


def test_a_reader_may_only_read(app: Celery, secured: Secured) -> None:
    """A web process can have a user of its own, who follows streams and can do nothing else."""
    url = secured.url("acl", f"reader:{PASSWORD}")
    result = tasks.stream.delay("words", "Once upon a time")
    assert text(in_a_browser(app, result.id, url)) == "Once upon a time "
    assert text(list(subscribe(result.id, url))) == "Once upon a time "


def test_a_batch_job(app: Celery, tmp_path: Path) -> None:
    """Every record comes back, within the limits of its endpoint."""
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(json.dumps({"x": n}) for n in range(200)))
    job = batch.submit("echo", input=path)
    assert job.wait(PATIENCE).request_counts.succeeded == 200
    assert len(list(job.results())) == 200
    assert deployment(app).limits.state("echo").limit == 8


@pytest.fixture
def refused(
    request: pytest.FixtureRequest, secured: Secured, sagemaker_environment: Environment
) -> Iterator[Celery]:
    """An app that Redis does not let in, or do what it asks."""
    made = create_app(Settings(broker_url=request.param(secured)))
    yield made
    deployment(made).close()
    made.close()
    # Refusals are what is tested.
    secured.admin.execute_command("ACL", "LOG", "RESET")


def stranger(secured: Secured) -> str:
    """The address with the certificate of another authority than the server's."""
    folder = secured.authority.certificate.parent / "other"
    folder.mkdir(exist_ok=True)
    return secured.url("tls", ca=Authority(folder).certificate)


def without(rule: str, secured: Secured) -> str:
    """The address of a user who lacks one right."""
    rules = [given for given in DOCUMENTED["sagemaker"] if given != rule]
    assert len(rules) < len(DOCUMENTED["sagemaker"])
    secured.admin.execute_command("ACL", "SETUSER", "lacking", "reset", *rules)
    return secured.url("acl", f"lacking:{PASSWORD}")


@pytest.mark.parametrize(
    ("refused", "error", "says"),
    [
        (lambda s: s.url("acl", f"sagemaker:{WRONG}"), AuthenticationError, "password"),
        (lambda s: s.url("tls", f"sagemaker:{WRONG}"), AuthenticationError, "password"),
        (lambda s: s.url("acl", f"nobody:{WRONG}"), AuthenticationError, "password"),
        (stranger, RedisAway, "CERTIFICATE_VERIFY_FAILED"),
        (lambda s: without("+evalsha", s), NoPermissionError, "'evalsha'"),
        (lambda s: without("~{celery-sagemaker*", s), NoPermissionError, "access a key"),
        (lambda s: without("~sagemaker.*", s), OperationalError, "access a key"),
    ],
    ids=["password", "password-tls", "user", "authority", "command", "key", "queue"],
    indirect=["refused"],
)
def test_a_refusal_says_why(refused: Celery, error: type[Exception], says: str) -> None:
    """At the caller, with the class that redis-py or kombu has for it, and without a secret."""
    with pytest.raises(error) as raised:
        refused.tasks["sagemaker.invoke"].apply_async(("echo", "x"))
    assert says in str(raised.value)
    shown = "".join(traceback.format_exception(raised.value))
    assert not [secret for secret in (ADMIN, PASSWORD, WRONG) if secret in shown]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (lambda s: s.url("acl", f"sagemaker:{WRONG}"), "password"),
        (lambda s: s.url("acl", "").replace("@", ""), "uthenticat"),
        (stranger, "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_the_command_line_says_it_in_one_line(
    secured: Secured,
    capsys: pytest.CaptureFixture[str],
    address: Callable[[Secured], str],
    says: str,
) -> None:
    """Before anything is sent."""
    with pytest.raises(typer.Exit):
        reach.require_redis([address(secured)])
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert says in shown
    assert not [secret for secret in (PASSWORD, WRONG) if secret in shown]
    secured.admin.execute_command("ACL", "LOG", "RESET")


def test_a_worker_with_a_wrong_password(
    secured: Secured, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """It says so, again and again, and comes in as soon as the password is right."""
    secured.admin.execute_command("ACL", "SETUSER", "late", "reset", *DOCUMENTED["sagemaker"])
    url = secured.url("acl", f"late:{WRONG}")
    environment = {**sagemaker_local.environment(), "CELERY_SAGEMAKER_BROKER_URL": url}
    worker = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app")
    try:
        worker.start()
        eventually(lambda: "Cannot connect to redis://***@" in worker.output)
        assert "invalid username-password pair" in worker.output
        secured.admin.execute_command("ACL", "SETUSER", "late", f">{WRONG}")
        eventually(lambda: "ready." in worker.output)
    finally:
        worker.kill()
    assert not [secret for secret in (PASSWORD, WRONG) if secret in worker.output]
    secured.admin.execute_command("ACL", "LOG", "RESET")
