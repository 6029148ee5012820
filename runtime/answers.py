"""From an HTTP answer to a response or an error, as botocore reads it. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from botocore.awsrequest import HeadersDict
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError, create_parser

from .exceptions import ConnectionLost, UnknownServiceError
from .responses import InvokeEndpointAsyncResponse, InvokeEndpointResponse
from .service import api_name

if TYPE_CHECKING:
    from botocore.model import ServiceModel, StructureShape

#: What botocore's parser raises when it meets what it does not expect.
UNREADABLE = (ResponseParserError, AttributeError, KeyError, TypeError, ValueError)


class Headers(Protocol):
    """Headers of an answer: names in any case, values as aiohttp decodes them."""

    def getall(self, key: str, default: None) -> list[str] | None:
        """Return all values of a name."""

    def keys(self) -> Any:
        """Return the names, one for each value."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: Headers
    body: bytes

    @property
    def good(self) -> bool:
        """Whether botocore would not make an error of it."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES


class AnswerReader:
    """Reads answers as a service model describes them."""

    def __init__(self, model: "ServiceModel") -> None:
        self._model = model
        self._parser = create_parser(model.resolved_protocol)
        self._header_of = _headers_of(model, InvokeEndpointResponse)

    def invoke_endpoint(self, answer: Answer) -> InvokeEndpointResponse:
        """Read a good answer of InvokeEndpoint: its headers only, the parser has no part in it."""
        found = {
            member: value
            for member, name in self._header_of
            if (value := joined(answer.headers, name)) is not None
        }
        return InvokeEndpointResponse(body=answer.body, **found)

    def invoke_endpoint_async(self, answer: Answer) -> InvokeEndpointAsyncResponse:
        """Read a good answer of InvokeEndpointAsync.

        Raises:
            ConnectionLost: it cannot be read; most often the rest of it is missing.
            UnknownServiceError: it does not say where the output will be.
        """
        shape = _output(self._model, "InvokeEndpointAsync")
        try:
            parsed = self._parser.parse(_botocore(answer), shape)
        except UNREADABLE as error:
            raise ConnectionLost(f"The answer cannot be read. ({error!r})") from error
        return async_response(parsed)

    def error(self, operation: str, answer: Answer) -> ClientError:
        """Return what botocore would raise for an answer that is not good."""
        try:
            return ClientError(self._parsed_error(operation, answer), operation)
        except UNREADABLE:
            # Not an answer of SageMaker's: its status has to say it all.
            bare = Answer(answer.status, answer.headers, b"")
            return ClientError(self._parsed_error(operation, bare), operation)

    def _parsed_error(self, operation: str, answer: Answer) -> Any:
        given = _botocore(answer)
        parsed = self._parser.parse(given, _output(self._model, operation))
        shape = self._model.shape_for_error_code(parsed.get("Error", {}).get("Code", ""))
        if shape is not None:
            parsed.update(self._parser.parse(given, shape))
        return parsed


def async_response(parsed: Mapping[str, Any]) -> InvokeEndpointAsyncResponse:
    """Return the response that botocore parsed.

    Raises:
        UnknownServiceError: it does not say where the output will be.
    """
    if "OutputLocation" not in parsed:
        raise UnknownServiceError("The answer to InvokeEndpointAsync has no OutputLocation.")
    return InvokeEndpointAsyncResponse(
        output_location=parsed["OutputLocation"],
        inference_id=parsed.get("InferenceId"),
        failure_location=parsed.get("FailureLocation"),
    )


def joined(headers: Headers, name: str) -> str | None:
    """Return a header as urllib3 would: repeated ones joined, bytes read as Latin-1."""
    values = headers.getall(name, None)
    if values is None:
        return None
    value = values[0] if len(values) == 1 else ", ".join(values)
    if value.isascii():
        return value
    # aiohttp has read UTF-8, and surrogates for what is none.
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


def _botocore(answer: Answer) -> dict[str, Any]:
    """Return the form in which botocore's parsers take an answer."""
    headers = HeadersDict({name: joined(answer.headers, name) for name in answer.headers.keys()})  # noqa: SIM118
    return {"status_code": answer.status, "headers": headers, "body": answer.body, "context": {}}


def _output(model: "ServiceModel", operation: str) -> "StructureShape":
    shape = model.operation_model(operation).output_shape
    assert shape is not None  # noqa: S101 - both operations answer something
    return shape


def _headers_of(
    model: "ServiceModel", response: type[InvokeEndpointResponse]
) -> list[tuple[str, str]]:
    """Return the response's members that are headers in the model, and those headers' names."""
    members = _output(model, response.operation).members
    found = ((m.name, members.get(api_name(m.name))) for m in fields(response))
    return [
        (member, described.serialization["name"])
        for member, described in found
        if described is not None and described.serialization.get("location") == "header"
    ]
