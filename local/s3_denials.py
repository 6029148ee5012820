"""S3 as a policy that lacks something makes it look: 403 for some actions on a bucket.

In front of moto's server, which takes everybody. `PUT /_admin/denied/BUCKET` with a JSON list such
as `["s3:ListBucket"]` sets what is denied; an empty list, nothing.
"""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Below it nothing is S3's: a bucket's name has no underscore.
ADMIN = "/_admin/denied/"

LIST = "s3:ListBucket"
GET = "s3:GetObject"
PUT = "s3:PutObject"
DELETE = "s3:DeleteObject"
LIFECYCLE = "s3:GetLifecycleConfiguration"
ACTIONS = frozenset({LIST, GET, PUT, DELETE, LIFECYCLE})

#: What a request for an object needs, by its method.
OF_OBJECTS = {"GET": GET, "HEAD": GET, "PUT": PUT, "POST": PUT, "DELETE": DELETE}

BODY = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)


class Denials:
    """Stands before an S3 server.

    Args:
        app: the server.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._denied: dict[str, frozenset[str]] = {}

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer 403 or hand the request on."""
        path = str(environ["PATH_INFO"])
        if path.startswith(ADMIN):
            return self._set(path.removeprefix(ADMIN), environ, start)
        bucket, _, key = path.lstrip("/").partition("/")
        denied = self._denied.get(bucket, frozenset())
        if action(environ["REQUEST_METHOD"], key, environ.get("QUERY_STRING", "")) in denied:
            return _refuse(start)
        if key and LIST in denied:
            return self._hide(environ, start)
        return self._app(environ, start)

    def _hide(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Without s3:ListBucket nobody is told that an object is not there."""
        begun: list[tuple[Any, ...]] = []

        def begin(*status_and_headers: Any) -> Callable[[bytes], object]:
            begun.append(status_and_headers)
            return lambda _: None

        body = self._app(environ, begin)
        if begun[0][0].startswith(str(HTTPStatus.NOT_FOUND.value)):
            return _refuse(start)
        start(*begun[0])
        return body

    def _set(
        self, bucket: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        given = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        unknown = sorted(set(given) - ACTIONS)
        if unknown:
            start("400 Bad Request", [("Content-Type", "text/plain")])
            return [f"no such action: {', '.join(unknown)}".encode()]
        self._denied[bucket] = frozenset(given)
        start("204 No Content", [])
        return []


def action(method: str, key: str, query: str) -> str | None:
    """Name what a request has to be allowed; None for what is not told apart here."""
    if key:
        return OF_OBJECTS.get(method)
    arguments = parse_qs(query, keep_blank_values=True)
    if "delete" in arguments and method == "POST":
        return DELETE
    if method not in {"GET", "HEAD"}:
        return None
    return LIFECYCLE if "lifecycle" in arguments else LIST


def _refuse(start: "StartResponse") -> Iterable[bytes]:
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(BODY)))]
    start("403 Forbidden", headers)
    return [BODY]
