"""The types of models and the machines that Xinference's paths and parameters name."""

from codeserve.engines.errors import NothingStored, UnsupportedFeature

LLM = "llm"


def check_kind(model_type: str) -> None:
    """Raise NothingStored for a type of models that are not served here."""
    if model_type.lower() != LLM:
        raise NothingStored(
            f"There are no models of the type {model_type!r} here, but of the type 'LLM'.",
            param="model_type",
        )


def check_worker(worker_ip: str | None) -> None:
    """Raise UnsupportedFeature where one of several machines is asked for."""
    if worker_ip:
        raise UnsupportedFeature(
            "This server runs models on its own machine. Remove the parameter 'worker_ip' from "
            "the request.",
            param="worker_ip",
        )
