"""What manifests tell the server is what the server understands."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from codeserve.app.cli.main import build_cli
from codeserve.app.memory.planner import FORMULAS
from codeserve.app.model_settings import ModelSettings
from codeserve.app.settings import Settings
from codeserve.engines.footprint.footprint import Footprint, Load
from codeserve.model_specs.catalog import Catalog, Selection
from codeserve.model_specs.hub.artifact import artifacts
from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub
from codeserve.model_specs.weights_head import WeightsHead
from tests.deploy.conftest import Overlays
from tests.deploy.manifests import (
    Manifest,
    config_text,
    containers,
    gibibytes,
    has_image,
    named,
    of_kind,
    pod_templates,
    server_templates,
)

GIB = 1024**3
SMALLEST_GPU = 24 * GIB
"""What the GPUs of the overlays have at least."""
ENGINE_IMAGES = {"llama.cpp": "llama-cpp", "vllm": "vllm"}


def settings_of(manifests: Sequence[Manifest], folder: Path) -> Settings:
    """The embedded configuration, as the server reads it."""
    file = folder / "config.toml"
    file.write_text(config_text(manifests))
    return Settings.load(file)


def model_of(manifests: Sequence[Manifest]) -> dict[str, str]:
    """What the overlay's pull is told."""
    found: list[dict[str, str]] = [
        one["data"] for one in of_kind(manifests, "ConfigMap") if "MODEL" in one["data"]
    ]
    return found[0] if found else {}


def pulled(manifests: Sequence[Manifest]) -> Selection | None:
    """The weights that the overlay's job fetches; None: it has no job."""
    variables = model_of(manifests)
    if not variables:
        return None
    reference = ModelSettings.from_reference(variables["MODEL"])
    return selected(reference.model_copy(update={"model_format": variables["MODEL_FORMAT"]}))


def selected(model: ModelSettings) -> Selection:
    assert model.model_name is not None
    return Catalog.load().select(
        model.model_name,
        size_in_billions=model.size_in_billions,
        model_format=model.model_format,
        quantization=model.quantization,
    )


def in_image(path: Path) -> Selection:
    """The catalogue's weights whose file has that name."""
    catalog = Catalog.load()
    [found] = [
        catalog.select(
            family.model_name,
            size_in_billions=spec.size_in_billions,
            model_format=spec.model_format,
            quantization=quantization,
        )
        for family in catalog.families
        for spec in family.specs
        for quantization in spec.quantizations
        if any(path.name in artifact.files for artifact in artifacts(spec, quantization))
    ]
    return found


def weights_of(manifests: Sequence[Manifest], model: ModelSettings) -> Selection:
    """The weights that the server finds: pulled, in an image, or in the server's own package."""
    if fetched := pulled(manifests):
        return fetched
    return in_image(model.path) if model.path else selected(model)


def snapshot(selection: Selection) -> Path:
    """Where Hugging Face's client puts the weights in the container."""
    [source] = [one for one in selection.spec.sources if one.hub is Hub.HUGGINGFACE]
    repository = source.model_id.replace("/", "--")
    assert source.revision is not None
    return Path("/models/huggingface/hub", f"models--{repository}", "snapshots", source.revision)


def head_of(selection: Selection) -> WeightsHead:
    """What is known of the weights: by their files where they come with the server."""
    found = WeightsHead.of_spec(selection.family, selection.spec, selection.quantization)
    return found or WeightsHead.read(locate(selection.spec.sources[0]))


def footprint(model: ModelSettings, selection: Selection, memory: int, gpus: int) -> Footprint:
    """What the server reckons with before it loads the model on ``gpus`` of the smallest kind."""
    head = head_of(selection)
    assert head.network is not None
    load = Load(
        head=head,
        network=head.network,
        concurrency=model.max_concurrency,
        context_length=model.context_length,
        trained_context_length=selection.variant.context_length,
        quantization=None,
        options=model.options,
        free_bytes=memory,
        gpus=(SMALLEST_GPU,) * gpus,
    )
    return FORMULAS[model.engine or "llama.cpp"](load)


def commands(manifests: Sequence[Manifest]) -> Iterator[list[str]]:
    """What is asked of ``codeserve`` in each container, its variables filled in."""
    variables = {**model_of(manifests), "NODE_RANK": "1"}
    for template in pod_templates(manifests):
        for container in containers(template):
            if "command" not in container:
                yield [
                    re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], argument)
                    for argument in container["args"]
                ]


def test_the_configuration_is_valid(manifests: Sequence[Manifest], tmp_path: Path) -> None:
    settings = settings_of(manifests, tmp_path)

    assert settings.server.host == "0.0.0.0", "the kubelet probes the pod's own address"
    assert settings.server.port == 8000
    assert settings.models
    assert (settings.server.keys is None) == settings.server.insecure


