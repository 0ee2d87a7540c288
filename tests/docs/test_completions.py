import re
from pathlib import Path

from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.api.openai.ignored import IGNORED
from codeserve.app.api.openai.unsupported import CHAT, COMPLETION, GENERATION, STRUCTURED_OUTPUTS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "completions.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """The second column of a section's table by the fields in the first."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    columns = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {
        field: column[2].strip()
        for column in columns
        for field in re.findall(r"`(\S+)`", column[1])
    }


def test_the_page_names_every_field_that_is_honoured() -> None:
    assert set(rows("Honoured")) == set(CompletionRequest.model_fields)


def test_the_page_names_every_field_that_is_refused() -> None:
    assert set(rows("Refused")) - {"left", "structured_outputs"} == {
        *COMPLETION,
        *STRUCTURED_OUTPUTS,
    }


def test_the_page_on_chats_names_what_only_chats_refuse() -> None:
    section = (DOCS / "chat.md").read_text().partition("## Refused\n")[2].partition("\n## ")[0]
    names = set(re.findall(r"`(\w+)`", section)) - {"unsupported_parameter", "invalid_value"}
    assert names == CHAT.keys() - GENERATION.keys()


def test_the_page_gives_the_reason_for_every_field_that_is_ignored() -> None:
    assert rows("Ignored") == IGNORED
