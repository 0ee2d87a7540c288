from codeserve.app.manager.startup import Startup
from codeserve.app.manager.status import ModelState, ModelStatus


def model(model_id: str, state: ModelState) -> ModelStatus:
    return ModelStatus(id=model_id, state=state, created=0, spec={})


def test_a_start_waits_while_models_are_being_launched() -> None:
    startup = Startup(list)
    with startup.launching():
        assert not startup.is_over
    assert startup.is_over


def test_a_start_waits_for_what_was_launched_then_and_not_for_what_comes_later() -> None:
    models = [model("first", ModelState.LOADING)]
    startup = Startup(lambda: models)
    with startup.launching():
        ...
    assert [one.id for one in startup.awaited] == ["first"]
    assert not startup.is_over
    models[:] = [model("first", ModelState.FAILED), model("later", ModelState.LOADING)]
    assert startup.is_over


def test_a_start_is_over_for_ever() -> None:
    models = [model("first", ModelState.UNLOADED)]
    startup = Startup(lambda: models)
    assert startup.is_over
    models[:] = [model("first", ModelState.PENDING)]
    assert startup.is_over
