"""kubernetes/ against the schemas of Kubernetes; the manifests fit together, and run what compose.yaml runs."""

import json

import pytest

from tests.deployment.conftest import IMAGE, flags, read_models

KUBERNETES = "1.32"  # whose schemas are asked: what an old cluster takes, newer ones take too


def test_manifests_fit_their_schemas(manifests):
    schemas = pytest.importorskip(
        "kubernetes_validate", reason='kubernetes-validate is not installed: pip install -e ".[test]"'
    )
    assert {kind for kind, _ in manifests} == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "PersistentVolumeClaim",
        "NetworkPolicy",
    }
    for manifest in manifests.values():
        schemas.validate(manifest, KUBERNETES, strict=True)
    broken = json.loads(json.dumps(manifests["Service", "model-server"]))
    broken["spec"]["portz"] = []
    with pytest.raises(schemas.ValidationError):
        schemas.validate(broken, KUBERNETES, strict=True)


def test_manifests_select_the_pods_and_name_their_ports(manifests, pod):
    labels = pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    for name in ("model-server", "model-server-pods"):
        service = manifests["Service", name]["spec"]
        assert service["selector"].items() <= labels
        for port in service["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for kind, field in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert manifests[kind, "model-server"]["spec"][field]["matchLabels"].items() <= labels
    scaler = manifests["HorizontalPodAutoscaler", "model-server"]["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model-server"}
    assert "replicas" not in manifests["Deployment", "model-server"]["spec"]  # or each apply would undo the scaling
    # With one pod a budget of one unavailable would allow none at all.
    assert scaler["minReplicas"] > manifests["PodDisruptionBudget", "model-server"]["spec"]["maxUnavailable"]
    for rule in manifests["NetworkPolicy", "model-server"]["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)
    claim = next(v for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v)["persistentVolumeClaim"]
    assert claim["claimName"] == manifests["PersistentVolumeClaim", "savedmodels"]["metadata"]["name"]
    assert claim["readOnly"] is True


def test_pods_run_without_rights_on_a_read_only_root(pod):
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True and pod["spec"]["securityContext"]["runAsUser"] > 0
    assert pod["spec"]["automountServiceAccountToken"] is False
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert mounts["models"]["readOnly"] is True and mounts["config"]["readOnly"] is True
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}  # the autoscaler computes with the request


def test_probes_ask_what_they_mean(pod, serving):
    (container,) = pod["spec"]["containers"]
    arguments = flags(container["args"])
    assert arguments["enable_grpc_healthcheck_service"] == "true"  # or the startup probe never succeeds
    assert container["startupProbe"]["grpc"] == {"port": 8500}
    model = read_models(serving / "models.config").config[0].name
    assert container["readinessProbe"]["httpGet"] == {"path": f"/v1/models/{model}/metadata", "port": "rest"}
    assert container["livenessProbe"].keys() >= {"tcpSocket"}
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    seconds = int(arguments["rest_api_timeout_in_ms"]) / 1000
    # What is running when the pod leaves the Service may still take as long as a request may.
    assert seconds < wait < pod["spec"]["terminationGracePeriodSeconds"]


def test_compose_and_kubernetes_run_the_same_server(compose, pod, serving):
    (container,) = pod["spec"]["containers"]
    server = compose["services"]["model-server"]
    own = flags(container["args"])
    assert container["image"] == server["image"] == IMAGE
    assert set(own) - set(flags(server["command"])) == {"grpc_channel_arguments"}
    assert flags(server["command"]).items() <= own.items()
    for value in own.values():
        if value.startswith("/config/"):
            assert f"--from-file=serving/{value.removeprefix('/config/')}" in (serving / "README.md").read_text()
