"""Every route of the API, by dialect."""

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Depends
from fastapi.params import Depends as Dependency

from codeserve.app.api.admin.cluster import cluster_router
from codeserve.app.api.admin.router import admin_router
from codeserve.app.api.anthropic.router import anthropic_router
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.health import health_router
from codeserve.app.api.llama_cpp.router import llama_cpp_router
from codeserve.app.api.metrics import metrics_router
from codeserve.app.api.mistral.router import mistral_router
from codeserve.app.api.ollama.router import ollama_router
from codeserve.app.api.openai.embeddings import embeddings_router
from codeserve.app.api.openai.router import models_router, openai_router
from codeserve.app.api.responses.router import responses_router
from codeserve.app.edge.auth import Needs
from codeserve.app.edge.origins import OwnPages
from codeserve.app.keys.key import KeyScope
from codeserve.app.manager.manager import ModelManager
from codeserve.app.metrics.metrics import Metrics
from codeserve.app.registrations import Registrations
from codeserve.app.server_settings import ServerSettings

OPEN_PATHS = frozenset(
    {"/livez", "/readyz", "/startupz", "/health", "/v1/health", "/v1/cluster/auth"}
)
"""Probes, whose senders have no key, and what Xinference's clients ask before they send theirs."""

Guarded = tuple[APIRouter, Sequence[Dependency]]
"""A router, and what all its routes ask for first."""


def api_routers(
    manager: ModelManager, registrations: Registrations, metrics: Metrics, settings: ServerSettings
) -> Iterator[Guarded]:
    """The routers of the dialects that this server speaks; the first that has a path serves it.

    Those that generate come first, by how many requests they get and how few routes they have: a
    request is compared with every route before its own.
    """
    responder = Responder(settings.keepalive_seconds)
    pages = OwnPages(settings.cors_origins)
    admin = admin_router(manager, registrations, pages, settings.keepalive_seconds)
    for router in (
        openai_router(manager, responder),
        anthropic_router(manager, responder),
        mistral_router(manager, responder),
        embeddings_router(manager),
        llama_cpp_router(manager, responder),
        ollama_router(manager, responder),
        responses_router(manager, responder),
    ):
        yield router, _needs(KeyScope.INFERENCE)
    yield health_router(manager), ()
    yield cluster_router(has_keys=settings.keys is not None), ()
    yield metrics_router(metrics), _needs(KeyScope.METRICS)
    yield admin, _needs(KeyScope.ADMIN)
    yield models_router(manager), _needs(KeyScope.INFERENCE, KeyScope.ADMIN)


def _needs(*parts: KeyScope) -> Sequence[Dependency]:
    return [Depends(Needs(*parts))]
