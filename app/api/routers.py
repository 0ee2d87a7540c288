"""Every route of the API, by dialect."""

from collections.abc import Iterator

from fastapi import APIRouter

from codeserve.app.api.admin.router import admin_router
from codeserve.app.api.anthropic.router import anthropic_router
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.health import health_router
from codeserve.app.api.llama_cpp.router import llama_cpp_router
from codeserve.app.api.metrics import metrics_router
from codeserve.app.api.mistral.router import mistral_router
from codeserve.app.api.ollama.router import ollama_router
from codeserve.app.api.openai.embeddings import embeddings_router
from codeserve.app.api.openai.router import openai_router
from codeserve.app.api.responses.router import responses_router
from codeserve.app.edge.origins import OwnPages
from codeserve.app.manager.manager import ModelManager
from codeserve.app.metrics.metrics import Metrics
from codeserve.app.registrations import Registrations
from codeserve.app.server_settings import ServerSettings


def api_routers(
    manager: ModelManager, registrations: Registrations, metrics: Metrics, settings: ServerSettings
) -> Iterator[APIRouter]:
    """The routers of the dialects that this server speaks; the first that has a path serves it."""
    responder = Responder(settings.keepalive_seconds)
    yield health_router(manager)
    yield metrics_router(metrics)
    pages = OwnPages(settings.cors_origins)
    yield admin_router(manager, registrations, pages, settings.keepalive_seconds)
    yield openai_router(manager, responder)
    yield embeddings_router(manager)
    yield ollama_router(manager, responder)
    yield llama_cpp_router(manager, responder)
    yield mistral_router(manager, responder)
    yield responses_router(manager, responder)
    yield anthropic_router(manager, responder)
