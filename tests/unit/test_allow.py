"""What may be called, read and written: lists, and the tricks that would get around them."""

from fnmatch import fnmatchcase

import pytest
from celery_sagemaker.config import Settings, SettingsError
from celery_sagemaker.config.sections import AllowSettings
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.runtime.allow import (
    ANYTHING,
    Allowed,
    endpoint_matches,
    location_within,
)
from celery_sagemaker.runtime.exceptions import InvalidRequest, NotAllowed
from celery_sagemaker.runtime.requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from celery_sagemaker.runtime.s3 import S3Location
from celery_sagemaker.tasks import grants
from hypothesis import example, given
from hypothesis import strategies as st

IN = ("s3://bucket/in",)

#: Parts of keys, with all that means something to some layer below.
PARTS = st.sampled_from(
    ["in", "inner", "IN", "x", "", ".", "..", "%2e%2e", "%2E.", "in%2f..", "ä", " ", "\\", "..."]
)
KEYS = st.lists(PARTS, max_size=6).map("/".join)


@pytest.mark.parametrize(
    ("location", "held"),
    [
        ("s3://bucket/in/a", True),
        ("s3://bucket/in", True),
        ("s3://bucket/in/", True),
        ("s3://bucket/in//a", True),
        ("s3://bucket/in/a b%20c", True),
        ("s3://bucket/in/a..b", True),
        ("s3://bucket/inner/a", False),
        ("s3://bucket/in-evil/a", False),
        ("s3://bucket/In/a", False),
        ("s3://bucket/i", False),
        ("s3://bucket//in/a", False),
        ("s3://bucket", False),
        ("s3://bucket-evil/in/a", False),
        ("s3://bucket.evil/in/a", False),
        ("s3://Bucket/in/a", False),
        ("s3://evil/bucket/in/a", False),
        ("s3://bucket/in/../secret", False),
        ("s3://bucket/in/..", False),
        ("s3://bucket/in/./../secret", False),
        ("s3://bucket/in/%2e%2e/secret", False),
        ("s3://bucket/in/%2E./secret", False),
        ("s3://bucket/in/a%2f..%2f..%2fsecret", False),
        ("s3://arn:aws:s3:us-east-1:111122223333:accesspoint/bucket/in/a", False),
        ("s3://arn:aws:s3:us-east-1:111122223333:accesspoint:bucket/in/a", False),
        ("s3://bucket-abc123-s3alias/in/a", False),
    ],
)
def test_a_prefix_holds_what_lies_below_it(location: str, held: bool) -> None:
    """Of the same bucket, and ending where a part of the key ends."""
    found = S3Location.parse(location)
    assert location_within(found.bucket, found.key, IN) is held
    assert location_within(found.bucket, found.key, ("s3://bucket/in/",)) is held


