from codeserve.engines.vllm.causes import last_error, load_error

FAILED = RuntimeError("Engine core initialization failed. Failed core proc(s): {}")


def test_the_first_error_of_a_child_is_the_cause() -> None:
    output = [
        "Traceback (most recent call last):",
        '  File "weights.py", line 7, in load',
        "ValueError: There is no module or parameter named 'x' in LlamaForCausalLM.",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ]
    error = load_error(FAILED, output)
    assert error.message == (
        "vLLM could not load the model: There is no module or parameter named 'x' in "
        "LlamaForCausalLM."
    )


def test_an_error_of_this_process_is_the_cause_where_no_child_spoke() -> None:
    error = ValueError("outer")
    error.__cause__ = ValueError("Unknown quantization method: x\nmore")
    expected = "vLLM could not load the model: Unknown quantization method: x."
    assert load_error(error, []).message == expected


def test_a_validation_error_says_what_is_wrong() -> None:
    error = ValueError("1 validation error for VllmConfig\n  Value error, no [type=x, input=y]")
    assert load_error(error, []).message == "vLLM could not load the model: no."


def test_too_little_memory_says_what_to_lower() -> None:
    output = ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."]
    error = load_error(FAILED, output)
    assert error.code == "out_of_memory"
    assert "CUDA out of memory" in error.message
    assert "Lower context_length" in error.message


def test_a_child_that_the_kernel_killed_had_too_little_memory() -> None:
    error = load_error(RuntimeError("Failed core proc(s): {'EngineCore': -9}"), [])
    assert error.code == "out_of_memory"


def test_a_running_engine_ends_by_its_last_error() -> None:
    output = ["ValueError: long ago.", "RuntimeError: The kernel failed."]
    assert last_error(FAILED, output) == "The kernel failed."
