"""The fields of custom resources that deploy/ uses, written after each project's API reference.

Their definitions are in no package that tests could install. So these schemas know no more than
what is used here: a field that they lack is refused, whether it exists or not.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
SECONDS: Schema = {"type": "integer", "minimum": 0}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
NAME: Schema = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
PATH: Schema = {"type": "string", "pattern": r"^/"}


def struct(required: str = "", **fields: Schema) -> Schema:
    """An object with no other field."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": fields,
        "additionalProperties": False,
    }


def some(of: Schema) -> Schema:
    """A list that is not empty."""
    return {"type": "array", "items": of, "minItems": 1}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


SELECTOR = struct("matchLabels", matchLabels=LABELS)
SCALING = struct(
    "policies",
    stabilizationWindowSeconds=SECONDS,
    policies=some(
        struct(
            "type value periodSeconds",
            type=one_of("Pods", "Percent"),
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        )
    ),
)
POD_TEMPLATE: Schema = {"type": "object", "required": ["metadata", "spec"]}
"""Kubernetes' own, which is validated as a pod's."""

SPECS: dict[str, Schema] = {
    "PodMonitor monitoring.coreos.com/v1": struct(
        "selector podMetricsEndpoints",
        selector=SELECTOR,
        podMetricsEndpoints=some(
            struct(
                "port",
                port=TEXT,
                path=PATH,
                interval=DURATION,
                scrapeTimeout=DURATION,
                filterRunning={"type": "boolean"},
                authorization=struct(
                    "credentials", type=TEXT, credentials=struct("name key", name=NAME, key=TEXT)
                ),
            )
        ),
    ),
    "PrometheusRule monitoring.coreos.com/v1": struct(
        "groups",
        groups=some(
            struct(
                "name rules",
                name=TEXT,
                rules=some(
                    struct(
                        "alert expr labels annotations",
                        alert=TEXT,
                        expr=TEXT,
                        labels=LABELS,
                        annotations=LABELS,
                        **{"for": DURATION},
                    )
                ),
            )
        ),
    ),
    "ScaledObject keda.sh/v1alpha1": struct(
        "scaleTargetRef triggers",
        scaleTargetRef=struct("name", name=NAME),
        pollingInterval=SECONDS,
        minReplicaCount=SECONDS,
        maxReplicaCount=SECONDS,
        fallback=struct("failureThreshold replicas", failureThreshold=SECONDS, replicas=SECONDS),
        advanced=struct(
            horizontalPodAutoscalerConfig=struct(
                behavior=struct(scaleUp=SCALING, scaleDown=SCALING)
            )
        ),
        triggers=some(
            struct(
                "type metadata",
                type=one_of("prometheus"),
                metricType=one_of("AverageValue", "Value"),
                metadata=struct(
                    "serverAddress query threshold",
                    serverAddress={"type": "string", "pattern": "^https?://"},
                    query=TEXT,
                    threshold={"type": "string", "pattern": r"^[0-9.]+$"},
                ),
            )
        ),
    ),
    "ExternalSecret external-secrets.io/v1": struct(
        "secretStoreRef target data",
        refreshInterval=DURATION,
        secretStoreRef=struct(
            "name kind", name=NAME, kind=one_of("SecretStore", "ClusterSecretStore")
        ),
        target=struct("name", name=NAME),
        data=some(struct("secretKey remoteRef", secretKey=TEXT, remoteRef=struct("key", key=TEXT))),
    ),
    "Gateway gateway.networking.k8s.io/v1": struct(
        "gatewayClassName listeners",
        gatewayClassName=NAME,
        listeners=some(
            struct(
                "name port protocol",
                name=NAME,
                port=PORT,
                protocol=one_of("HTTP", "HTTPS"),
                hostname=NAME,
                tls=struct(
                    "certificateRefs",
                    mode=one_of("Terminate"),
                    certificateRefs=some(struct("name", name=NAME)),
                ),
                allowedRoutes=struct(namespaces=struct("from", **{"from": one_of("Same", "All")})),
            )
        ),
    ),
    "HTTPRoute gateway.networking.k8s.io/v1": struct(
        "parentRefs rules",
        parentRefs=some(struct("name", name=NAME)),
        hostnames=some(NAME),
        rules=some(
            struct(
                "matches backendRefs",
                matches=some(
                    struct(
                        "path",
                        path=struct("type value", type=one_of("Exact", "PathPrefix"), value=PATH),
                    )
                ),
                timeouts=struct(request=DURATION, backendRequest=DURATION),
                backendRefs=some(struct("name", group=NAME, kind=TEXT, name=NAME, port=PORT)),
            )
        ),
    ),
    "InferencePool inference.networking.k8s.io/v1": struct(
        "selector targetPorts endpointPickerRef",
        selector=SELECTOR,
        targetPorts={**some(struct("number", number=PORT)), "maxItems": 8},
        endpointPickerRef=struct(
            "name",
            name=NAME,
            port=struct("number", number=PORT),
            failureMode=one_of("FailOpen", "FailClose"),
        ),
    ),
    "LeaderWorkerSet leaderworkerset.x-k8s.io/v1": struct(
        "leaderWorkerTemplate",
        replicas=SECONDS,
        startupPolicy=one_of("LeaderCreated", "LeaderReady"),
        rolloutStrategy=struct(
            "type",
            type=one_of("RollingUpdate"),
            rollingUpdateConfiguration=struct(maxUnavailable=SECONDS, maxSurge=SECONDS),
        ),
        leaderWorkerTemplate=struct(
            "workerTemplate",
            size={"type": "integer", "minimum": 1},
            restartPolicy=one_of("RecreateGroupOnPodRestart", "None"),
            leaderTemplate=POD_TEMPLATE,
            workerTemplate=POD_TEMPLATE,
        ),
    ),
}
"""The schema of ``spec`` by kind and version."""
