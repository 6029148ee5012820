"""aiohttp's client session with what AWS wants of a request: built, signed, sent once."""

import io
import itertools
import socket
import time
import uuid
from typing import Any, ClassVar

import aiohttp

from .answers import Answer
from .awsconfig import AwsConfig
from .builder import Built, RequestBuilder
from .clients import ClientOptions
from .credentials import LoopCredentials
from .requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest

#: Seconds an idle connection is kept: less than AWS' load balancers do (60), so that a request
#: seldom meets a connection that is just being closed.
KEEP_ALIVE = 15.0

#: Seconds a host's addresses are kept.
DNS_TTL = 30

#: Connect timeouts that a whole connection may take: for the name, for the proxy, for TLS.
CONNECT_STEPS = 3

#: Bytes of a body that asyncio takes without waiting for the other side to read.
BUFFERED = 2**15

#: Bytes up to which aiohttp takes a body as bytes; larger ones it wants to send piece by piece.
WHOLE_BODY = 2**20

#: How Signature Version 4 writes a time.
TIMESTAMP = "%Y%m%dT%H%M%SZ"

#: What aiohttp would add to a body and boto3 does not.
CONTENT_TYPE = ("Content-Type",)


class _Request(aiohttp.ClientRequest):
    """A request to which aiohttp adds no headers; a tenth cheaper than having it skip them."""

    DEFAULT_HEADERS: ClassVar[dict[Any, str]] = {}  # type: ignore[misc]


class SignedSession:
    """An open session; belongs to the running event loop.

    Args:
        config: what `awsconfig.read` found.
        options: timeouts.
    """

    def __init__(self, config: AwsConfig, options: ClientOptions) -> None:
        self._signer = config.signer
        self._credentials = LoopCredentials(config.credentials)
        self._routes = config.routes
        self._builders = {
            made.operation: RequestBuilder(config.service_model, made, self._routes[made.operation])
            for made in (InvokeEndpointRequest, InvokeEndpointAsyncRequest)
        }
        self._timeout = _timeout(options)
        # aiohttp's read timeout begins when all is sent, so sending has none of its own.
        self._sending_too = _timeout(options, options.connect_timeout + 2 * options.read_timeout)
        # Random UUIDs but for their last twelve digits, which count.
        self._invocation = str(uuid.uuid4())[:-12]
        self._invocations = itertools.count()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the transport counts
                keepalive_timeout=KEEP_ALIVE,
                ttl_dns_cache=DNS_TTL,
                ssl=config.ssl_context,
                socket_factory=_keepalive_socket,
            ),
            proxy=config.proxy,
            trust_env=False,  # the proxy is botocore's choice, and netrc is not its business
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            auto_decompress=False,  # a body is the model's business
            raise_for_status=False,
        )

    async def send(self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest) -> Answer:
        """Send a request once, and read the answer to its end.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer came.
            botocore.exceptions.BotoCoreError: the request cannot be made, or not be signed.
        """
        built = self._builders[request.operation].build(request)
        headers = await self._headers(built, request.operation)
        size = len(built.body)
        response = await self._session.post(
            built.url,
            data=built.body if size <= WHOLE_BODY else io.BytesIO(built.body),
            headers=headers,
            skip_auto_headers=None if "Content-Type" in headers else CONTENT_TYPE,
            allow_redirects=False,
            timeout=self._timeout if size <= BUFFERED else self._sending_too,
        )
        return Answer(response.status, response.headers, await response.read())

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._credentials.close()

    async def _headers(self, built: Built, operation: str) -> dict[str, str]:
        route = self._routes[operation]
        signature = self._signer.sign(
            await self._credentials.frozen(),
            time.strftime(TIMESTAMP, time.gmtime()),
            host=route.host,
            path=built.path,
            headers=built.headers.items(),
            body=built.body,
        )
        return {
            **built.headers,
            **signature,
            **route.unsigned_headers,
            "Host": route.host,
            "Accept-Encoding": "identity",
            "amz-sdk-invocation-id": f"{self._invocation}{next(self._invocations):012x}",
        }


def _timeout(options: ClientOptions, total: float | None = None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=total,
        connect=CONNECT_STEPS * options.connect_timeout,
        sock_connect=options.connect_timeout,
        sock_read=options.read_timeout,
    )


def _keepalive_socket(address: tuple[int, int, int, str, object]) -> socket.socket:
    """Make a socket that notices when the other side is gone, as boto3's are told to."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made