def test_an_endpoint_picker_alone_reads_metrics_without_a_key(
    manifests: Sequence[Manifest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [template] = server_templates(manifests)
    [container] = template["spec"]["containers"]
    for variable in container.get("env", []):
        monkeypatch.setenv(variable["name"], variable["value"])

    server = settings_of(manifests, tmp_path).server
    assert server.open_metrics == bool(of_kind(manifests, "InferencePool"))


def test_keys_are_where_the_configuration_looks(
    manifests: Sequence[Manifest], tmp_path: Path
) -> None:
    keys = settings_of(manifests, tmp_path).server.keys
    for template in server_templates(manifests):
        [container] = template["spec"]["containers"]
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert ("/etc/codeserve/keys" in mounts) == (keys is not None)
    assert keys is None or keys.parent == Path("/etc/codeserve/keys")


def test_keys_from_a_store_become_the_file_that_is_mounted(
    everything: Sequence[Manifest], tmp_path: Path
) -> None:
    made = named(everything, "ExternalSecret", "codeserve-keys")["spec"]
    [template] = server_templates(everything)
    [mounted] = [one["secret"] for one in template["spec"]["volumes"] if "secret" in one]
    keys = settings_of(everything, tmp_path).server.keys

    assert made["target"]["name"] == mounted["secretName"]
    assert keys is not None
    assert [one["secretKey"] for one in made["data"]] == [keys.name]


def test_only_dev_serves_without_keys(overlays: Overlays, tmp_path: Path) -> None:
    insecure = [
        name for name, made in overlays.items() if settings_of(made, tmp_path).server.insecure
    ]
    assert insecure == ["dev"]


def test_the_drain_ends_before_the_pod_is_killed(
    manifests: Sequence[Manifest], tmp_path: Path
) -> None:
    drain = settings_of(manifests, tmp_path).server.drain_timeout
    for template in server_templates(manifests):
        [container] = template["spec"]["containers"]
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        probe = container["readinessProbe"]
        assert template["spec"]["terminationGracePeriodSeconds"] >= pause + drain + 15
        assert pause >= probe["periodSeconds"]


def test_images_have_the_engine(manifests: Sequence[Manifest], tmp_path: Path) -> None:
    for model in settings_of(manifests, tmp_path).models:
        engine = ENGINE_IMAGES[model.engine or "llama.cpp"]
        for template in pod_templates(manifests):
            for container in containers(template):
                tag = container["image"].removeprefix("codeserve:")
                assert tag.startswith(engine)
                gpus = "nvidia.com/gpu" in container["resources"]["limits"]
                assert tag.endswith("-cuda") or not gpus


def test_threads_are_the_cores_that_are_requested(
    manifests: Sequence[Manifest], tmp_path: Path
) -> None:
    for model in settings_of(manifests, tmp_path).models:
        if "n_threads" in model.options:
            for template in server_templates(manifests):
                [container] = template["spec"]["containers"]
                assert container["resources"]["requests"]["cpu"] == str(model.options["n_threads"])


def test_the_model_is_what_is_pulled(manifests: Sequence[Manifest], tmp_path: Path) -> None:
    settings = settings_of(manifests, tmp_path)
    [model] = settings.models
    fetched = pulled(manifests)

    assert settings.server.offline
    if has_image(manifests):
        assert fetched is None
    elif fetched is None:
        assert selected(model).spec.sources[0].hub is Hub.PACKAGE
    elif model.path is None:
        assert fetched.spec == selected(model).spec
        assert fetched.quantization == selected(model).quantization
    else:
        assert model.path == snapshot(fetched)


def test_weights_of_an_image_are_mounted_where_the_configuration_looks(
    overlays: Overlays, tmp_path: Path
) -> None:
    manifests = overlays["cpu-llama-cpp-image"]
    [model] = settings_of(manifests, tmp_path).models
    [template] = server_templates(manifests)
    [image] = [volume for volume in template["spec"]["volumes"] if "image" in volume]
    mounts = template["spec"]["containers"][0]["volumeMounts"]
    [mount] = [one for one in mounts if one["name"] == image["name"]]

    assert model.path is not None
    assert (mount["mountPath"], mount["readOnly"]) == (str(model.path.parent), True)
    assert in_image(model.path).family.model_name == model.family
    assert image["image"]["pullPolicy"] == "IfNotPresent"
    assert not of_kind(manifests, "PersistentVolumeClaim")


def test_the_model_fits(manifests: Sequence[Manifest], tmp_path: Path) -> None:
    [model] = settings_of(manifests, tmp_path).models
    [template] = server_templates(manifests)
    [container] = template["spec"]["containers"]
    limits = container["resources"]["limits"]
    memory = int(gibibytes(limits["memory"]) * GIB)
    gpus = int(limits.get("nvidia.com/gpu", 0))

    need = footprint(model, weights_of(manifests, model), memory, gpus)

    total = need.weights_bytes + need.kv_bytes + need.buffers_bytes + need.process_bytes
    assert (need.host_bytes if gpus else total) <= memory * 0.95
    assert gpus == 0 or (total - need.host_bytes) / gpus <= SMALLEST_GPU - GIB / 2


def test_every_command_is_one_of_codeserve_s(manifests: Sequence[Manifest]) -> None:
    group: Any = typer.main.get_command(build_cli())
    for words in commands(manifests):
        assert words[0] in group.commands, words
        group.commands[words[0]].make_context(words[0], words[1:])


def test_the_weights_fit_on_the_volume(manifests: Sequence[Manifest]) -> None:
    for claim in of_kind(manifests, "PersistentVolumeClaim"):
        size = gibibytes(claim["spec"]["resources"]["requests"]["storage"]) * GIB
        selection = pulled(manifests)
        assert selection is not None
        assert head_of(selection).bytes < size * 0.8


def test_vllm_s_parallel_sizes_are_the_gpus(overlays: Overlays, tmp_path: Path) -> None:
    heads = 56
    for name in ("gpu-vllm-multi", "lws-33b"):
        manifests = overlays[name]
        [model] = settings_of(manifests, tmp_path).models
        [template] = server_templates(manifests)
        [container] = template["spec"]["containers"]
        gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
        tensor = model.options["tensor_parallel_size"]
        pipeline = model.options.get("pipeline_parallel_size", 1)
        assert heads % tensor == 0
        assert tensor * pipeline == gpus * model.options.get("nnodes", 1)
