"""What a schema cannot say: parts fit each other, and pods are as careful as they can be."""

from collections.abc import Sequence
from typing import Any

from tests.deploy.conftest import Overlays
from tests.deploy.manifests import (
    Manifest,
    containers,
    gibibytes,
    named,
    of_kind,
    pod_templates,
    server_templates,
)

CLUSTER_WIDE = {"Namespace"}


def server(template: Manifest) -> Manifest:
    """The container that serves."""
    found: list[Manifest] = template["spec"]["containers"]
    [container] = [one for one in found if one["name"] == "codeserve"]
    return container


def selectors(manifests: Sequence[Manifest]) -> list[tuple[str, dict[str, str]]]:
    """Everything that picks pods by labels, and the labels."""
    found = []
    for manifest in manifests:
        spec, name = manifest.get("spec", {}), f"{manifest['kind']} {manifest['metadata']['name']}"
        match manifest["kind"]:
            case "Service":
                found.append((name, spec["selector"]))
            case "NetworkPolicy":
                found.append((name, spec["podSelector"]["matchLabels"]))
            case "Deployment" | "PodDisruptionBudget" | "PodMonitor" | "InferencePool":
                found.append((name, spec["selector"]["matchLabels"]))
    return found


def test_everything_is_in_one_namespace(manifests: Sequence[Manifest]) -> None:
    namespaces = {
        manifest["metadata"].get("namespace")
        for manifest in manifests
        if manifest["kind"] not in CLUSTER_WIDE
    }
    assert namespaces == {of_kind(manifests, "Namespace")[0]["metadata"]["name"]}


