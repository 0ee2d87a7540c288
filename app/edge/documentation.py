"""The OpenAPI document, and a page that shows it without asking any other server for anything."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import metadata
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from pydantic.json_schema import models_json_schema
from starlette.middleware import Middleware
from starlette.responses import FileResponse, HTMLResponse, JSONResponse

from codeserve.app.edge.refusals import UnsupportedMediaType
from codeserve.app.edge.shapes import ErrorShape, ErrorShapes
from codeserve.engines.errors import (
    ClientError,
    DeadlineExceeded,
    ModelNotFound,
    ModelUnavailable,
    QueueFull,
    RequestTooLarge,
    ServerError,
    ServingError,
)

ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
"""What the page consists of."""

REFERENCE = "#/components/schemas/{model}"

EVENT_STREAM: Mapping[str, Any] = {
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "properties": {
                "event": {"type": "string"},
                "data": {"type": "string", "description": "JSON, or `[DONE]`."},
            },
            "required": ["data"],
        }
    }
}
"""The content of a response that is server-sent events, in the words of OpenAPI 3.2."""

JSON_LINES: Mapping[str, Any] = {"application/x-ndjson": {"itemSchema": {"type": "object"}}}
"""The content of a response that is a JSON object on each line."""

ALWAYS: Mapping[type[ServingError], str] = {ServerError: "The server broke."}

WITH_PARAMETERS: Mapping[type[ServingError], str] = {
    ClientError: "The request is malformed or asks too much.",
    ModelNotFound: "There is no such model.",
}

WITH_BODY: Mapping[type[ServingError], str] = {
    RequestTooLarge: "The body is too large.",
    UnsupportedMediaType: "The body is announced as something other than JSON.",
    QueueFull: "As many requests as allowed wait.",
    ModelUnavailable: "The model is loading, restarting or failed.",
    DeadlineExceeded: "The request ran out of its time.",
}


class DocumentedApi(FastAPI):
    """An application whose every operation is documented with the errors of its dialect."""

    def __init__(self, shapes: ErrorShapes, middleware: Sequence[Middleware]) -> None:
        package = metadata("codeserve")
        licence = package["License-Expression"]
        super().__init__(
            title=package["Name"],
            version=package["Version"],
            summary=package["Summary"],
            license_info={"name": licence, "identifier": licence},
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False},  # there are our own
            middleware=middleware,
        )
        self._shapes = shapes
        self._making = asyncio.Lock()
        self.add_route("/openapi.json", self._document, include_in_schema=False)
        self.add_route("/docs", self._page, include_in_schema=False)
        for name in ASSETS:
            self.add_route(f"/docs/{name}", _asset, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path, operation in operations(document):
                _describe_errors(operation, self._shapes.of(path))
            _define_errors(document, self._shapes)
        return super().openapi()

    async def _document(self, request: Request) -> JSONResponse:
        """Making it takes seconds, for which no stream shall wait."""
        async with self._making:
            return JSONResponse(await asyncio.to_thread(self.openapi))

    async def _page(self, request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=f"{self.title}: API",
            swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/favicon.png",
        )


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and description of every operation of an OpenAPI ``document``."""
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def request_examples(bodies: Mapping[str, Any]) -> dict[str, Any]:
    """The ``openapi_extra`` of a route that documents ``bodies``, by what each one does."""
    examples = {name: {"summary": name, "value": body} for name, body in bodies.items()}
    return {"requestBody": {"content": {"application/json": {"examples": examples}}}}


async def _asset(request: Request) -> FileResponse:
    name = request.url.path.rpartition("/")[2]
    return FileResponse(str(files("fastapi_offline") / "static" / name))


def _describe_errors(operation: dict[str, Any], shape: ErrorShape) -> None:
    """Document what can go wrong; the framework's own 422 never does."""
    responses = operation["responses"]
    responses.pop("422", None)
    errors = dict(ALWAYS)
    if "parameters" in operation or "requestBody" in operation:
        errors |= WITH_PARAMETERS
    if "requestBody" in operation:
        errors |= WITH_BODY
    schema = {"$ref": REFERENCE.format(model=shape.reply.__name__)}
    for kind, description in errors.items():
        status = str(shape.status(kind("")))
        content = {"application/json": {"schema": schema}}
        responses.setdefault(status, {"description": description, "content": content})


def _define_errors(document: dict[str, Any], shapes: ErrorShapes) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    replies = [shape.reply for shape in (shapes.default, *shapes.under.values())]
    _, definitions = models_json_schema(
        [(reply, "serialization") for reply in replies], ref_template=REFERENCE
    )
    schemas |= definitions["$defs"]
