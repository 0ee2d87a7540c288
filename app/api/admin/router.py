"""Xinference's routes for launching and managing models, and what they lack."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends

from codeserve.app.api.admin.cache import CacheHandler
from codeserve.app.api.admin.engines import EnginesHandler
from codeserve.app.api.admin.jobs import JobsHandler
from codeserve.app.api.admin.journals import EventList, JournalsHandler, LogLines
from codeserve.app.api.admin.launches import LaunchHandler
from codeserve.app.api.admin.models import AdminModelsHandler
from codeserve.app.api.admin.registrations import RegistrationsHandler
from codeserve.app.api.openai.models import ModelsHandler
from codeserve.app.edge.documentation import EVENT_STREAM, request_examples
from codeserve.app.edge.origins import OwnPages
from codeserve.app.manager.manager import ModelManager
from codeserve.app.registrations import Registrations

LAUNCHES = {
    "from a hub": {
        "model_engine": "vLLM",
        "model_name": "deepseek-coder-instruct",
        "model_size_in_billions": "1_3",
        "model_format": "pytorch",
        "quantization": "none",
    },
    "weights of your own": {
        "model_uid": "mine",
        "model_name": "deepseek-coder",
        "model_path": "/models/mine.gguf",
        "n_gpu": None,
        "load": "on_demand",
    },
}

FAMILY = """\
model_name = "my-coder"
description = "DeepSeek Coder, fine-tuned."
languages = ["en"]
abilities = ["generate"]

[[variants]]
name = "v1"
vocabulary = "deepseek-coder"
context_length = 16384

[[specs]]
size_in_billions = "1_3"
model_format = "ggufv2"
variant = "v1"
engines = ["llama.cpp"]
quantizations = ["Q4_K_M"]
default_quantization = "Q4_K_M"

[[specs.sources]]
hub = "huggingface"
model_id = "me/my-coder-GGUF"
file = "my-coder.{quantization}.gguf"
"""

Route = tuple[str, str, Callable[..., Any], str]

MODEL = "/v1/models/{model_id:path}"
JOB = "/v1/jobs/{job_id}"
FAMILIES = "/v1/model_registrations/{model_type}"


def admin_router(
    manager: ModelManager,
    registrations: Registrations,
    pages: OwnPages,
    keepalive_seconds: float,
) -> APIRouter:
    """Everything but the list of models, which is OpenAI's. Include this router before OpenAI's:
    an id may have slashes, and ``/v1/models/a/logs`` is a model's log."""
    router = APIRouter(tags=["admin"], dependencies=[Depends(pages)])
    _add_launches(router, LaunchHandler(manager))
    journals = JournalsHandler(manager, keepalive_seconds)
    models = AdminModelsHandler(manager, ModelsHandler(manager))
    jobs = JobsHandler(manager, keepalive_seconds)
    engines = EnginesHandler(manager)
    cache = CacheHandler(manager)
    _add(
        router,
        ("POST", f"{MODEL}/pin", models.pin, "Pin a model"),
        ("POST", f"{MODEL}/unpin", models.unpin, "Unpin a model"),
        ("POST", f"{MODEL}/unload", models.unload, "Unload a model"),
        ("DELETE", MODEL, models.terminate, "Terminate a model"),
        ("GET", "/v1/models/instances", models.instances, "List models as instances"),
        ("GET", "/v1/jobs", jobs.list_jobs, "List jobs"),
        ("GET", JOB, jobs.show_job, "Show a job"),
        ("POST", f"{JOB}/cancel", jobs.cancel_job, "Cancel a job"),
        ("GET", "/v1/engines/{model_type}/{model_name}", engines.of_family, "Match engines"),
        ("GET", "/v1/engines/{model_name}", engines.of_family_alone, "Match engines of an LLM"),
        ("GET", "/v1/cache/models", cache.list_models, "List weights"),
        ("GET", "/v1/cache/models/files", cache.list_files, "List files of weights"),
        ("DELETE", "/v1/cache/models", cache.remove, "Delete weights"),
    )
    _add_families(router, RegistrationsHandler(manager, registrations))
    _add_streams(router, jobs, journals)
    return router


def _add(router: APIRouter, *routes: Route) -> None:
    for method, path, handle, summary in routes:
        router.add_api_route(path, handle, methods=[method], summary=summary)


def _add_launches(router: APIRouter, launches: LaunchHandler) -> None:
    router.add_api_route(
        "/v1/models",
        launches.launch,
        methods=["POST"],
        summary="Launch a model",
        openapi_extra=request_examples(LAUNCHES),
    )
    _add(
        router,
        ("POST", f"{MODEL}/restart", launches.restart, "Restart a model"),
        ("POST", f"{MODEL}/cancel", launches.cancel, "Cancel a launch"),
        ("GET", f"{MODEL}/progress", launches.progress, "Show the progress of a launch"),
    )


def _add_families(router: APIRouter, families: RegistrationsHandler) -> None:
    router.add_api_route(
        FAMILIES,
        families.register,
        methods=["POST"],
        summary="Register a family",
        openapi_extra=request_examples({"a fine-tuned model": {"model": FAMILY}}),
    )
    _add(
        router,
        ("GET", FAMILIES, families.list_families, "List families"),
        ("GET", f"{FAMILIES}/{{model_name}}", families.show_family, "Show a family"),
        ("DELETE", f"{FAMILIES}/{{model_name}}", families.unregister, "Unregister a family"),
    )


def _add_streams(router: APIRouter, jobs: JobsHandler, journals: JournalsHandler) -> None:
    router.add_api_route(
        f"{JOB}/events",
        jobs.watch_job,
        summary="Watch a job",
        response_model=None,
        responses={200: {"description": "Server-sent events.", "content": EVENT_STREAM}},
    )
    for path, handle, summary, model in (
        ("/v1/events", journals.events, "List events", EventList),
        (f"{MODEL}/logs", journals.logs, "Show a model's log", LogLines),
    ):
        router.add_api_route(
            path,
            handle,
            summary=summary,
            response_model=None,
            responses={
                200: {
                    "model": model,
                    "description": "JSON, or with `follow` server-sent events.",
                    "content": EVENT_STREAM,
                }
            },
        )
