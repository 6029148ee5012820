"""The admin routes: read and change how endpoints behave, read and clear the log of calls."""

import json
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import behaviours
from .calls import Calls
from .endpoints import Endpoints


class Admin:
    """Answers below `/_admin`; nothing there needs a signature."""

    def __init__(self, endpoints: Endpoints, calls: Calls) -> None:
        self._endpoints = endpoints
        self._calls = calls

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/_admin/endpoints/{name}"
        return [
            Route("/_admin/endpoints", self.index, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.put, methods=["PUT", "PATCH"]),
            Route("/_admin/calls", self.calls, methods=["GET"]),
            Route("/_admin/calls", self.clear, methods=["DELETE"]),
            Route("/_admin/counts", self.counts, methods=["GET"]),
        ]

    async def index(self, _: Request) -> Response:
        """List the endpoints with their behaviour."""
        found = self._endpoints.all()
        return JSONResponse({name: e.behaviour.model_dump() for name, e in found.items()})

    async def show(self, request: Request) -> Response:
        """Return one endpoint's behaviour."""
        found = self._endpoints.get(request.path_params["name"])
        return JSONResponse(found.behaviour.model_dump()) if found else _absent(request)

    async def put(self, request: Request) -> Response:
        """Replace one endpoint's behaviour, or (PATCH) some keys of it."""
        name = request.path_params["name"]
        found = self._endpoints.get(name)
        if found is None and request.method == "PATCH":
            return _absent(request)
        try:
            given = _object(await request.body())
            if found is not None and request.method == "PATCH":
                given = found.behaviour.model_dump(exclude_unset=True) | given
            self._endpoints.put(name, behaviours.parse(given))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return await self.show(request)

    async def calls(self, request: Request) -> Response:
        """List the last calls, refused ones too; `?endpoint=NAME` for one endpoint's."""
        found = self._calls.entries(request.query_params.get("endpoint"))
        return JSONResponse([asdict(entry) for entry in found])

    async def counts(self, _: Request) -> Response:
        """Count all calls by endpoint, operation, and error or status."""
        return JSONResponse(self._calls.counts())

    async def clear(self, _: Request) -> Response:
        """Forget calls and counts."""
        self._calls.clear()
        return Response(status_code=204)


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("the body is no JSON object")  # noqa: TRY004 - a wrong value of the caller
    return found


def _absent(request: Request) -> Response:
    return JSONResponse({"error": f"no endpoint {request.path_params['name']}"}, 404)
