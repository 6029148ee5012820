"""Requests as botocore's serializer makes them, which is asked once for all that are alike. No I/O.

The requests of a batch differ in their bodies and in what names the record. Both go to the wire as
they are, so the rest is serialized for the first such request and kept.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.serialize import create_serializer
from yarl import URL

from .requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from .service import api_name

if TYPE_CHECKING:
    from botocore.model import ServiceModel

    from .probe import Route

#: What a batch gives each record its own of, besides the body.
OF_A_RECORD = ("inference_id", "custom_attributes")

#: Kinds of requests that are kept: endpoints times content types and the like.
KINDS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Built:
    """A request before it is signed; every header in it is to be signed."""

    url: URL
    path: str
    headers: Mapping[str, str]
    body: bytes


class RequestBuilder:
    """Builds the requests of one operation.

    Args:
        model: the service as the client in use describes it.
        request_class: the operation's.
        route: where its requests go.
    """

    def __init__(
        self,
        model: "ServiceModel",
        request_class: type[InvokeEndpointRequest | InvokeEndpointAsyncRequest],
        route: "Route",
    ) -> None:
        self._model = model.operation_model(request_class.operation)
        self._serializer = create_serializer(model.resolved_protocol)
        self._route = route
        self._prefix = urlsplit(route.base_url).path
        self._record = list(self._record_headers())
        apart = {"body", *(member for member, _ in self._record)}
        self._kind = attrgetter(*(m.name for m in fields(request_class) if m.name not in apart))
        self._kept: OrderedDict[object, Built] = OrderedDict()

    def build(self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest) -> Built:
        """Return what is to be signed and sent.

        Raises:
            botocore.exceptions.ParamValidationError: the request cannot be serialized.
        """
        record = self._of_record(request)
        if record is None or not isinstance(request.body, bytes | None):
            return self._serialize(request.parameters())
        kind = (request.body is None, self._kind(request))
        kept = self._kept.get(kind) or self._keep(kind, request.parameters())
        return Built(kept.url, kept.path, {**kept.headers, **record}, request.body or b"")

    def _keep(self, kind: object, parameters: dict[str, Any]) -> Built:
        for member, _ in self._record:
            parameters.pop(api_name(member), None)
        made = self._kept[kind] = self._serialize(parameters)
        if len(self._kept) > KINDS_KEPT:
            self._kept.popitem(last=False)
        return made

    def _of_record(
        self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest
    ) -> dict[str, str] | None:
        """Return the headers of the record's members; None if botocore has to look at them."""
        found = {}
        for member, header in self._record:
            value = getattr(request, member)
            if isinstance(value, str) and value:
                found[header] = value
            elif value is not None:
                return None
        return found

    def _serialize(self, parameters: dict[str, Any]) -> Built:
        made = self._serializer.serialize_to_request(parameters, self._model)
        return Built(
            url=URL(self._route.base_url + made["url_path"], encoded=True),
            path=self._prefix + made["url_path"],
            headers={**made["headers"], **self._route.signed_headers},
            body=made["body"],
        )

    def _record_headers(self) -> Iterator[tuple[str, str]]:
        """Find the record's members that go to the wire as they are, and their headers' names."""
        shape = self._model.input_shape
        assert shape is not None  # noqa: S101 - both operations have members
        for member in OF_A_RECORD:
            found = shape.members.get(api_name(member))
            if found is None or found.type_name != "string" or "jsonvalue" in found.serialization:
                continue
            if found.serialization.get("location") == "header":
                yield member, found.serialization["name"]
