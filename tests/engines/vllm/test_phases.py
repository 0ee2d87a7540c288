from codeserve.engines.vllm.phases import Phases


def test_what_vllm_logs_becomes_phases() -> None:
    seen: list[tuple[str, float]] = []
    phases = Phases(lambda phase, fraction: seen.append((phase, fraction)))
    for line in (
        "Initializing a V1 LLM engine (v0.32.0) with config: model='tiny'",
        "Starting to load model tiny...",
        "Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<?, ?it/s]",
        "Loading weights took 0.06 seconds",
        "Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup.",
        "CPU KV cache size: 1,280 tokens, Maximum concurrency for 512 tokens per request: 2.50x",
        "init engine (profile, create kv cache, warmup model) took 0.02 s",
    ):
        phases.read(line)
    assert seen == [
        ("processes", 1.0),
        ("weights", 0.0),
        ("weights", 0.5),
        ("weights", 1.0),
        ("KV cache", 0.0),
        ("KV cache", 1.0),
    ]
