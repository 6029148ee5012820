"""The two services of the benchmarks that are not real, each in a process of its own.

    python benchmarks/standins.py endpoint PORT FILE
    python benchmarks/standins.py s3 PORT

The endpoint answers every call to `/endpoints/NAME/invocations` with what the JSON object in FILE
has under NAME: a content type, a body, and seconds to wait. It stands in for nginx where that, or
its echo module, is missing. The S3 keeps objects in memory, checks no signature, and knows the
requests that `S3Store` and boto3's transfers make; an emulator such as moto would spend more on
them than a batch job does. The same process has the endpoints whose answers come later: `later-S`
writes an asynchronous inference's output after S seconds; `together-S` waits for
`POST /release` besides, so that all can be seen pending at once, and lasts equally long for each;
`stream-PARTS-MS` streams so many parts, MS milliseconds apart. Outputs and parts begin with the
time at which they were written.
"""

import asyncio
import bisect
import hashlib
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from aiohttp import web
from celery_sagemaker.local import eventstream

HOST = "127.0.0.1"

#: Bytes of the largest request.
MOST = 1_073_741_824

#: When every answer was made.
MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"

#: Header of SageMaker Runtime's members, and bytes of a part of a stream.
PREFIX = "X-Amzn-SageMaker-"
PART = 120

#: Objects on a page of a listing.
PAGE = 1_000

END_OF_HEADERS = b"\r\n\r\n"

#: How the path of an endpoint ends whose name stands for all that begin so.
ENDS_OPEN = b"-/invocations"


class Endpoint(asyncio.Protocol):
    """Answers by the request's path alone; the clients do not pipeline.

    Args:
        answers: whole HTTP answers and seconds to wait, by path.
    """

    def __init__(self, answers: dict[bytes, tuple[bytes, float]]) -> None:
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
        path = head.split(b" ", 2)[1]
        # Names that end with a hyphen are those of all endpoints that begin so.
        answer, seconds = (
            self._answers.get(path) or self._answers[path.rpartition(b"-")[0] + ENDS_OPEN]
        )
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)


def http(content_type: str, body: str) -> bytes:
    """Return a whole answer."""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Date: {MODIFIED}\r\n\r\n{body}"
    ).encode()


async def serve_endpoint(port: int, endpoints: dict[str, tuple[str, str, float]]) -> None:
    """Serve until killed."""
    answers = {
        f"/endpoints/{name}/invocations".encode(): (http(kind, body), seconds)
        for name, (kind, body, seconds) in endpoints.items()
    }
    answers[b"/health"] = http("text/plain", ""), 0.0
    server = await asyncio.get_running_loop().create_server(lambda: Endpoint(answers), HOST, port)
    await server.serve_forever()


class Together:
    """Inferences of which none ends before it is said that all are pending."""

    def __init__(self) -> None:
        self._pending: list[tuple[float, float, Callable[[], None]]] = []

    def add(self, seconds: float, write: Callable[[], None]) -> None:
        """Take one that is to last so long at least."""
        self._pending.append((asyncio.get_running_loop().time(), seconds, write))

    def release(self) -> None:
        """Let them end, in their order; all last equally long."""
        loop = asyncio.get_running_loop()
        waited = max((loop.time() - at for at, _, _ in self._pending), default=0.0)
        for at, seconds, write in self._pending:
            loop.call_at(at + max(seconds, waited), write)
        self._pending = []


