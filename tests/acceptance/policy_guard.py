"""AWS as IAM makes it look: a proxy before S3 and the endpoints that keeps to policies.

Whoever calls is told by the access key of the signature. What a policy does not allow is refused
with 403, and noted; so is what it was needed for.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: Actions of SageMaker Runtime by the last part of the path.
RUNTIME = {
    "invocations": ("InvokeEndpoint",),
    "invocations-response-stream": ("InvokeEndpoint", "InvokeEndpointWithResponseStream"),
    "async-invocations": ("InvokeEndpointAsync",),
}

#: Actions on objects by method; parts of an upload are PUT and POST.
OBJECTS = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}

#: Headers of one connection, which are not handed on.
HOP = {"connection", "expect", "host", "keep-alive", "transfer-encoding"}

DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """What a request has to be allowed."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys of the request."""

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {dict(self.context)}"


def allows(policy: Policy, need: Need) -> bool:
    """Tell whether a statement of a policy allows it."""
    return any(
        statement["Effect"] == "Allow"
        and need.action in statement["Action"]
        and any(like(pattern, need.resource) for pattern in statement["Resource"])
        and holds(statement.get("Condition", {}), need.context)
        for statement in policy["Statement"]
    )


def holds(condition: Mapping[str, Mapping[str, list[str]]], context: Mapping[str, str]) -> bool:
    """Tell whether a condition holds; one on a key that the request has not, does not."""
    assert set(condition) <= {"StringLike"}
    return all(
        key in context and any(like(pattern, context[key]) for pattern in patterns)
        for key, patterns in condition.get("StringLike", {}).items()
    )


def like(pattern: str, text: str) -> bool:
    """Match as IAM does: `*` is anything, `?` one character."""
    return bool(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL)
    )


def needs(method: str, url: str, target: str | None, body: bytes) -> list[Need]:
    """Return what a request has to be allowed."""
    parts = urlsplit(url)
    path, arguments = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
    invoked = re.fullmatch(r"/endpoints/([^/]+)/([a-z-]+)", path)
    if invoked:
        resource = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{invoked[1].lower()}"
        return [Need(f"sagemaker:{action}", resource) for action in RUNTIME[invoked[2]]]
    if target:
        name = re.search(rb'"EndpointName": ?"([^"]+)"', body)
        assert name
        resource = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name[1].decode().lower()}"
        return [Need(f"sagemaker:{target.partition('.')[2]}", resource)]
    bucket, _, key = path.lstrip("/").partition("/")
    return _of_s3(method, f"arn:aws:s3:::{bucket}", key, arguments, body)


def _of_s3(
    method: str, bucket: str, key: str, arguments: Mapping[str, list[str]], body: bytes
) -> list[Need]:
    if key:
        aborts = method == "DELETE" and "uploadId" in arguments
        action = "s3:AbortMultipartUpload" if aborts else OBJECTS[method]
        return [Need(action, f"{bucket}/{key}")]
    if method == "POST" and "delete" in arguments:
        keys = re.findall(rb"<Key>(.*?)</Key>", body)
        return [Need("s3:DeleteObject", f"{bucket}/{name.decode()}") for name in keys]
    if method == "GET" and "list-type" in arguments:
        given = arguments.get("prefix")
        return [Need("s3:ListBucket", bucket, {"s3:prefix": given[0]} if given else {})]
    raise AssertionError(f"an unknown request: {method} {bucket} {arguments}")


class Guard(ThreadingHTTPServer):
    """The proxy.

    Args:
        s3: the address of S3.
        endpoints: the address of the emulated endpoints.

    Attributes:
        policies: by access key.
        denied: what was refused, by access key.
        used: the actions that were needed, by access key.
    """

    daemon_threads = True

    def __init__(self, s3: str, endpoints: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.s3, self.endpoints = urlsplit(s3).netloc, urlsplit(endpoints).netloc
        self.policies: dict[str, Policy] = {}
        self.denied: dict[str, list[str]] = defaultdict(list)
        self.used: dict[str, set[str]] = defaultdict(set)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Guard

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target")
        found = needs(self.command, self.path, target, body)
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        who = signed[1] if signed else "nobody"
        policy = self.server.policies.get(who, {"Statement": []})
        self.server.used[who].update(need.action for need in found)
        refused = [str(need) for need in found if not allows(policy, need)]
        if refused:
            self._refuse(who, refused)
            return
        at_s3 = found[0].action.startswith("s3:")
        status, headers, answer = self._forward(body, at_s3=at_s3)
        if status == HTTPStatus.NOT_FOUND and at_s3:
            # An object that is not there is nobody's business who may not list the bucket.
            whole = Need("s3:ListBucket", found[0].resource.partition("/")[0])
            self.server.used[who].add(whole.action)
            if not allows(policy, whole):
                self._refuse(who, [f"{whole}, for an absent {found[0].resource}"])
                return
        self._send(status, headers, answer)

    def _forward(self, body: bytes, *, at_s3: bool) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(self.server.s3 if at_s3 else self.server.endpoints, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            connection.request(self.command, self.path, body or None, headers)
            answered: HTTPResponse = connection.getresponse()
            return answered.status, answered.getheaders(), answered.read()
        finally:
            connection.close()

    def _refuse(self, who: str, refused: list[str]) -> None:
        self.server.denied[who] += refused
        self._send(HTTPStatus.FORBIDDEN, [("Content-Type", "application/xml")], DENIED)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        head = self.command == "HEAD"
        for name, value in headers:
            if name.lower() not in HOP and (head or name.lower() != "content-length"):
                self.send_header(name, value)
        if not head:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the base's names


@contextmanager
def guarding(s3: str, endpoints: str) -> Iterator[Guard]:
    """Run a guard before S3 and the endpoints."""
    with Guard(s3, endpoints) as guard:
        thread = threading.Thread(target=guard.serve_forever)
        thread.start()
        try:
            yield guard
        finally:
            guard.shutdown()
            thread.join()
