"""What a task reads of its message: junk is refused as such, and errors stay short."""

from typing import Any

import pytest
from celery_sagemaker.runtime import InvokeEndpointRequest
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.tasks import messages
from celery_sagemaker.tasks.exceptions import MalformedMessage
from celery_sagemaker.tasks.messages import Message
from hypothesis import given
from hypothesis import strategies as st

REQUEST = InvokeEndpointRequest(endpoint_name="echo", body=b"x").to_json()

#: What is no name of an endpoint, or of an inference component.
NAMES: tuple[Any, ...] = (
    5, [], "", "a b", "a\n", "-a", "x" * 64, "x" * 100_000, "\ud800", "a/b", "\x00",
)  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read(**changes: Any) -> Message[InvokeEndpointRequest]:
    """Read a message with some of its members changed."""
    values = {"version": 1, "request": REQUEST, **changes}
    return Message.from_kwargs({"message": values}, InvokeEndpointRequest)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": True},
        {"version": "1"},
        {"version": 10**30},
        {"staged": 5},
        {"options": []},
        {"request": []},
        {"request": {**REQUEST, "x" * 5_000: 1}},
        *({"request": {**REQUEST, "endpoint_name": name}} for name in (None, *NAMES)),
        *({"request": {**REQUEST, "inference_component_name": name}} for name in NAMES),
    ],
)  # fmt: skip
def test_junk_is_refused(changes: dict[str, Any]) -> None:
    """With an error that does not repeat it at length."""
    with pytest.raises(MalformedMessage) as caught:
        read(**changes)
    assert len(caught.value.message) < 1_000


@given(JSON, st.sampled_from(["version", "request", "repeatable", "staged", "options"]))
def test_any_member_is_read_or_refused(value: Any, name: str) -> None:
    """Nothing else is raised."""
    try:
        found = read(**{name: value})
    except MalformedMessage:
        return
    assert found.repeatable is (name == "repeatable" and value is True)
    assert found.request.endpoint_name == "echo"


@given(JSON)
def test_any_request_is_read_or_refused(value: Any) -> None:
    """The same one level below."""
    for name in ("endpoint_name", "body", "inference_component_name"):
        try:
            found = read(request={**REQUEST, name: value})
        except MalformedMessage:
            continue
        assert messages.NAME.fullmatch(found.request.endpoint_name)


def test_a_keyword_of_a_megabyte_is_not_repeated() -> None:
    """A caller's mistake does not end up in a row, a result and a log at that length."""
    with pytest.raises(InvalidRequest) as caught:
        messages.compose(
            InvokeEndpointRequest, ("echo", "x"), {"k" * 1_000_000: 1}, defaults=lambda _: {}
        )
    assert len(caught.value.message) < 2_000


@pytest.mark.parametrize("name", ["echo", "Echo-2", "a" * 63, "a--b"])
def test_names_that_there_may_be_are_read(name: str) -> None:
    """As SageMaker's own pattern has them."""
    assert read(request={**REQUEST, "endpoint_name": name}).request.endpoint_name == name
    kwargs = {"message": {"request": {"endpoint_name": name}}}
    assert messages.endpoint_of(kwargs) == name
    assert not messages.endpoint_of({"message": {"request": {"endpoint_name": f"{name}\n"}}})
