"""S3 as payloads and outputs use it, against moto's server."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.runtime.s3 import PAGE, S3Location, S3Store


@pytest.fixture
def prefix(sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]) -> S3Location:
    """A prefix of the test's own."""
    return S3Location(sagemaker_local.bucket, uuid.uuid4().hex)


@pytest.fixture
def absent(prefix: S3Location) -> S3Location:
    """An object of a bucket that is not there."""
    return S3Location(f"absent-{uuid.uuid4().hex}", "key")


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://b/k", "b", "k"),
        ("s3://b/a/b c//d", "b", "a/b c//d"),
        ("s3://b/", "b", ""),
        ("s3://b", "b", ""),
    ],
)
def test_a_location_is_read(text: str, bucket: str, key: str) -> None:
    """And written so that it is read the same again."""
    location = S3Location.parse(text)
    assert location == S3Location(bucket, key)
    assert S3Location.parse(str(location)) == location


@pytest.mark.parametrize("text", ["", "b/k", "https://b/k", "s3://", "s3:///k", "S3://b/k"])
def test_what_is_no_location_is_refused(text: str) -> None:
    """As one of our errors."""
    with pytest.raises(exceptions.InvalidRequest):
        S3Location.parse(text)


def test_a_location_has_parts_under_it() -> None:
    """With one slash between, and none before the first."""
    assert str(S3Location("b", "p") / "k") == "s3://b/p/k"
    assert str(S3Location("b", "p/") / "k") == "s3://b/p/k"
    assert str(S3Location("b", "") / "k") == "s3://b/k"


def test_an_object_comes_back(prefix: S3Location) -> None:
    """Body, size, type and time; the last one written counts."""
    store = S3Store()
    location = prefix / "größe & more"
    store.put(location, b"first")
    store.put(location, b"\x00\xff", "image/png")
    found = store.get(location)
    assert (found.location, found.body, found.size) == (location, b"\x00\xff", 2)
    assert found.content_type == "image/png"
    assert abs(datetime.now(UTC) - found.last_modified) < timedelta(minutes=1)
    known = store.head(location)
    assert known is not None
    assert (known.size, known.content_type, known.body) == (2, "image/png", None)


def test_requests_are_counted(prefix: S3Location) -> None:
    """By what they cost, failed ones too."""
    store = S3Store()
    store.put(prefix / "a", b"")
    store.get(prefix / "a")
    store.head(prefix / "a")
    store.head(prefix / "b")
    list(store.list(prefix))
    with pytest.raises(exceptions.S3ObjectNotFound):
        store.get(prefix / "b")
    assert store.requests == {"PUT": 1, "GET": 2, "HEAD": 2, "LIST": 1}


def test_no_count_is_lost_between_threads() -> None:
    """From the first request on."""
    threads, rounds = 8, 2_000
    store = S3Store()
    together = threading.Barrier(threads)

    def count(_: int) -> None:
        together.wait(10)
        for _ in range(rounds):
            store._request("HEAD")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(count, range(threads)))
    assert store.requests["HEAD"] == threads * rounds


def test_a_missing_object(prefix: S3Location) -> None:
    """Is None where somebody looks, and an error where somebody needs it."""
    store = S3Store()
    assert store.head(prefix / "absent") is None
    with pytest.raises(exceptions.S3ObjectNotFound) as caught:
        store.get(prefix / "absent")
    assert caught.value.http_status == 404
    assert list(store.list(prefix)) == []


def test_a_missing_bucket(absent: S3Location) -> None:
    """Is told from a missing object, but by HEAD, which has no words."""
    store = S3Store()
    with pytest.raises(exceptions.S3BucketNotFound):
        store.get(absent)
    with pytest.raises(exceptions.S3BucketNotFound):
        store.put(absent, b"")
    with pytest.raises(exceptions.S3BucketNotFound):
        list(store.list(absent))
    assert store.head(absent) is None


def test_a_listing_has_pages(prefix: S3Location) -> None:
    """Each of 1,000, fetched when it is needed; nothing beside the prefix is in it."""
    store = S3Store()
    beside = S3Location(prefix.bucket, f"{prefix.key}-beside")
    store.put(beside, b"")
    keys = [prefix / f"{number:05}" for number in range(PAGE + 5)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"xy"), keys))
    store.requests.clear()
    listing = store.list(prefix / "")
    assert store.requests["LIST"] == 0
    first = next(listing)
    assert (first.location, first.size, first.body) == (keys[0], 2, None)
    assert store.requests["LIST"] == 1
    assert [found.location for found in listing] == keys[1:]
    assert store.requests["LIST"] == 2


def test_a_large_object_comes_without_its_body(prefix: S3Location) -> None:
    """At the limit with it, one byte above without."""
    store = S3Store()
    store.put(prefix / "a", bytes(10), "x/y")
    assert store.get(prefix / "a", max_bytes=10).body == bytes(10)
    without = store.get(prefix / "a", max_bytes=9)
    assert (without.body, without.size, without.content_type) == (None, 10, "x/y")


class _Endless(BaseHTTPRequestHandler):
    """Promises a gigabyte, and sends what is taken of it."""

    sent = 0
    closed = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 30))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        try:
            for _ in range(1 << 10):
                self.wfile.write(bytes(1 << 20))
                type(self).sent += 1 << 20
        except OSError:
            type(self).closed.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endless(
    sagemaker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[_Endless]]:
    """An S3 of which every object has a gigabyte."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_address[1]}")
    yield _Endless
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_body_over_the_limit_is_not_read(endless: type[_Endless]) -> None:
    """The connection is closed, and no more was sent than its buffers hold."""
    found = S3Store().get(S3Location("bucket", "key"), max_bytes=1_000)
    assert (found.size, found.body) == (1 << 30, None)
    assert endless.closed.wait(10)
    assert endless.sent < 64 << 20


class _Forbidden(BaseHTTPRequestHandler):
    """An S3 that says nothing about its objects."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_head_that_is_forbidden_names_the_permission(
    sagemaker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that is not there looks so without s3:ListBucket."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forbidden)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_address[1]}")
    try:
        with pytest.raises(exceptions.S3AccessDenied, match="s3:ListBucket") as caught:
            S3Store().head(S3Location("bucket", "key"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert caught.value.http_status == 403
    assert "s3://bucket/key" in str(caught.value)


def test_what_s3_cannot_send_is_refused(prefix: S3Location) -> None:
    """A content type that is no header is a wrong request, not a lost connection."""
    with pytest.raises(exceptions.InvalidRequest):
        S3Store().put(prefix / "a", b"", "text/plain\nX-Other: 1")


def test_counts_are_a_counter() -> None:
    """An unknown kind is none, rather than an error."""
    assert isinstance(S3Store().requests, Counter)
    assert S3Store().requests["DELETE"] == 0