def test_the_namespace_admits_restricted_pods_alone(manifests: Sequence[Manifest]) -> None:
    [namespace] = of_kind(manifests, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_are_restricted(manifests: Sequence[Manifest]) -> None:
    for template in pod_templates(manifests):
        spec = template["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False, "CODESERVE_PORT=tcp://... is no port"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in containers(template):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}


def test_volumes_are_those_that_restricted_pods_may_have(manifests: Sequence[Manifest]) -> None:
    allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "image"}
    for template in pod_templates(manifests):
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        assert all(volume.keys() - {"name"} <= allowed for volume in volumes.values())
        for container in containers(template):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_memory_is_reserved_and_the_cpu_is_not_limited(manifests: Sequence[Manifest]) -> None:
    for template in pod_templates(manifests):
        for container in containers(template):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert requests["memory"] == limits["memory"]
            assert "cpu" in requests
            assert "cpu" not in limits
        for volume in template["spec"]["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], "a full disk takes other pods with it"


def test_shared_memory_is_within_the_container_s(manifests: Sequence[Manifest]) -> None:
    for template in pod_templates(manifests):
        for volume in template["spec"]["volumes"]:
            if volume.get("emptyDir", {}).get("medium") == "Memory":
                [container] = template["spec"]["containers"]
                most = gibibytes(container["resources"]["limits"]["memory"])
                assert gibibytes(volume["emptyDir"]["sizeLimit"]) < most / 2


def test_each_probe_asks_its_own_question(manifests: Sequence[Manifest]) -> None:
    for template in server_templates(manifests):
        container = server(template)
        probes = {
            kind: container[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "readiness", "liveness")
        }
        assert probes == {"startup": "/startupz", "readiness": "/readyz", "liveness": "/livez"}
        ports = {port["name"] for port in container["ports"]}
        assert {container[f"{kind}Probe"]["httpGet"]["port"] for kind in probes} <= ports
        startup, liveness = container["startupProbe"], container["livenessProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 1800
        assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
        assert "initialDelaySeconds" not in startup


def test_a_rollout_waits_for_the_longest_start(manifests: Sequence[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment"):
        startup = server(deployment["spec"]["template"])["startupProbe"]
        longest = startup["periodSeconds"] * startup["failureThreshold"]
        assert deployment["spec"]["progressDeadlineSeconds"] > longest


def test_selectors_find_pods(manifests: Sequence[Manifest]) -> None:
    labels = [template["metadata"]["labels"] for template in pod_templates(manifests)]
    for name, selector in selectors(manifests):
        assert any(selector.items() <= one.items() for one in labels), name
    assert selectors(manifests)


def test_only_servers_get_requests(manifests: Sequence[Manifest]) -> None:
    others = [
        template["metadata"]["labels"]
        for template in pod_templates(manifests)
        if template not in list(server_templates(manifests))
    ]
    for name, selector in selectors(manifests):
        if name.startswith(("Service", "PodDisruptionBudget", "PodMonitor", "InferencePool")):
            assert not any(selector.items() <= one.items() for one in others), name


def test_every_pod_is_behind_a_network_policy(manifests: Sequence[Manifest]) -> None:
    closed = [
        policy["spec"]["podSelector"]["matchLabels"]
        for policy in of_kind(manifests, "NetworkPolicy")
        if policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    ]
    for template in pod_templates(manifests):
        labels = template["metadata"]["labels"]
        assert any(selector.items() <= labels.items() for selector in closed), labels


def test_servers_reach_nothing_outside(manifests: Sequence[Manifest]) -> None:
    for policy in of_kind(manifests, "NetworkPolicy"):
        if policy["metadata"]["name"] == "codeserve-model-pull":
            continue
        for rule in policy["spec"].get("egress", []):
            assert rule["to"], "an empty list allows everything"
            assert all("ipBlock" not in target for target in rule["to"])
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"], "an empty list allows everybody"


def test_network_policies_name_ports_that_servers_have(manifests: Sequence[Manifest]) -> None:
    known = {port["name"] for one in server_templates(manifests) for port in server(one)["ports"]}
    for policy in of_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            ports = {port["port"] for port in rule.get("ports", [])}
            assert {port for port in ports if isinstance(port, str)} <= known


def test_services_lead_to_the_server_s_port(manifests: Sequence[Manifest]) -> None:
    for service in of_kind(manifests, "Service"):
        for port in service["spec"]["ports"]:
            for template in server_templates(manifests):
                assert port["targetPort"] in {one["name"] for one in server(template)["ports"]}


def test_references_lead_somewhere(manifests: Sequence[Manifest]) -> None:
    names: dict[str, set[str]] = {}
    for manifest in manifests:
        names.setdefault(manifest["kind"], set()).add(manifest["metadata"]["name"])
    names["Secret"] = {"codeserve-keys", "codeserve-hub", "codeserve-metrics", "codeserve-tls"}
    for template in pod_templates(manifests):
        assert template["spec"]["serviceAccountName"] in names["ServiceAccount"]
        for volume in template["spec"]["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in names["PersistentVolumeClaim"]
            if config := volume.get("configMap"):
                assert config["name"] in names["ConfigMap"]
            if secret := volume.get("secret"):
                assert secret["secretName"] in names["Secret"]
        for container in containers(template):
            for source in container.get("envFrom", []):
                if config := source.get("configMapRef"):
                    assert config["name"] in names["ConfigMap"]


def test_nothing_secret_is_in_the_manifests(manifests: Sequence[Manifest]) -> None:
    assert not of_kind(manifests, "Secret")


def test_an_autoscaler_alone_sets_the_number_of_replicas(manifests: Sequence[Manifest]) -> None:
    scalers = [*of_kind(manifests, "HorizontalPodAutoscaler"), *of_kind(manifests, "ScaledObject")]
    for deployment in of_kind(manifests, "Deployment"):
        assert ("replicas" in deployment["spec"]) == (not scalers)
    for scaler in scalers:
        spec: dict[str, Any] = scaler["spec"]
        assert spec["scaleTargetRef"]["name"] == "codeserve"
        least: int = spec["minReplicas" if "minReplicas" in spec else "minReplicaCount"]
        assert least >= 1, "nobody would wake it"
        behavior = (
            spec.get("behavior") or spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        )
        assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 600


def test_a_node_may_be_drained(manifests: Sequence[Manifest]) -> None:
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_gpus_are_limits_and_no_pod_waits_for_a_second_one(overlays: Overlays) -> None:
    for name in ("gpu-llama-cpp", "gpu-vllm", "gpu-vllm-multi"):
        deployment = named(overlays[name], "Deployment")
        container = server(deployment["spec"]["template"])
        assert int(container["resources"]["limits"]["nvidia.com/gpu"]) >= 1
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": 0, "maxUnavailable": 1}
        assert deployment["spec"]["template"]["spec"]["tolerations"]


def test_on_the_cpu_a_rollout_never_takes_capacity_away(overlays: Overlays) -> None:
    deployment = named(overlays["cpu-llama-cpp"], "Deployment")
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}


def test_replicas_share_a_volume_that_many_nodes_can_mount(overlays: Overlays) -> None:
    claim = named(overlays["cpu-llama-cpp"], "PersistentVolumeClaim", "codeserve-models")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_metrics_and_probes_are_not_routed(everything: Sequence[Manifest]) -> None:
    [rule] = named(everything, "HTTPRoute")["spec"]["rules"]
    paths = {match["path"]["value"] for match in rule["matches"]}
    assert paths == {"/v1", "/api", "/infill", "/completion"}
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_the_route_leads_to_the_pool_where_there_is_one(everything: Sequence[Manifest]) -> None:
    [rule] = named(everything, "HTTPRoute")["spec"]["rules"]
    [backend] = rule["backendRefs"]
    assert backend["kind"] == "InferencePool"
    pool = named(everything, "InferencePool", backend["name"])
    [port] = pool["spec"]["targetPorts"]
    for template in server_templates(everything):
        assert port["number"] in {one["containerPort"] for one in server(template)["ports"]}
