import pytest
from pydantic import BaseModel

from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from docs.write_settings import PAGE, docstrings, reference


def test_the_reference_is_what_the_code_says() -> None:
    assert PAGE.read_text() == reference(), "make settings writes it anew"


@pytest.mark.parametrize("settings", [ServerSettings, ModelSettings])
def test_every_setting_has_a_text(settings: type[BaseModel]) -> None:
    assert docstrings(settings).keys() == settings.model_fields.keys()
