"""The two services of the benchmarks that are not real, each in a process of its own.

    python benchmarks/standins.py endpoint PORT FILE
    python benchmarks/standins.py s3 PORT

The endpoint answers every call to `/endpoints/NAME/invocations` with what the JSON object in FILE
has under NAME: a content type and a body. It stands in for nginx where that is missing. The S3
keeps objects in memory, checks no signature, and knows the requests that `S3Store` and boto3's
transfers make; an emulator such as moto would spend more on them than a batch job does.
"""

import asyncio
import hashlib
import itertools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from aiohttp import web

HOST = "127.0.0.1"

#: Bytes of the largest request.
MOST = 1_073_741_824

#: When every object was written.
WRITTEN = "2026-01-01T00:00:00.000Z"
MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"

#: Objects on a page of a listing.
PAGE = 1_000

END_OF_HEADERS = b"\r\n\r\n"


class Endpoint(asyncio.Protocol):
    """Answers by the request's path alone; the clients do not pipeline.

    Args:
        answers: whole HTTP answers, by path.
    """

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._received += data
        head, found, body = self._received.partition(END_OF_HEADERS)
        if not found:
            return
        _, named, length = head.lower().partition(b"content-length:")
        if named and len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        self._received = b""
        self._transport.write(self._answers[head.split(b" ", 2)[1]])


def http(content_type: str, body: str) -> bytes:
    """Return a whole answer."""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Date: {MODIFIED}\r\n\r\n{body}"
    ).encode()


async def serve_endpoint(port: int, endpoints: dict[str, tuple[str, str]]) -> None:
    """Serve until killed."""
    answers = {
        f"/endpoints/{name}/invocations".encode(): http(*given) for name, given in endpoints.items()
    }
    answers[b"/health"] = http("text/plain", "")
    server = await asyncio.get_running_loop().create_server(lambda: Endpoint(answers), HOST, port)
    await server.serve_forever()


class S3:
    """Objects by path, which is `/bucket/key`."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._ids = itertools.count()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Do what method and query say."""
        body = await request.read()
        if "aws-chunked" in request.headers.get("Content-Encoding", ""):
            return web.Response(status=501)
        match request.method:
            case "GET" if "list-type" in request.query:
                return self._list(request.path, request.query)
            case "GET" | "HEAD":
                return self._get(request.path, request.headers)
            case "PUT":
                return self._put(request.path, request.query, body)
            case "POST":
                return self._post(request.path, request.query, body)
        return web.Response(status=501)

    def _put(self, path: str, query: Mapping[str, str], body: bytes) -> web.Response:
        tag = etag(body)
        if "uploadId" in query:
            self._uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self._objects[path] = body, tag
        return web.Response(headers={"ETag": tag})

    def _post(self, path: str, query: Mapping[str, str], body: bytes) -> web.Response:
        """Delete objects, begin an upload in parts, or end one."""
        if "delete" in query:
            for element in ET.fromstring(body).iter():  # noqa: S314 - from ourselves
                if element.tag.endswith("Key"):
                    self._objects.pop(f"{path.rstrip('/')}/{element.text}", None)
            return xml("DeleteResult", "")
        if "uploads" in query:
            self._uploads[id_ := str(next(self._ids))] = {}
            return xml("InitiateMultipartUploadResult", f"<UploadId>{id_}</UploadId>")
        parts = self._uploads.pop(query["uploadId"])
        body = b"".join(part for _, part in sorted(parts.items()))
        tag = etag(body)
        self._objects[path] = body, tag
        return xml("CompleteMultipartUploadResult", f"<ETag>{escape(tag)}</ETag>")

    def _get(self, path: str, asked: Mapping[str, str]) -> web.Response:
        if path not in self._objects:
            return xml("Error", "<Code>NoSuchKey</Code>", 404)
        found, tag = self._objects[path]
        status, size = 200, len(found)
        if asked.get("If-Match", tag) != tag:
            return xml("Error", "<Code>PreconditionFailed</Code>", 412)
        headers = {"ETag": tag, "Last-Modified": MODIFIED, "Accept-Ranges": "bytes"}
        if "Range" in asked:
            first, _, last = asked["Range"].removeprefix("bytes=").partition("-")
            found = found[int(first) : int(last) + 1 if last else None]
            end = int(first) + len(found) - 1
            status, headers["Content-Range"] = 206, f"bytes {first}-{end}/{size}"
        return web.Response(body=found, status=status, headers=headers)

    def _list(self, bucket: str, query: Mapping[str, str]) -> web.Response:
        prefix, after = query["prefix"], query.get("continuation-token", "")
        start = f"{bucket.rstrip('/')}/"
        keys = sorted(path.removeprefix(start) for path in self._objects if path.startswith(start))
        keys = [key for key in keys if key.startswith(prefix) and key > after]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{WRITTEN}</LastModified>"
            f"<Size>{len(self._objects[start + key][0])}</Size></Contents>"
            for key in keys[:PAGE]
        )
        more = len(keys) > PAGE
        token = (
            f"<NextContinuationToken>{escape(keys[PAGE - 1])}</NextContinuationToken>"
            if more
            else ""
        )
        return xml(
            "ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
        )


def etag(body: bytes) -> str:
    """Return an ETag as S3 makes it of an object that was not written in parts."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def xml(name: str, inner: str, status: int = 200) -> web.Response:
    """Return a document."""
    text = f"<{name}>{inner}</{name}>"
    return web.Response(text=text, content_type="application/xml", status=status)


async def health(_: web.Request) -> web.Response:
    """Say that it is up."""
    return web.Response()


def serve_s3(port: int) -> None:
    """Serve until killed."""
    app = web.Application(client_max_size=MOST)
    app.router.add_get("/health", health)
    app.router.add_route("*", "/{path:.*}", S3().handle)
    web.run_app(app, host=HOST, port=port, print=None, access_log=None)


if __name__ == "__main__":
    if sys.argv[1] == "s3":
        serve_s3(int(sys.argv[2]))
    else:
        asyncio.run(serve_endpoint(int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())))
