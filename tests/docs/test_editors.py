import json
import re
import tomllib
from pathlib import Path

from codeserve.app.settings import Settings
from codeserve.model_specs.catalog import Catalog

PAGE = (Path(__file__).parents[2] / "docs" / "editors.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_server_of_the_page_can_be_started(tmp_path: Path) -> None:
    file = tmp_path / "codeserve.toml"
    file.write_text(snippets("toml")[0])
    base, instruct = Settings.load(file).models

    variants = []
    for model in (base, instruct):
        assert model.model_name is not None
        family = Catalog.load().family(model.model_name)
        assert "deepseek" in model.id
        [spec] = [
            spec
            for spec in family.specs
            if (spec.size_in_billions, spec.model_format)
            == (model.size_in_billions, model.model_format)
        ]
        variants.append(family.variant(spec.variant))
    assert variants[0].fim is not None
    assert variants[1].chat_template is not None


def test_plugins_ask_for_models_of_that_server() -> None:
    served = {model["id"] for model in tomllib.loads(snippets("toml")[0])["models"]}
    asked = set(re.findall(r"\bdeepseek-coder-\w+", PAGE))
    assert asked == served


def test_snippets_are_well_formed() -> None:
    for text in snippets("toml"):
        assert tomllib.loads(text)
    for text in snippets("json"):
        assert json.loads(text)
