"""From a folder of weights to vLLM's running processes."""

from pathlib import Path
from typing import Any

import vllm
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import StatLoggerBase

from codeserve.engines.base import Progress
from codeserve.engines.errors import ServingError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineConfig, EngineInfo
from codeserve.engines.vllm import arguments
from codeserve.engines.vllm.causes import last_error, load_error
from codeserve.engines.vllm.grammars import GrammarChecks
from codeserve.engines.vllm.options import VllmOptions
from codeserve.engines.vllm.output import Output
from codeserve.engines.vllm.phases import Phases
from codeserve.model_specs.spec import Variant

EXIT_SECONDS = 2.0
"""For vLLM's processes to end by themselves, before they are killed."""


class Steps(StatLoggerBase):  # type: ignore[misc]
    """Counts vLLM's steps and what they have done, as its scheduler reports them."""

    def __init__(self) -> None:
        self.completed = 0
        """Since the start."""
        self.waiting = 0
        """Requests that waited after the last step, for a slot or for room in the KV cache."""
        self.kv_usage = 0.0
        """Share of the KV cache that requests used after the last step."""
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.drafts_proposed = 0
        self.drafts_accepted = 0

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        """Take note of one step."""
        if scheduler_stats is None:
            return
        self.completed += 1
        self.waiting = scheduler_stats.num_waiting_reqs
        self.kv_usage = scheduler_stats.kv_cache_usage
        self.prefix_queries += scheduler_stats.prefix_cache_stats.queries
        self.prefix_hits += scheduler_stats.prefix_cache_stats.hits
        if (drafting := scheduler_stats.spec_decoding_stats) is not None:
            self.drafts_proposed += drafting.num_draft_tokens
            self.drafts_accepted += drafting.num_accepted_tokens

    def log_engine_initialized(self) -> None:
        """Nothing to say."""


class Loaded:
    """A running vLLM and what it was loaded from."""

    def __init__(
        self,
        llm: AsyncLLM,
        steps: Steps,
        output: Output,
        tokenizer: Tokenizer,
        info: EngineInfo,
    ) -> None:
        """``close`` must be called on the thread of this call."""
        self.llm = llm
        self.steps = steps
        self.tokenizer = tokenizer
        self.info = info
        self.drafts = llm.vllm_config.speculative_config is not None
        """Whether vLLM verifies drafts, and lets no processor of ours take part."""
        self.grammars = GrammarChecks(tokenizer, info, None if self.drafts else llm)
        self._output = output

    def last_words(self, error: BaseException) -> str:
        """Why vLLM ended, in a line."""
        return last_error(error, self._output.lines())

    def close(self) -> None:
        """End vLLM's processes."""
        self.llm.shutdown(timeout=EXIT_SECONDS)
        self._output.close()


def load(config: EngineConfig, options: VllmOptions, progress: Progress) -> Loaded:
    """Start vLLM; blocks for many seconds. Raises ModelLoadError."""
    progress("weights", 0.0)
    folder = Folder.read(Path(config.path))
    variant = folder.variant(config)
    tokenizer = Tokenizer(folder.vocabulary, variant)
    arguments.set_environment(options)
    output = Output(Phases(progress).read)
    steps = Steps()
    try:
        args = arguments.engine_args(config, folder, variant, options)
        llm = AsyncLLM.from_engine_args(args, stat_loggers=[lambda *_: steps])
    except ServingError:
        output.close()
        raise
    except (Exception, SystemExit) as error:
        output.close()
        raise load_error(error, output.lines()) from error
    output.ignore()
    return Loaded(llm, steps, output, tokenizer, _describe(config, folder, variant, llm))


def _describe(config: EngineConfig, folder: Folder, variant: Variant, llm: AsyncLLM) -> EngineInfo:
    settled = llm.vllm_config
    cache = settled.cache_config
    tokens = (cache.num_gpu_blocks or 0) * cache.block_size
    return EngineInfo(
        engine="vllm",
        engine_version=vllm.__version__,
        device=_device(settled),
        variant=variant,
        context_length=settled.model_config.max_model_len,
        max_concurrency=config.max_concurrency,
        trained_context_length=folder.trained_context_length,
        vocab_size=folder.vocabulary.size,
        parameters=folder.parameters,
        weights_bytes=folder.weights_bytes,
        settings={
            "dtype": str(settled.model_config.dtype).removeprefix("torch."),
            "quantization": settled.model_config.quantization,
            "kv_cache_tokens": tokens,
            "kv_cache_dtype": cache.cache_dtype,
            "block_size": cache.block_size,
            "enable_prefix_caching": cache.enable_prefix_caching,
            "max_num_batched_tokens": settled.scheduler_config.max_num_batched_tokens,
            "tensor_parallel_size": settled.parallel_config.tensor_parallel_size,
            "pipeline_parallel_size": settled.parallel_config.pipeline_parallel_size,
            "enforce_eager": settled.model_config.enforce_eager,
        },
    )


def _device(settled: Any) -> str:
    """Such as ``cpu`` or ``cuda (2 of NVIDIA H100)``."""
    kind = str(current_platform.device_type)
    if kind == "cpu":
        return kind
    return f"{kind} ({settled.parallel_config.world_size} of {current_platform.get_device_name()})"
