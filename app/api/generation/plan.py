"""What one request wants generated."""

from collections.abc import Sequence

import msgspec

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import TextRequest
from codeserve.model_specs.segments import PromptSegments

MAX_CHOICES = 256
"""Prompts times choices of one request, also where a model takes more."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts, each continued as often as asked for."""

    id: str
    prompts: Sequence[PromptSegments]
    choices_per_prompt: int = 1
    request: TextRequest = TextRequest()
    """How each prompt is continued: everything but the prompt and the ids. ``max_tokens`` 0
    generates nothing, but computes the prompt where a report on it is asked for."""

    @property
    def generates(self) -> bool:
        """Whether any token is asked for."""
        return self.request.max_tokens != 0

    @property
    def choices(self) -> int:
        """Of all prompts together."""
        return len(self.prompts) * self.choices_per_prompt

    def requests(self, most: int = MAX_CHOICES) -> list[TextRequest]:
        """One request for each choice; choice j of prompt i comes at ``i * choices_per_prompt + j``
        and is drawn with the seed plus j. Raises InvalidRequest for more than ``most``, which is
        what the model ever takes at once."""
        most = min(most, MAX_CHOICES)
        if self.choices > most:
            raise InvalidRequest(
                f"The request asks for {self.choices} choices ({len(self.prompts)} prompts, "
                f"{self.choices_per_prompt} choices each), but one request may have at most "
                f"{most}.",
                param="n" if self.choices_per_prompt > 1 else "prompt",
                code="integer_above_max_value",
            )
        return [
            self._request(prompt_index * self.choices_per_prompt + choice, prompt, choice)
            for prompt_index, prompt in enumerate(self.prompts)
            for choice in range(self.choices_per_prompt)
        ]

    def _request(self, index: int, prompt: PromptSegments, choice: int) -> TextRequest:
        sampling, replace = self.request.sampling, msgspec.structs.replace
        if sampling.seed is not None and choice:
            sampling = replace(sampling, seed=sampling.seed + choice)
        return replace(
            self.request,
            id=f"{self.id}-{index}",
            prompt=prompt,
            max_tokens=self.request.max_tokens if self.generates else 1,
            sampling=sampling,
        )
