import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.footprint.vllm import GIB, fit, token_bytes
from codeserve.engines.vllm.memory import cores

CONFIG = {
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "hidden_size": 2048,
}


def test_a_tokens_size_follows_from_the_configuration() -> None:
    assert token_bytes(CONFIG, "float16") == 2 * 24 * 16 * 128 * 2
    assert token_bytes({**CONFIG, "num_key_value_heads": 4}, "float32") == 2 * 24 * 4 * 128 * 4


def test_the_cache_holds_every_request_where_there_is_room() -> None:
    length, cache = fit(4096, 16384, 4, 1000, 100 * GIB)
    assert (length, cache) == (4096, (4096 + 128) * 4 * 1000)


def test_requests_share_what_there_is() -> None:
    length, cache = fit(4096, 16384, 4, 1_000_000, 12 * 10**9)
    assert (length, cache) == (4096, 6 * 10**9)


def test_a_context_that_nobody_asked_for_fits() -> None:
    assert fit(None, 16384, 4, 1000, 100 * GIB)[0] == 8192
    assert fit(None, 4096, 4, 1000, 100 * GIB)[0] == 4096
    length, cache = fit(None, 16384, 4, 1_000_000, 4 * 10**9)
    assert 256 <= length <= 2000
    assert cache <= 2 * 10**9


def test_a_context_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ModelLoadError, match=r"4096 tokens takes 3\.9 GiB") as caught:
        fit(4096, 16384, 4, 1_000_000, 10**9)
    assert caught.value.code == "out_of_memory"


def test_every_core_is_used() -> None:
    assert cores()
