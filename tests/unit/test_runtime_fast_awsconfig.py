"""What the fast transport takes from boto3, against boto3's own client."""

import ssl
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.config import Config
from celery_sagemaker.runtime import awsconfig
from celery_sagemaker.runtime.clients import ClientOptions, Clients
from celery_sagemaker.runtime.exceptions import ClientConfigurationError, CredentialsUnavailable
from celery_sagemaker.runtime.probe import Probe
from celery_sagemaker.runtime.signing import Signer

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE")

CONFIG = """
[profile plain]
region = ap-southeast-2
aws_access_key_id = of-the-profile
aws_secret_access_key = secret

[profile elsewhere]
region = us-west-2
aws_access_key_id = elsewhere
aws_secret_access_key = secret
services = ours

[profile ignoring]
region = us-west-2
aws_access_key_id = ignoring
aws_secret_access_key = secret
services = ours
ignore_configured_endpoint_urls = true

[services ours]
sagemaker_runtime =
    endpoint_url = https://vpce.example:8443/prefix
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys, a region, and a configuration file; no proxy of the machine's own."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def boto3_client() -> Any:
    """Return the client of the other transport."""
    return Clients(ClientOptions()).runtime


ADDRESSES: list[tuple[dict[str, str], str, str]] = [
    ({}, "https://runtime.sagemaker.eu-west-1.amazonaws.com", "eu-west-1"),
    (
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn",
        "cn-north-1",
    ),
    (
        {"AWS_DEFAULT_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"},
        "https://runtime-fips.sagemaker.us-east-1.amazonaws.com",
        "us-east-1",
    ),
    (
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "https://runtime.sagemaker.eu-west-1.api.aws",
        "eu-west-1",
    ),
    ({"AWS_ENDPOINT_URL": "http://all.example:1"}, "http://all.example:1", "eu-west-1"),
    (
        {
            "AWS_ENDPOINT_URL": "http://all.example:1",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://h:80/a/",
        },
        "http://h:80/a",
        "eu-west-1",
    ),
    (
        {"AWS_ENDPOINT_URL": "http://all:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        "https://runtime.sagemaker.eu-west-1.amazonaws.com",
        "eu-west-1",
    ),
    (
        {"AWS_PROFILE": "elsewhere", "AWS_DEFAULT_REGION": "us-west-2"},
        "https://vpce.example:8443/prefix",
        "us-west-2",
    ),
    (
        {"AWS_PROFILE": "ignoring", "AWS_DEFAULT_REGION": "us-west-2"},
        "https://runtime.sagemaker.us-west-2.amazonaws.com",
        "us-west-2",
    ),
]


@pytest.mark.parametrize(("variables", "url", "region"), ADDRESSES, ids=str)
def test_address_and_region(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, region: str
) -> None:
    """Variables, FIPS, dual-stack and `services` sections decide as they do for boto3."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = awsconfig.read(ClientOptions())
    assert {route.base_url for route in found.routes.values()} == {url}
    assert (found.signer.service_name, found.signer.region_name) == ("sagemaker", region)


def test_host_is_without_the_schemes_own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Host header is what botocore signs."""
    for url, host in (
        ("http://H:80", "h"),
        ("https://h:80", "h:80"),
        ("http://[::1]:1", "[::1]:1"),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert awsconfig.read(ClientOptions()).routes["InvokeEndpoint"].host == host


def test_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile's region and keys are used."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "plain")
    found = awsconfig.read(ClientOptions())
    assert found.signer.region_name == "ap-southeast-2"
    assert found.credentials.access_key == "of-the-profile"


def test_region_of_the_options() -> None:
    """A region that the caller names comes first."""
    assert awsconfig.read(ClientOptions(region_name="sa-east-1")).signer.region_name == "sa-east-1"


def test_headers_of_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user agent is boto3's, and in a Lambda function the trace goes on; neither is signed."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "function")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-2-3")
    for route in awsconfig.read(ClientOptions()).routes.values():
        assert route.unsigned_headers["User-Agent"].startswith("Boto3/")
        assert route.unsigned_headers["X-Amzn-Trace-Id"] == "Root=1-2-3"
        assert route.unsigned_headers["amz-sdk-request"].startswith("attempt=1")
        assert len(route.unsigned_headers) == 3
        assert route.signed_headers == {}


PROXY_CASES: list[dict[str, str]] = [
    {},
    {"HTTPS_PROXY": "http://user:pass@proxy:3128"},
    {"https_proxy": "proxy:3128"},
    {"HTTP_PROXY": "http://proxy:3128"},
    {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "amazonaws.com"},
    {"HTTPS_PROXY": "//proxy:1", "NO_PROXY": "localhost"},
]


@pytest.mark.parametrize("variables", PROXY_CASES, ids=str)
def test_proxy(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """The proxy is the one that boto3's client would use."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = awsconfig.read(ClientOptions())
    proxies = boto3_client()._endpoint.http_session._proxy_config
    assert found.proxy == proxies.proxy_url_for(found.routes["InvokeEndpoint"].base_url)
    assert "pass@" not in repr(found)


@pytest.mark.parametrize("variable", [None, "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_ca_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str | None) -> None:
    """The CA bundle is the one that boto3's client would load."""
    default = awsconfig.ca_bundle(botocore.session.get_session())
    if variable is not None:
        (tmp_path / "bundle.pem").write_bytes(Path(default).read_bytes())
        monkeypatch.setenv(variable, str(tmp_path / "bundle.pem"))
    verify = boto3_client()._endpoint.http_session._verify
    found = awsconfig.ca_bundle(botocore.session.get_session())
    assert found == (default if verify is True else verify)


def test_tls_is_verified() -> None:
    """Certificates are verified, and their names are."""
    context = awsconfig.read(ClientOptions()).ssl_context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.get_ca_certs()


def test_unreadable_ca_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bundle that is not there is named."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(ClientConfigurationError, match=r"none\.pem"):
        awsconfig.read(ClientOptions())


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials there is no configuration."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialsUnavailable):
        awsconfig.read(ClientOptions())


def test_other_signatures_are_refused() -> None:
    """What is not signed with Signature Version 4 is left to the other transport."""
    create: Any = botocore.session.get_session().create_client
    client = create("sagemaker-runtime", config=Config(signature_version=botocore.UNSIGNED))
    with pytest.raises(ClientConfigurationError, match="boto3"):
        Probe(client, "InvokeEndpoint")


def test_a_botocore_that_signs_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer is compared with botocore's before anything is sent."""
    monkeypatch.setattr("botocore.auth.SigV4Auth._header_value", lambda _, value: value + "x")
    with pytest.raises(ClientConfigurationError, match="the transport `boto3`"):
        awsconfig.read(ClientOptions())


def test_the_signer_is_compared_for_every_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both probes are signed again."""
    signed: list[str] = []
    sign = Signer.sign

    def watched(self: Signer, *args: Any, **kwargs: Any) -> dict[str, str]:
        signed.append(kwargs["path"])
        return sign(self, *args, **kwargs)

    monkeypatch.setattr(Signer, "sign", watched)
    awsconfig.read(ClientOptions())
    assert signed == ["/endpoints/probe/invocations", "/endpoints/probe/async-invocations"]