class S3:
    """Objects by path, which is `/bucket/key`."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, str, float]] = {}
        self._paths: list[str] = []
        self._asked: Counter[str] = Counter()
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._ids = itertools.count()
        self._together = Together()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Do what method and query say."""
        body = await request.read()
        if "aws-chunked" in request.headers.get("Content-Encoding", ""):
            return web.Response(status=501)
        self._asked["LIST" if "list-type" in request.query else request.method] += 1
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

    async def asked(self, _: web.Request) -> web.Response:
        """Say how many requests of each kind there were."""
        return web.json_response(self._asked)

    async def invoke_async(self, request: web.Request) -> web.Response:
        """Write an output after the seconds in the endpoint's name."""
        await request.read()
        name, given = request.match_info["name"], request.headers
        id_ = (
            given[f"{PREFIX}Inference-Id"]
            if f"{PREFIX}Inference-Id" in given
            else str(next(self._ids))
        )
        extension, file = (
            given.get(f"{PREFIX}S3OutputPathExtension"),
            given.get(f"{PREFIX}Filename"),
        )
        key = "/".join(part for part in ("async", extension, file or f"{id_}.out") if part)
        self._asked["ASYNC"] += 1
        kind, _, seconds = name.rpartition("-")
        write = partial(self._written, f"/benchmark/{key}")
        if kind == "together":
            self._together.add(float(seconds), write)
        else:
            asyncio.get_running_loop().call_later(float(seconds), write)
        headers = {f"{PREFIX}OutputLocation": f"s3://benchmark/{key}"}
        return web.json_response({"InferenceId": id_}, status=202, headers=headers)

    async def release(self, _: web.Request) -> web.Response:
        """Let the inferences end that wait for each other."""
        self._together.release()
        return web.Response()

    def _written(self, path: str) -> None:
        body = json.dumps({"written": time.time()}).encode()
        self._keep(path, body, etag(body))

    def _keep(self, path: str, body: bytes, tag: str) -> None:
        if path not in self._objects:
            bisect.insort(self._paths, path)
        self._objects[path] = body, tag, time.time()

    def _forget(self, path: str) -> None:
        if self._objects.pop(path, None) is not None:
            self._paths.pop(bisect.bisect_left(self._paths, path))

    def _put(self, path: str, query: Mapping[str, str], body: bytes) -> web.Response:
        tag = etag(body)
        if "uploadId" in query:
            self._uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self._keep(path, body, tag)
        return web.Response(headers={"ETag": tag})

    def _post(self, path: str, query: Mapping[str, str], body: bytes) -> web.Response:
        """Delete objects, begin an upload in parts, or end one."""
        if "delete" in query:
            for element in ET.fromstring(body).iter():  # noqa: S314 - from ourselves
                if element.tag.endswith("Key"):
                    self._forget(f"{path.rstrip('/')}/{element.text}")
            return xml("DeleteResult", "")
        if "uploads" in query:
            self._uploads[id_ := str(next(self._ids))] = {}
            return xml("InitiateMultipartUploadResult", f"<UploadId>{id_}</UploadId>")
        parts = self._uploads.pop(query["uploadId"])
        body = b"".join(part for _, part in sorted(parts.items()))
        tag = etag(body)
        self._keep(path, body, tag)
        return xml("CompleteMultipartUploadResult", f"<ETag>{escape(tag)}</ETag>")

    def _get(self, path: str, asked: Mapping[str, str]) -> web.Response:
        if path not in self._objects:
            return xml("Error", "<Code>NoSuchKey</Code>", 404)
        found, tag, written = self._objects[path]
        status, size = 200, len(found)
        if asked.get("If-Match", tag) != tag:
            return xml("Error", "<Code>PreconditionFailed</Code>", 412)
        modified = formatdate(written, usegmt=True)
        headers = {"ETag": tag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        if "Range" in asked:
            first, _, last = asked["Range"].removeprefix("bytes=").partition("-")
            found = found[int(first) : int(last) + 1 if last else None]
            end = int(first) + len(found) - 1
            status, headers["Content-Range"] = 206, f"bytes {first}-{end}/{size}"
        return web.Response(body=found, status=status, headers=headers)

    def _list(self, bucket: str, query: Mapping[str, str]) -> web.Response:
        prefix, after = query["prefix"], query.get("continuation-token", "")
        start = f"{bucket.rstrip('/')}/"
        first = bisect.bisect_left(self._paths, start + prefix)
        if after:
            first = bisect.bisect_right(self._paths, start + after)
        page = self._paths[first : first + PAGE + 1]
        page = [path for path in page if path.startswith(start + prefix)]
        more, keys = len(page) > PAGE, [path.removeprefix(start) for path in page[:PAGE]]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key>"
            f"<LastModified>{_moment(self._objects[start + key][2])}</LastModified>"
            f"<Size>{len(self._objects[start + key][0])}</Size></Contents>"
            for key in keys
        )
        token = f"<NextContinuationToken>{escape(keys[-1])}</NextContinuationToken>" if more else ""
        return xml(
            "ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
        )


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


async def stream(request: web.Request) -> web.StreamResponse:
    """Send so many parts, so far apart, as the endpoint's name says."""
    await request.read()
    _, parts, apart = request.match_info["name"].split("-")
    headers = {"Content-Type": eventstream.CONTENT_TYPE, f"{PREFIX}Content-Type": "text/plain"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    due = time.monotonic()
    for _ in range(int(parts)):
        text = f"{time.time():.6f}".ljust(PART - 1, ".") + "\n"
        await response.write(eventstream.payload_part(text.encode()))
        due += int(apart) / 1000
        if int(apart):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    await response.write_eof()
    return response


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
    s3, endpoint = S3(), "/endpoints/{name}/"
    app.router.add_get("/asked", s3.asked)
    app.router.add_post("/release", s3.release)
    app.router.add_post(endpoint + "async-invocations", s3.invoke_async)
    app.router.add_post(endpoint + "invocations-response-stream", stream)
    app.router.add_route("*", "/{path:.*}", s3.handle)
    web.run_app(app, host=HOST, port=port, print=None, access_log=None)


if __name__ == "__main__":
    if sys.argv[1] == "s3":
        serve_s3(int(sys.argv[2]))
    else:
        asyncio.run(serve_endpoint(int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())))
