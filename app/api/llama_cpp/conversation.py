"""POST /apply-template: what a conversation becomes."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from codeserve.app.api.generation.model_choice import ModelChoice, can_chat
from codeserve.app.api.openai.body import Body
from codeserve.app.api.openai.fields import MessageText
from codeserve.app.edge.auth import CurrentKey
from codeserve.app.manager.lease import LeasedModel
from codeserve.model_specs.segments import Content, Control, PromptSegments, Segment, Text


class Turn(Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: MessageText = None


class TemplateRequest(Body):
    """POST /apply-template."""

    model: str | None = None
    messages: Annotated[list[Turn], Field(min_length=1)]
    add_generation_prompt: bool | None = None


class RenderedTemplate(BaseModel):
    """The prompt as text."""

    prompt: str


class TemplateHandler:
    """Serves POST /apply-template."""

    def __init__(self, models: ModelChoice) -> None:
        self._models = models

    async def handle(self, body: TemplateRequest, key: CurrentKey) -> RenderedTemplate:
        """The conversation's prompt, without the BOS, which ``/completion`` puts before it."""
        async with self._models.lease(key, body.model, can_chat) as model:
            segments = conversation(
                body.messages, model, with_reply_prompt=body.add_generation_prompt is not False
            )
            bos = Control(model.prompts.variant.bos or "")
        return RenderedTemplate(prompt="".join(_text(part) for part in segments if part != bos))


def conversation(
    turns: Sequence[Turn], model: LeasedModel, *, with_reply_prompt: bool
) -> PromptSegments:
    """The prompt of ``turns``. Raises PromptError for a model that has no chat template."""
    messages = [{"role": turn.role, "content": turn.content or ""} for turn in turns]
    return model.prompts.chat(messages, add_generation_prompt=with_reply_prompt)


def _text(segment: Segment) -> str:
    match segment:
        case Control(token):
            return token
        case Text(text) | Content(text):
            return text
        case _:
            return ""
