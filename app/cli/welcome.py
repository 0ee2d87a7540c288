"""The last lines that a started server prints: how to ask it."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.model_specs.prompt import PromptFormat

DEEPSEEK_CODER = "deepseek-coder-instruct:1_3"
KEY_VARIABLE = "CODESERVE_API_KEY"

Example = tuple[str, Mapping[str, object], str]
"""A method of OpenAI's client, what to call it with, and the text of a chunk."""


def welcome(url: str, models: list[ModelStatus], *, has_keys: bool = False) -> str:
    """Where the server is, how to ask the first of its ready ``models``, and how to serve
    DeepSeek Coder. ``has_keys``: it asks for API keys."""
    first = models[0]
    chats = first.info is not None and PromptFormat(first.info.variant).can_chat
    return (
        f"\ncodeserve is ready on {url} with {', '.join(status.id for status in models)}\n"
        f"{''.join(map(_engine_line, models))}\n"
        f"{first_request(url, first.id, chats=chats, has_keys=has_keys)}\n"
        "To serve DeepSeek Coder instead, stop this server and run:\n\n"
        f"{command_path()} serve --model {DEEPSEEK_CODER}\n"
    )


def first_request(url: str, model_id: str, *, chats: bool, has_keys: bool) -> str:
    """How to ask a model, in curl and in Python; with ``has_keys`` by a key in the environment."""
    method, request, text = (_chat_example if chats else _completion_example)(model_id)
    curl = _curl(f"{url}/v1/{method.replace('.', '/')}", request, has_keys=has_keys)
    python = _python(url, f"client.{method}.create", request, text, has_keys=has_keys)
    return f"Ask it with curl:\n\n{curl}\n\nOr with Python (pip install openai):\n\n{python}\n"


def _engine_line(status: ModelStatus) -> str:
    if status.state is ModelState.UNLOADED:
        return f"{status.id} loads with its first request, on {status.engine}.\n"
    return f"{status.id} runs on {status.engine}: {status.engine_reason}.\n"


def command_path() -> str:
    """This command, as one would type it here."""
    command = Path(sys.argv[0])
    found = shutil.which(command.name)
    if found is not None and os.path.samefile(found, command):
        return command.name
    path = Path(os.path.abspath(command))
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _chat_example(model_id: str) -> Example:
    message = {"role": "user", "content": "Write a Python function that reverses a string."}
    request = {"model": model_id, "messages": [message], "max_tokens": 256}
    return "chat.completions", request, 'chunk.choices[0].delta.content or ""'


def _completion_example(model_id: str) -> Example:
    prompt = "def reverse(text: str) -> str:\n"
    request = {"model": model_id, "prompt": prompt, "max_tokens": 64}
    return "completions", request, "chunk.choices[0].text"


def _curl(url: str, request: Mapping[str, object], *, has_keys: bool) -> str:
    data = json.dumps({**request, "stream": True}, ensure_ascii=False)
    headers = ["'Content-Type: application/json'"]
    if has_keys:
        headers.insert(0, f'"Authorization: Bearer ${KEY_VARIABLE}"')
    lines = (*(f"-H {header}" for header in headers), f"-d {shlex.quote(data)}")
    return " \\\n  ".join([f"curl -N {url}", *lines])


def _python(
    url: str, method: str, request: Mapping[str, object], text: str, *, has_keys: bool
) -> str:
    arguments = "".join(
        f"    {name}={json.dumps(value, ensure_ascii=False)},\n" for name, value in request.items()
    )
    key = f'os.environ["{KEY_VARIABLE}"]' if has_keys else '"none"'
    return (
        f"{'import os' if has_keys else ''}\n"
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{url}/v1", api_key={key})\n'
        f"stream = {method}(\n{arguments}    stream=True,\n)\n"
        "for chunk in stream:\n"
        f'    print({text}, end="", flush=True)'
    ).lstrip()
