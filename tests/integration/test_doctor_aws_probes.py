"""What the doctor's probes see of AWS that is out of reach, refuses, or has another clock."""

import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.workers.doctor import Finding, Target, aws, endpoints, s3, schedules

#: A port where nothing listens.
NOWHERE = "http://127.0.0.1:1"

REFUSED = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>"
    "<Message>The security token is invalid.</Message></Error></ErrorResponse>"
)


class Service(ThreadingHTTPServer):
    """Answers every request alike."""

    answer: tuple[int, str] = (200, "")
    ahead: float = 0.0
    """Seconds by which its clock is ahead."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """As its server says."""

    server: Service

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answer
        self.send_response_only(status)
        self.send_header("Date", formatdate(time.time() + self.server.ahead, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    """A service whose answers a test chooses."""
    with Service(("127.0.0.1", 0), Handler) as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and a region."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)


def target(**settings: object) -> Target:
    """A deployment of which nothing is there."""
    made = Settings(**settings)
    app = Celery(broker=made.broker_url, set_as_current=False)
    return Target(app=app, settings=made, endpoints=("llama",), seconds=2.0)


def wrong(found: list[Finding]) -> dict[str, str]:
    """Return what is not well, by id."""
    return {finding.id: str(finding.severity) for finding in found if not finding.well}


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore's own words are told."""
    monkeypatch.setenv("AWS_PROFILE", "absent")
    found = aws.examine(target(region="eu-west-1"))
    assert wrong(found) == {"aws.credentials": "fault"}
    assert any("(absent)" in finding.seen for finding in found)


def test_an_sts_that_refuses_us(
    keys: None, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and its clock is seen all the same."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
    service.answer, service.ahead = (403, REFUSED), 600.0
    found = aws.examine(target())
    assert wrong(found) == {"aws.identity": "fault", "aws.clock": "fault"}
    assert any("InvalidClientTokenId" in finding.seen for finding in found)


@pytest.mark.parametrize("body", ["", "<html>502 Bad Gateway"])
def test_an_sts_that_cannot_be_read(
    keys: None, service: Service, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A proxy's page is no answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
    service.answer = (200, body)
    assert wrong(aws.examine(target())) == {"aws.identity": "warning"}


def test_an_sts_that_is_out_of_reach(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worth a warning: a worker needs it not."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", NOWHERE)
    assert wrong(aws.examine(target())) == {"aws.identity": "warning"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, '{"__type": "AccessDeniedException", "message": "no"}'), "not allowed: no"),
        ((400, '{"__type": "Strange", "message": "odd"}'), "UnknownServiceError: odd"),
    ],
)
def test_a_control_plane_that_refuses(
    keys: None,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, str],
    said: str,
) -> None:
    """What it says is told; that the endpoint is missing is not claimed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", service.url)
    service.answer = answer
    found = endpoints.examine(target())
    assert wrong(found) == {"endpoints.described": "warning"}
    assert found[0].seen == said


def test_an_s3_that_is_out_of_reach(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is staged as for outputs."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
    looked = target(staging="s3://bucket/staging")
    described = endpoints.Described(name="llama", output_path="s3://bucket/out")
    found = s3.probe(looked, [described])
    assert [prefix.use for prefix in found] == ["staging", "outputs of llama"]
    assert all(prefix.away for prefix in found)


def test_no_endpoint_is_a_note() -> None:
    """There may be a deployment without settings for its endpoints."""
    made = Settings()
    (finding,) = endpoints.examine(Target(app=Celery(set_as_current=False), settings=made))
    assert (finding.id, finding.severity) == ("endpoints.named", "note")


def test_beat_is_not_looked_for_on_rabbitmq() -> None:
    """RedBeat keeps its entries in Redis: without an address of one there are none."""
    looked = target(broker_url="amqp://h", result_url="redis://h", state_url="redis://h")
    assert schedules.probe(looked) == schedules.Seen()
