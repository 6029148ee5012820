"""Requests as botocore's serializer makes them, which is asked once for all that are alike. No I/O.

The requests of a batch differ in their bodies and in what names the record. Both go to the wire as
they are, so the rest is serialized for the first such request and kept.
"""

import re
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

#: Values that are valid for every member of a record, if they are not too long.
PLAIN = re.compile(r"[!-~][ -~]*")

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
        shape = self._model.input_shape
        self._members = shape.members if shape is not None else {}
        self._record = list(self._record_headers())
        self._longest_body = self._longest("Body")
        apart = {"body", *(member for member, _, _ in self._record)}
        self._kind = attrgetter(*(m.name for m in fields(request_class) if m.name not in apart))
        self._kept: OrderedDict[object, Built] = OrderedDict()

    def build(self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest) -> Built:
        """Return what is to be signed and sent.

        Raises:
            InvalidRequest: the service would refuse it.
            botocore.exceptions.ParamValidationError: botocore cannot serialize it.
        """
        kind = (request.body is None, self._kind(request))
        kept = self._kept.get(kind)
        plain = self._is_plain(request)
        if kept is None or not plain:
            request.validate()
            if not plain:
                return self._serialize(request.parameters())
            kept = self._keep(kind, request.parameters())
        headers = dict(kept.headers)
        for member, header, _ in self._record:
            if (value := getattr(request, member)) is not None:
                headers[header] = value
        return Built(kept.url, kept.path, headers, request.body or b"")

    def _is_plain(self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest) -> bool:
        """Whether body and record are surely valid, and sent as they are."""
        body = request.body
        if body is not None and (type(body) is not bytes or len(body) > self._longest_body):
            return False
        for member, _, longest in self._record:
            value = getattr(request, member)
            if value is None:
                continue
            if type(value) is not str or len(value) > longest or not PLAIN.fullmatch(value):
                return False
        return True

    def _keep(self, kind: object, parameters: dict[str, Any]) -> Built:
        for member, _, _ in self._record:
            parameters.pop(api_name(member), None)
        made = self._kept[kind] = self._serialize(parameters)
        if len(self._kept) > KINDS_KEPT:
            self._kept.popitem(last=False)
        return made

    def _serialize(self, parameters: dict[str, Any]) -> Built:
        made = self._serializer.serialize_to_request(parameters, self._model)
        return Built(
            url=URL(self._route.base_url + made["url_path"], encoded=True),
            path=self._prefix + made["url_path"],
            headers={**made["headers"], **self._route.signed_headers},
            body=made["body"],
        )

    def _record_headers(self) -> Iterator[tuple[str, str, int]]:
        """Find the record's members that are headers as they are; their names and lengths."""
        for member in OF_A_RECORD:
            found = self._members.get(api_name(member))
            if found is None or found.type_name != "string" or "jsonvalue" in found.serialization:
                continue
            if found.serialization.get("location") == "header" and "max" in found.metadata:
                yield member, found.serialization["name"], int(found.metadata["max"])

    def _longest(self, name: str) -> int:
        found = self._members.get(name)
        return int(found.metadata.get("max", 0)) if found is not None else 0
