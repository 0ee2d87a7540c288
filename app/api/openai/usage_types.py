"""What a request cost, in OpenAI's words."""

from pydantic import BaseModel


class PromptTokensDetails(BaseModel):
    """Where the prompt's tokens came from."""

    cached_tokens: int


class UsageReport(BaseModel):
    """Tokens of all choices together; a prompt counts once however many choices it has."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
