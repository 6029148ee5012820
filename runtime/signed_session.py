"""aiohttp's client session with what AWS wants of a request: built, signed, sent once."""

import io
import socket
import time
import uuid
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp
from botocore.serialize import create_serializer
from yarl import URL

from .answers import Answer
from .awsconfig import AwsConfig
from .clients import ClientOptions
from .credentials import LoopCredentials
from .requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest

#: Seconds an idle connection is kept: less than AWS' load balancers do (60), so that a request
#: seldom meets a connection that is just being closed.
KEEP_ALIVE = 15.0

#: Seconds a host's addresses are kept.
DNS_TTL = 30

#: Bytes up to which a body is given to aiohttp whole; larger ones it sends piece by piece.
WHOLE_BODY = 2**20

#: URLs that are kept parsed: one per endpoint and operation.
URLS_KEPT = 1024

#: What aiohttp would add to a request and boto3 does not send.
NOT_ADDED = ("Accept", "Content-Type")

#: How Signature Version 4 writes a time.
TIMESTAMP = "%Y%m%dT%H%M%SZ"


class SignedSession:
    """An open session; belongs to the running event loop.

    Args:
        config: what `awsconfig.read` found.
        options: timeouts.

    Raises:
        ClientConfigurationError: the CA bundle cannot be read.
    """

    def __init__(self, config: AwsConfig, options: ClientOptions) -> None:
        self._signer = config.signer
        self._credentials = LoopCredentials(config.credentials)
        self._serializer = create_serializer(config.service_model.resolved_protocol)
        self._operations = {
            name: (config.service_model.operation_model(name), route, urlsplit(route.base_url).path)
            for name, route in config.routes.items()
        }
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the transport counts
                keepalive_timeout=KEEP_ALIVE,
                ttl_dns_cache=DNS_TTL,
                ssl=config.ssl_context,
                socket_factory=_keepalive_socket,
            ),
            timeout=aiohttp.ClientTimeout(
                # Sending may stall as long as reading may.
                total=options.connect_timeout + 2 * options.read_timeout,
                sock_connect=options.connect_timeout,
                sock_read=options.read_timeout,
            ),
            proxy=config.proxy,
            trust_env=False,  # the proxy is botocore's choice, and there are no netrc passwords
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=NOT_ADDED,
            auto_decompress=False,  # a body is the model's business
            raise_for_status=False,
        )

    async def send(self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest) -> Answer:
        """Send a request once, and read the answer to its end.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer came.
            botocore.exceptions.BotoCoreError: the request cannot be made, or not be signed.
        """
        model, route, prefix = self._operations[request.operation]
        made = self._serializer.serialize_to_request(request.parameters(), model)
        path, body = made["url_path"], made["body"]
        headers = {**made["headers"], **route.signed_headers}
        headers |= self._signer.sign(
            await self._credentials.frozen(),
            time.strftime(TIMESTAMP, time.gmtime()),
            host=route.host,
            path=prefix + path,
            headers=headers.items(),
            body=body,
        )
        headers |= route.unsigned_headers
        headers["amz-sdk-invocation-id"] = str(uuid.uuid4())
        headers["Accept-Encoding"] = "identity"
        headers["Host"] = route.host
        response = await self._session.post(
            _url(route.base_url + path),
            data=body if len(body) <= WHOLE_BODY else io.BytesIO(body),
            headers=headers,
            allow_redirects=False,
        )
        return Answer(response.status, response.headers, await response.read())

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._credentials.close()


@lru_cache(maxsize=URLS_KEPT)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


def _keepalive_socket(address: tuple[int, int, int, str, object]) -> socket.socket:
    """Make a socket that notices when the other side is gone, as boto3's are told to."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made
