"""What ``codeserve doctor`` says of the hubs: where they are, and whether they answer."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

CREDENTIALS = re.compile("//[^/@]*@")

PROBE_SECONDS = 5.0
"""How long a hub may take to answer."""


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """A hub as the variables of its own client set it."""

    name: str
    endpoint: str
    variable: str
    """The environment variable that names another endpoint, such as a mirror."""
    token: bool
    """Whether there is one; it is never shown."""


class Reach(msgspec.Struct, frozen=True):
    """What came of asking a hub."""

    reachable: bool | None
    """None: it was not asked."""
    detail: str


NOT_ASKED = Reach(None, "not asked: offline")


def hubs_report(offline: bool) -> dict[str, Any]:
    """Every hub and whether it answers; offline none is asked."""
    hubs = (_huggingface(), _modelscope())
    with ThreadPoolExecutor(len(hubs)) as pool:
        answers = list(pool.map(_ask, hubs)) if not offline else [NOT_ASKED] * len(hubs)
    return {
        "offline": offline,
        "hubs": [
            {
                **msgspec.to_builtins(hub),
                **msgspec.to_builtins(reach),
                "endpoint": CREDENTIALS.sub("//", hub.endpoint),
            }
            for hub, reach in zip(hubs, answers, strict=True)
        ],
    }


def is_offline(setting: bool) -> bool:
    """Whether the settings or the variable of Hugging Face's client forbid the network."""
    from huggingface_hub import constants

    return setting or constants.is_offline_mode()


def hub_findings(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Advice for each hub that does not answer."""
    for hub in report["hubs"]:
        if hub["reachable"] is False:
            yield {
                "broken": False,
                "what": f"{hub['name']} at {hub['endpoint']} cannot be reached: {hub['detail']}.",
                "remedy": f"Check the network, set {hub['variable']} to a mirror, or bring weights "
                "by `codeserve export` and `codeserve import`. Where no network is wanted, set "
                "CODESERVE_OFFLINE=1.",
            }


def hub_lines(report: Mapping[str, Any]) -> dict[str, str]:
    """A line for each hub."""
    return {
        hub["name"]: f"{hub['endpoint']}; {hub['detail']}; "
        + ("a token is set" if hub["token"] else "no token")
        for hub in report["hubs"]
    }


def _huggingface() -> Hub:
    from huggingface_hub import constants, get_token

    return Hub(
        name="Hugging Face",
        endpoint=constants.ENDPOINT,
        variable="HF_ENDPOINT",
        token=get_token() is not None,
    )


def _modelscope() -> Hub:
    from modelscope_hub.config import HubConfig

    config = HubConfig()
    return Hub(
        name="ModelScope",
        endpoint=str(config.endpoint),
        variable="MODELSCOPE_ENDPOINT",
        token=bool(config.token),
    )


def _ask(hub: Hub) -> Reach:
    import httpx

    try:
        status = httpx.head(hub.endpoint, timeout=PROBE_SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Reach(False, str(error) or type(error).__name__)
    if status >= 500:
        return Reach(False, f"it answers with HTTP status {status}")
    return Reach(True, "reachable")
