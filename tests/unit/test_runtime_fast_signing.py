"""The fast transport's signer against botocore's."""

import datetime as dt
from unittest import mock
from urllib.parse import quote, urlsplit

import hypothesis.strategies as st
from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from celery_sagemaker.runtime.signing import Signer
from hypothesis import example, given

#: Any text that a header can carry: inner and outer spaces of every kind, and all of Unicode.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40)
NAMES = st.sampled_from(
    [
        "Content-Type",
        "Accept",
        "X-Amzn-SageMaker-Inference-Id",
        "X-Amzn-SageMaker-Custom-Attributes",
        "x-amzn-sagemaker-target-model",
        "A",
        "X-Amz-Date-Of-Something",
        "Z-Z",
        *SIGNED_HEADERS_BLACKLIST,
        "User-Agent",
    ]
)
SEGMENTS = st.one_of(st.text(max_size=12), st.sampled_from(["..", ".", "", "~", "a b", "%2F"]))
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(map(quoted, parts)))
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
TIMES = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 1, 1))  # noqa: DTZ001


def quoted(text: str) -> str:
    """Encode a segment as botocore's serializer does."""
    return quote(text.encode("utf-8", "replace"), safe="~")


def botocore_signature(
    signer: Signer,
    credentials: ReadOnlyCredentials,
    now: dt.datetime,
    url: str,
    headers: dict[str, str],
    body: bytes,
) -> dict[str, str]:
    """Sign with botocore's own class; return what it adds."""
    request = AWSRequest("POST", url, headers, body)
    access_key, secret_key, token, _ = map(str, credentials)
    keys = Credentials(access_key, secret_key, token if credentials.token else None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(keys, signer.service_name, signer.region_name).add_auth(request)
    found = dict(request.headers.items())
    return {name: value for name, value in found.items() if name not in headers}


@given(
    hosts=st.sampled_from(["h.example", "h.example:8443", "127.0.0.1:1", "[::1]:80", "[fe80::1]"]),
    path=PATHS,
    headers=st.dictionaries(NAMES, VALUES, max_size=6),
    body=st.binary(max_size=100),
    token=st.none() | TEXTS.filter(lambda text: not set(text) & set("\r\n")),
    access_key=KEYS,
    secrets=st.lists(TEXTS, min_size=1, max_size=2),
    times=st.lists(TIMES, min_size=1, max_size=2),
    region=KEYS,
)
@example(
    hosts="runtime.sagemaker.eu-west-1.amazonaws.com",
    path="/endpoints/%C3%A9%20%2F/invocations",
    headers={"X-Amzn-SageMaker-Custom-Attributes": "  a \t b  ", "User-Agent": "not signed"},
    body=b"",
    token="a  token",
    access_key="AKIDEXAMPLE",
    secrets=["a secret", "another"],
    times=[dt.datetime(2026, 12, 31, 23, 59, 59), dt.datetime(2027, 1, 1)],  # noqa: DTZ001
    region="eu-west-1",
)
def test_signs_as_botocore_does(
    hosts: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    access_key: str,
    secrets: list[str],
    times: list[dt.datetime],
    region: str,
) -> None:
    """Date, token and authorization are botocore's, byte for byte, whatever was signed before."""
    signer = Signer("sagemaker", region)
    url = f"https://{hosts}{path}"
    for secret in secrets:
        for now in times:
            credentials = ReadOnlyCredentials(access_key, secret, token, None)
            made = signer.sign(
                credentials,
                now.strftime("%Y%m%dT%H%M%SZ"),
                host=hosts,
                path=urlsplit(url).path,
                headers=headers.items(),
                body=body,
            )
            assert made == botocore_signature(signer, credentials, now, url, headers, body)


def test_keeps_secrets_to_itself() -> None:
    """What is printed of a signer holds neither secret nor key."""
    signer = Signer("sagemaker", "eu-west-1")
    credentials = ReadOnlyCredentials("AKID", "a secret", None, None)
    signer.sign(credentials, "20260102T030405Z", host="h", path="/", headers=[], body=b"")
    assert repr(signer) == "Signer(service_name='sagemaker', region_name='eu-west-1')"
