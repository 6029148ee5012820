"""One request of boto3's that is caught before it is sent, and what it says about all others.

The address (FIPS, dual-stack, `endpoint_url`, `services` sections), the user agent, the scope of
the signature and whatever headers botocore adds are read off it, so they are botocore's own.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.serialize import create_serializer

from .exceptions import ClientConfigurationError
from .signing import ALGORITHM, Signer

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.credentials import ReadOnlyCredentials
    from botocore.model import ServiceModel

#: A fast transport's operations, and what a request of each has. An older botocore demands
#: InputLocation of InvokeEndpointAsync.
OPERATIONS: Mapping[str, Mapping[str, Any]] = {
    "InvokeEndpoint": {"EndpointName": "probe", "Body": b"probe"},
    "InvokeEndpointAsync": {"EndpointName": "probe", "InputLocation": "s3://probe/probe"},
}

#: Headers, in lower case, that no two requests share. The signature's are the signer's.
PER_REQUEST = frozenset(
    {
        "amz-sdk-invocation-id",
        "authorization",
        "content-length",
        "x-amz-date",
        "x-amz-security-token",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where an operation's requests go, and what all of them have."""

    base_url: str
    """Scheme, host and port, and what precedes the operation's own path."""
    host: str
    signed_headers: Mapping[str, str]
    unsigned_headers: Mapping[str, str]
    signing_name: str
    signing_region: str


class Probe:
    """A caught request of one operation.

    Args:
        client: boto3's, for SageMaker Runtime; is asked, and sends nothing.
        operation: one of `OPERATIONS`.

    Raises:
        botocore.exceptions.BotoCoreError: what a real call would raise before it sends.
        ClientConfigurationError: the request is not signed with Signature Version 4.
    """

    def __init__(self, client: Any, operation: str) -> None:
        self._operation = operation
        self._model: ServiceModel = client.meta.service_model
        request = _catch(client, operation)
        self.url: str = request.url
        self.headers = {name: _text(value) for name, value in request.headers.items()}
        self._authorization = self.headers.get("Authorization", "")
        if not self._authorization.startswith(ALGORITHM + " "):
            raise ClientConfigurationError(
                "The AWS configuration asks for requests that are not signed with Signature "
                "Version 4; the transport `boto3` can make them, `fast` cannot."
            )

    @property
    def access_key(self) -> str:
        """Whose signature the request has."""
        return self._scope()[0]

    def route(self) -> Route:
        """Return what the request shares with all others of its operation."""
        own, shared = self._serialized(), self._shared()
        signed = self._signed_names()
        _, _, region, name, _ = self._scope()
        return Route(
            base_url=self.url.removesuffix(own["url_path"]),
            host=_host(self.url),
            signed_headers={k: v for k, v in shared.items() if k.lower() in signed},
            unsigned_headers={k: v for k, v in shared.items() if k.lower() not in signed},
            signing_name=name,
            signing_region=region,
        )

    def confirm(self, signer: Signer, credentials: "ReadOnlyCredentials") -> None:
        """Make sure that the signer signs this request as botocore did.

        Raises:
            ClientConfigurationError: it does not: the installed botocore signs otherwise.
        """
        own, route = self._serialized(), self.route()
        made = signer.sign(
            credentials,
            self.headers["X-Amz-Date"],
            host=route.host,
            path=urlsplit(self.url).path,
            headers=[*own["headers"].items(), *route.signed_headers.items()],
            body=own["body"],
        )
        if made["Authorization"] != self._authorization:
            raise ClientConfigurationError(
                "The installed botocore signs requests in a way that the transport `fast` does "
                "not know; use the transport `boto3`."
            )

    def _serialized(self) -> dict[str, Any]:
        serializer = create_serializer(self._model.resolved_protocol)
        operation = self._model.operation_model(self._operation)
        return dict(serializer.serialize_to_request(dict(OPERATIONS[self._operation]), operation))

    def _shared(self) -> dict[str, str]:
        own = {name.lower() for name in self._serialized()["headers"]} | PER_REQUEST
        return {name: value for name, value in self.headers.items() if name.lower() not in own}

    def _scope(self) -> list[str]:
        return self._part("Credential").split("/")

    def _signed_names(self) -> list[str]:
        return self._part("SignedHeaders").split(";")

    def _part(self, name: str) -> str:
        parts = self._authorization.removeprefix(ALGORITHM + " ").split(", ")
        return next(part.removeprefix(f"{name}=") for part in parts if part.startswith(f"{name}="))


def _catch(client: Any, operation: str) -> "AWSPreparedRequest":
    """Have a request made, signed, and answered before it is sent."""
    caught: list[AWSPreparedRequest] = []

    def answer(request: "AWSPreparedRequest", **_: object) -> AWSResponse:
        caught.append(request)
        raw = urllib3.HTTPResponse(io.BytesIO(b"{}"), preload_content=False)
        return AWSResponse(request.url, HTTPStatus.OK, HTTPHeaders(), raw)

    name = next(n for n, o in client.meta.method_to_api_mapping.items() if o == operation)
    event = f"before-send.sagemaker-runtime.{operation}"
    client.meta.events.register(event, answer)
    try:
        method: Callable[..., object] = getattr(client, name)
        method(**OPERATIONS[operation])
    finally:
        client.meta.events.unregister(event, answer)
    return caught[0]


def _host(url: str) -> str:
    """Return the Host header of a URL: its port is left out where it is the scheme's own."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in {None, default} else f"{host}:{parts.port}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
