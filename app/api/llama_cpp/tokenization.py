"""Text to token ids and back, in llama.cpp's dialect and in vLLM's, which share their paths."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from codeserve.app.api.generation.model_choice import ModelChoice, can_chat, can_fill
from codeserve.app.api.llama_cpp.completion import without_bos
from codeserve.app.api.llama_cpp.conversation import Turn, conversation
from codeserve.app.api.llama_cpp.fields import LARGEST_ID, check_ids
from codeserve.app.api.openai.body import Body
from codeserve.app.edge.auth import CurrentKey
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.worker.wire import Tokenized
from codeserve.model_specs.segments import Content, Control, PromptSegments

FORMS = ("content", "prompt", "messages")


class TokenizeRequest(Body):
    """POST /tokenize: ``content`` in llama.cpp's dialect, ``prompt`` or ``messages`` in vLLM's."""

    model: str | None = None
    content: str | None = None
    add_special: bool | None = None
    """Begin with the BOS; llama.cpp's default is not to."""
    parse_special: bool | None = None
    """Control tokens spelled in ``content`` are meant; the default."""
    with_pieces: bool | None = None
    prompt: str | None = None
    add_special_tokens: bool | None = None
    """Begin with the BOS; vLLM's default for ``prompt``. A conversation has one in any case."""
    messages: Annotated[list[Turn] | None, Field(min_length=1)] = None
    add_generation_prompt: bool | None = None
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(getattr(self, name) is not None for name in FORMS) != 1:
            raise PydanticCustomError(
                "invalid_value",
                "give one of 'content', 'prompt' and 'messages'.",
                {"param": "content"},
            )
        return self


class DetokenizeRequest(Body):
    """POST /detokenize."""

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0, le=LARGEST_ID)]]


class TokenPiece(BaseModel):
    """A token of a text."""

    id: int
    piece: str | list[int]
    """Its text, or its bytes where they are no text."""


class NativeTokens(BaseModel):
    """llama.cpp's reply."""

    tokens: list[int] | list[TokenPiece]


class CountedTokens(BaseModel):
    """vLLM's reply."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class Detokenized(BaseModel):
    """The text, once for each dialect."""

    content: str
    prompt: str


class TokenizationHandler:
    """Serves POST /tokenize and POST /detokenize."""

    def __init__(self, models: ModelChoice) -> None:
        self._models = models

    async def tokenize(
        self, body: TokenizeRequest, key: CurrentKey
    ) -> NativeTokens | CountedTokens:
        """The tokens of a text or of a conversation."""
        able = can_chat if body.messages else can_fill
        async with self._models.lease(key, body.model, able) as model:
            tokenized = await model.tokenize(_segments(body, model))
            if body.content is not None:
                return NativeTokens(tokens=_native(tokenized, with_pieces=bool(body.with_pieces)))
            return CountedTokens(
                count=len(tokenized.token_ids),
                max_model_len=model.info.context_length,
                tokens=list(tokenized.token_ids),
                token_strs=[spelling.decode(errors="replace") for spelling in tokenized.spellings]
                if body.return_token_strs
                else None,
            )

    async def detokenize(self, body: DetokenizeRequest, key: CurrentKey) -> Detokenized:
        """The text of tokens, control tokens by their names."""
        async with self._models.lease(key, body.model) as model:
            check_ids(body.tokens, "tokens", model.info.vocab_size)
            text = await model.detokenize(body.tokens)
        return Detokenized(content=text, prompt=text)


def _segments(body: TokenizeRequest, model: LeasedModel) -> PromptSegments:
    if body.messages is not None:
        return conversation(
            body.messages, model, with_reply_prompt=body.add_generation_prompt is not False
        )
    if body.prompt is not None:
        with_bos = body.add_special_tokens is not False
        return _trusted(body.prompt, model, with_bos=with_bos)
    text, with_bos = body.content or "", bool(body.add_special)
    if body.parse_special is not False:
        return _trusted(text, model, with_bos=with_bos)
    bos = model.prompts.variant.bos
    return (*((Control(bos),) if with_bos and bos else ()), Content(text))


def _trusted(text: str, model: LeasedModel, *, with_bos: bool) -> PromptSegments:
    return model.prompts.raw(text) if with_bos else without_bos(text, model.prompts)


def _native(tokenized: Tokenized, *, with_pieces: bool) -> Any:
    if not with_pieces:
        return list(tokenized.token_ids)
    pairs = zip(tokenized.token_ids, tokenized.spellings, strict=True)
    return [TokenPiece(id=token_id, piece=_piece(spelling)) for token_id, spelling in pairs]


def _piece(spelling: bytes) -> str | list[int]:
    try:
        return spelling.decode()
    except UnicodeDecodeError:
        return list(spelling)
