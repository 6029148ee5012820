"""The AWS configuration of this process, as boto3 reads it; public interfaces of botocore only."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import botocore.httpsession
import botocore.session
import botocore.utils
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from .clients import ClientOptions
from .exceptions import ClientConfigurationError
from .probe import OPERATIONS, Probe, Route
from .service import SERVICE
from .signing import Signer
from .translation import translate

if TYPE_CHECKING:
    import ssl

    from botocore.credentials import Credentials
    from botocore.model import ServiceModel

#: What of a client's configuration shows in its requests; the other transport's has it too.
RETRIES = {"mode": "standard", "total_max_attempts": 1}


@dataclass(frozen=True, slots=True)
class AwsConfig:
    """What a transport has to know to call as boto3 would."""

    service_model: "ServiceModel"
    credentials: "Credentials"
    signer: Signer
    routes: Mapping[str, Route]
    proxy: str | None = field(repr=False)
    """A URL, perhaps with user and password."""
    ssl_context: "ssl.SSLContext"


def read(options: ClientOptions) -> AwsConfig:
    """Read the configuration. Blocks, perhaps on the metadata service or on STS.

    Raises:
        CredentialsUnavailable: there are none, or they cannot be had.
        ClientConfigurationError: it is wrong, or asks for another signature than Version 4.
    """
    with translate():
        core = botocore.session.get_session()
        session = boto3.session.Session(botocore_session=core)
        client = _client(session, options.region_name)
        try:
            probes = {operation: Probe(client, operation) for operation in OPERATIONS}
        finally:
            client.close()
        credentials = session.get_credentials()
        assert credentials is not None  # noqa: S101 - the probes are signed
        frozen = credentials.get_frozen_credentials()
    routes = {operation: probe.route() for operation, probe in probes.items()}
    route = routes["InvokeEndpoint"]
    signer = Signer(route.signing_name, route.signing_region)
    for probe in probes.values():
        if probe.access_key == frozen.access_key:  # not renewed just now
            probe.confirm(signer, frozen)
    return AwsConfig(
        service_model=client.meta.service_model,
        credentials=credentials,
        signer=signer,
        routes=routes,
        proxy=proxy(route.base_url),
        ssl_context=ssl_context(ca_bundle(core)),
    )


def _client(session: boto3.session.Session, region_name: str | None) -> Any:
    create: Callable[..., Any] = session.client
    config = Config(retries=RETRIES)  # type: ignore[arg-type]
    try:
        return create(SERVICE, region_name=region_name, config=config)
    except BotoCoreError:
        raise
    except ValueError as error:
        # An endpoint's address that is none.
        raise ClientConfigurationError(f"No client can be made: {error}.") from error


def proxy(url: str) -> str | None:
    """Return the proxy for an address, from HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""
    proxies = botocore.utils.get_environ_proxies(url)
    found: str | None = botocore.httpsession.ProxyConfiguration(proxies).proxy_url_for(url)
    return found


def ca_bundle(session: "botocore.session.Session") -> str:
    """Return AWS_CA_BUNDLE, `ca_bundle`, REQUESTS_CA_BUNDLE, or botocore's own bundle."""
    configured: str | None = session.get_config_variable("ca_bundle")
    if configured is None:
        configured = os.environ.get("REQUESTS_CA_BUNDLE")
    return configured or str(botocore.httpsession.get_cert_path(verify=True))


def ssl_context(bundle: str) -> "ssl.SSLContext":
    """Return the TLS settings that botocore connects with.

    Raises:
        ClientConfigurationError: the CA bundle cannot be read.
    """
    context: ssl.SSLContext = botocore.httpsession.create_urllib3_context()
    # botocore leaves this to urllib3, asyncio to the context.
    context.check_hostname = True
    try:
        context.load_verify_locations(bundle)
    except OSError as error:
        raise ClientConfigurationError(f"The CA bundle {bundle!r}: {error}") from error
    return context
