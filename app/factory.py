"""The HTTP application, composed in one place."""

from fastapi import FastAPI
from starlette.middleware import Middleware

from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.routers import api_routers
from codeserve.app.edge.errors import install_error_handlers
from codeserve.app.edge.middleware import BodyLimit, HeadAsGet, RequestContext
from codeserve.app.edge.sse import let_streams_finish
from codeserve.app.manager.manager import ModelManager
from codeserve.app.settings import Settings


def build_app(settings: Settings, manager: ModelManager) -> FastAPI:
    """The application that serves the models of ``manager``, which the caller starts and stops."""
    let_streams_finish()
    app = FastAPI(
        title="codeserve",
        summary="OpenAI-compatible server for DeepSeek Coder models",
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(RequestContext),
            Middleware(HeadAsGet),
            Middleware(BodyLimit, max_bytes=settings.server.max_body_bytes),
        ],
    )
    install_error_handlers(app)
    for router in api_routers(manager, Responder(settings.server.keepalive_seconds)):
        app.include_router(router)
    return app