@given(KEYS)
@example("in/../x")
@example("in")
def test_no_key_climbs_out(key: str) -> None:
    """What is held is below the prefix, as text, and no layer's idea of dots leads out of it."""
    if location_within("bucket", key, IN):
        assert key == "in" or key.startswith("in/")
        for text in (key, key.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/")):
            assert not {".", ".."} & set(text.split("/"))
    else:
        climbs = {".", "..", "%2e%2e", "%2E.", "in%2f.."} & set(key.split("/"))
        assert climbs or not (key == "in" or key.startswith("in/"))


@given(KEYS, st.lists(st.sampled_from(["in", "in/x", "", "x/in/"]), max_size=3))
def test_more_prefixes_hold_more(key: str, prefixes: list[str]) -> None:
    """A list holds what one of its prefixes holds; an empty one holds nothing."""
    urls = [f"s3://bucket/{prefix}" for prefix in prefixes]
    alone = [location_within("bucket", key, [url]) for url in urls]
    assert location_within("bucket", key, urls) is any(alone)
    assert not location_within("other", key, urls)


def test_a_prefix_that_is_listed_ends_in_a_slash() -> None:
    """LIST of `in` would show what is in `inner` as well."""
    assert location_within("bucket", "in/", IN, inside=True)
    assert not location_within("bucket", "in", IN, inside=True)
    assert location_within("bucket", "", ("s3://bucket",), inside=True)
    assert not location_within("bucket", "", IN, inside=True)


@pytest.mark.parametrize(
    ("name", "component", "patterns", "fits"),
    [
        ("chat", None, ["chat"], True),
        ("Chat", None, ["cHAT"], True),
        ("chat", "llama", ["chat"], True),
        ("chat", "llama", ["chat/llama"], True),
        ("chat", "other", ["chat/llama"], False),
        ("chat", None, ["chat/llama"], False),
        ("chat", None, ["chat/*"], False),
        ("chat-2", None, ["chat"], False),
        ("chat-2", None, ["chat-?"], True),
        ("chat-22", None, ["chat-?"], False),
        ("prod-a", "b", ["test-*", "prod-*"], True),
        ("prod-a/b", None, ["prod-*/c"], False),
        ("chat\n", None, ["chat"], False),
        ("chat", None, [], False),
        ("chat", None, ["*"], True),
    ],
)
def test_a_pattern_fits_names(
    name: str, component: str | None, patterns: list[str], fits: bool
) -> None:
    """Whole names, whatever their case; a component only where the pattern lets it."""
    assert endpoint_matches(name, component, patterns) is fits


@given(st.text(alphabet="abAB-*?", max_size=6), st.text(alphabet="abAB-", max_size=6))
def test_a_pattern_without_a_component_is_a_glob(pattern: str, name: str) -> None:
    """As the standard library has them."""
    assert endpoint_matches(name, None, [pattern]) is fnmatchcase(name.lower(), pattern.lower())


def test_nothing_given_is_anything() -> None:
    """And what is not allowed is an error of its own, which no policy tries again."""
    request = InvokeEndpointRequest(endpoint_name="any", body=b"")
    ANYTHING.check_request(request)
    ANYTHING.check_read("any", "../thing")
    ANYTHING.check_write("any", "thing")
    ANYTHING.check_location("https://any.example/thing")
    with pytest.raises(NotAllowed, match=r"allow\.endpoints does not have any\.") as caught:
        Allowed(endpoints=()).check_request(request)
    assert isinstance(caught.value, InvalidRequest)
    assert exceptions.from_json(caught.value.to_json()).endpoint == "any"


@pytest.mark.parametrize(
    "location",
    ["s3://bucket/out/x", "https://bucket.s3.amazonaws.com/in/x", "s3:///in", "S3://bucket/in/x"],
)
def test_an_input_location_is_read_by_the_endpoint(location: str) -> None:
    """With the endpoint's own role: so it is on the worker to ask whether it may."""
    request = InvokeEndpointAsyncRequest(endpoint_name="e", input_location=location)
    with pytest.raises(NotAllowed):
        Allowed(s3_read=IN).check_request(request)


def test_errors_stay_short() -> None:
    """A name of a megabyte is not repeated."""
    with pytest.raises(NotAllowed) as caught:
        Allowed(endpoints=()).check_endpoint("x" * 1_000_000, "y" * 1_000_000)
    assert len(str(caught.value.to_json())) < 1_000
    with pytest.raises(NotAllowed) as caught:
        Allowed(s3_read=()).check_location("x" * 1_000_000)
    assert len(str(caught.value.to_json())) < 1_000


def granted(**values: object) -> Allowed:
    """The limits of a deployment that has seen one endpoint write."""
    settings = Settings(
        prefix="ours", staging="s3://staging/here",
        endpoints={"e": {"output_path": "s3://set/out"}}, **values,
    )  # fmt: skip
    return grants.allowed(settings, lambda: ["s3://learnt", "s3://learnt-2/out"])


def test_what_a_deployment_needs_by_itself_is_granted() -> None:
    """Staging; what may be written may be read; outputs where this deployment lets them go."""
    limits = granted(allow={"s3_read": "s3://inputs/a", "s3_write": "s3://results/b"})
    for location in (
        "s3://inputs/a/x", "s3://staging/here/inputs/1", "s3://results/b/job/manifest.json",
        "s3://learnt/ours/2026010100/x", "s3://learnt-2/out/ours/x", "s3://set/out/ours/batch/1/x",
    ):  # fmt: skip
        limits.check_location(location)
    for location in ("s3://learnt/theirs/x", "s3://set/out/x", "s3://inputs/b", "s3://staging/x"):
        with pytest.raises(NotAllowed):
            limits.check_location(location)
    limits.check_write("staging", "here/x")
    limits.check_write("results", "b/x")
    for bucket, key in (("inputs", "a/x"), ("learnt", "ours/x"), ("results", "x")):
        with pytest.raises(NotAllowed):
            limits.check_write(bucket, key)


def test_lists_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With commas or spaces between; an empty list is nothing, and none is anything."""
    monkeypatch.setenv("CELERY_SAGEMAKER_ALLOW__ENDPOINTS", "prod-*, chat/llama")
    monkeypatch.setenv("CELERY_SAGEMAKER_ALLOW__S3_READ", "s3://bucket/in/ s3://other")
    allow = Settings.load().allow
    assert allow.endpoints == ("prod-*", "chat/llama")
    assert allow.s3_read == ("s3://bucket/in", "s3://other")
    assert allow.s3_write is None
    assert AllowSettings(s3_write=()).s3_write == ()


@pytest.mark.parametrize(
    "prefix", ["bucket/in", "https://bucket/in", "s3://B/in", "s3://bucket/.."]
)
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    """When the settings are read: a list with a mistake must not be a list that lets through."""
    with pytest.raises(SettingsError, match="s3_read"):
        Settings(allow={"s3_read": [prefix]})
