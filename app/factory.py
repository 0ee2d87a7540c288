"""The HTTP application, composed in one place."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from codeserve.app.api.admin.errors import AdminErrors
from codeserve.app.api.anthropic.errors import AnthropicErrors
from codeserve.app.api.llama_cpp.errors import LlamaCppErrors
from codeserve.app.api.metrics import METRICS_PATH
from codeserve.app.api.ollama.errors import OllamaErrors
from codeserve.app.api.responses.errors import ResponsesErrors
from codeserve.app.api.routers import OPEN_PATHS, api_routers
from codeserve.app.disk_space import weight_folders
from codeserve.app.edge.auth import Authentication
from codeserve.app.edge.bodies import BodyBudget, BodyLimit, JsonBodies
from codeserve.app.edge.documentation import DocumentedApi
from codeserve.app.edge.draining import RefuseWhileDraining
from codeserve.app.edge.early import EarlyStreams
from codeserve.app.edge.errors import OpenAIErrors, install_error_handlers
from codeserve.app.edge.exchange import Resources
from codeserve.app.edge.key_limits import LIMIT_HEADERS, KeyLimits
from codeserve.app.edge.methods import AnswerOptions, HeadAsGet
from codeserve.app.edge.middleware import RESPONSE_HEADERS, RequestContext, UnexpectedErrors
from codeserve.app.edge.observing import RequestObserver
from codeserve.app.edge.paths import TidyPath
from codeserve.app.edge.request_log import RequestLog
from codeserve.app.edge.routes import NoteRoute
from codeserve.app.edge.shapes import ErrorShapes
from codeserve.app.edge.sse import let_streams_finish
from codeserve.app.edge.unread import ReadToTheEnd
from codeserve.app.keys.key_file import LiveKeys
from codeserve.app.manager.drain import Drain
from codeserve.app.manager.manager import ModelManager
from codeserve.app.metrics.disks import Disks
from codeserve.app.metrics.metrics import Metrics
from codeserve.app.registrations import Registrations, families_folder
from codeserve.app.server_settings import ServerSettings
from codeserve.app.settings import Settings
from codeserve.app.tracing.opening import open_traces

OLLAMA = "/api"

ADMIN = (
    "/v1/models",
    "/v1/jobs",
    "/v1/events",
    "/v1/engines",
    "/v1/model_registrations",
    "/v1/cache",
)

ERROR_SHAPES = ErrorShapes(
    default=OpenAIErrors(),
    under={
        OLLAMA: OllamaErrors(),
        "/v1/messages": AnthropicErrors(),
        "/v1/responses": ResponsesErrors(),
        "/completion": LlamaCppErrors(),
        "/completions": LlamaCppErrors(),
        "/infill": LlamaCppErrors(),
        **dict.fromkeys(ADMIN, AdminErrors()),
    },
)


def build_app(settings: Settings, manager: ModelManager) -> FastAPI:
    """The application that serves the models of ``manager``, which the caller starts and stops.

    Raises KeyFileError, and SettingsError for a Redis server that cannot be asked.
    """
    let_streams_finish()
    metrics = Metrics(manager, Disks(weight_folders(settings.server.store)))
    observers = _observers(settings.server, metrics)
    middleware = _middleware(settings.server, manager.drain, observers)
    app = DocumentedApi(ERROR_SHAPES, middleware)
    install_error_handlers(app)
    registrations = Registrations(manager.catalog, families_folder(settings.server))
    for router, dependencies in api_routers(manager, registrations, metrics, settings.server):
        app.include_router(router, dependencies=dependencies)
    return app


def _middleware(
    settings: ServerSettings, drain: Drain, observers: Sequence[RequestObserver]
) -> list[Middleware]:
    """What surrounds every route, from the outside in."""
    return [
        Middleware(ReadToTheEnd),
        Middleware(TidyPath),
        Middleware(RequestContext, shapes=ERROR_SHAPES, observers=observers),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,
            expose_headers=(*RESPONSE_HEADERS, *LIMIT_HEADERS),
        ),
        Middleware(RefuseWhileDraining, drain=drain),
        Middleware(EarlyStreams, silence=settings.keepalive_seconds / 2),
        Middleware(UnexpectedErrors),
        Middleware(AnswerOptions),
        Middleware(HeadAsGet),
        *_key_middleware(settings),
        Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
        Middleware(BodyBudget, max_bytes=int(settings.max_buffered_bytes)),
        Middleware(JsonBodies, any_type_under=[OLLAMA]),
        Middleware(NoteRoute),
        Middleware(Resources),
    ]


def _key_middleware(settings: ServerSettings) -> list[Middleware]:
    """What asks for API keys, where that is wanted. Raises KeyFileError and SettingsError."""
    if settings.keys is None:
        return [Middleware(Authentication, keyring=None, open_paths=OPEN_PATHS)]
    from codeserve.app.keys.allowances import Allowances  # imports what counts, which takes long

    return [
        Middleware(
            Authentication,
            keyring=LiveKeys(settings.keys),
            open_paths=OPEN_PATHS,
            optional_paths={METRICS_PATH} if settings.open_metrics else (),
        ),
        Middleware(KeyLimits, allowances=Allowances(settings.redis)),
    ]


def _observers(settings: ServerSettings, metrics: Metrics) -> list[RequestObserver]:
    """Who is told of requests: traces first, as the log names the trace that they begin."""
    traces = [open_traces()] if settings.tracing else []
    return [*traces, RequestLog(), metrics]
