"""The manifests for Kubernetes: its own schemas take them, and what they say fits together and fits the gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from proxyd.cli.config import plugin_configs
from proxyd.model.load import load_text

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "supervisor/kubernetes"
FILES = sorted(path for path in DIRECTORY.glob("*.yaml") if path.name != "kustomization.yaml")
DOCUMENTS = [document for path in FILES for document in yaml.safe_load_all(path.read_text())]
OLDEST = "1.30"  # as deployment.yaml says
NODE = Path(sys.prefix) / "node/kubernetes"  # make test puts the packages there
STOPPING = 3  # seconds that an end takes besides draining: close frames, the status listener, logs

validate = pytest.importorskip("kubernetes_validate", reason="the extra test is not installed")


def named(document):
    return f"{document['kind']}-{document['metadata']['name']}"


def one(kind, name="proxyd"):
    return next(each for each in DOCUMENTS if (each["kind"], each["metadata"]["name"]) == (kind, name))


@pytest.fixture
def pod():
    return one("Deployment")["spec"]["template"]


@pytest.fixture
def container(pod):
    (only,) = pod["spec"]["containers"]
    return only


@pytest.mark.parametrize("version", [OLDEST, ".".join(validate.latest_version().split(".")[:2])])
@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if each["kind"] != "ServiceMonitor"], ids=named
)
def test_kubernetes_takes_each_document(document, version):
    """The schemas of the oldest version that is asked for, and of the newest, know every field."""
    assert validate.validate(document, version, strict=True) == version


def test_a_fault_would_be_found(pod):
    """A field that does not exist is refused: the check above can fail."""
    deployment = one("Deployment")
    wrong = json.loads(json.dumps(deployment))
    wrong["spec"]["template"]["spec"]["terminationGraceSeconds"] = 45
    with pytest.raises(validate.ValidationError, match="terminationGraceSeconds"):
        validate.validate(wrong, OLDEST, strict=True)


VALIDATE = """
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
new ServiceMonitor(JSON.parse(process.argv[1])).validate();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(
    not (NODE / "node_modules").exists(), reason="the npm package of the operator's schemas is missing"
)
def test_the_prometheus_operator_takes_the_monitor():
    """Its schema passes it, refuses a wrong type, and knows every name in it."""
    monitor = one("ServiceMonitor")
    wrong = json.loads(json.dumps(monitor))
    wrong["spec"]["endpoints"][0]["port"] = 8007
    codes = [
        subprocess.run(
            ["node", "--input-type=module", "-e", VALIDATE, json.dumps(document)],
            cwd=NODE,
            capture_output=True,
            check=False,
        ).returncode
        for document in (monitor, wrong)
    ]
    assert codes == [0, 1]
    # Schemas of custom resources let unknown fields pass, and the operator drops them: names are held to the types.
    types = NODE / "node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"
    for kind, names in (
        ("ServiceMonitorSpec", monitor["spec"]),
        ("Endpoint", monitor["spec"]["endpoints"][0]),
    ):
        declared = (types / f"{kind}.d.ts").read_text()
        assert [name for name in names if f'"{name}"' not in declared] == []


def test_each_file_is_applied():
    """The kustomization lists every file beside it."""
    listed = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())["resources"]
    assert listed == [path.name for path in FILES]


def test_the_configuration_is_right(container):
    """It loads with the variables of the Secret and no warning, and listens where probes and Services ask."""
    text = one("ConfigMap")["data"]["proxyd.yml"]
    secret = (DIRECTORY / "kustomization.yaml").read_text()
    names = [name for name in ("MOBILE_API_KEY", "REDIS_PASSWORD") if f"--from-literal={name}=" in secret]
    variables = {each["name"]: each["value"] for each in container["env"]}
    loaded = load_text(text, env={**dict.fromkeys(names, "a" * 32), **variables}, plugins=plugin_configs())
    assert loaded.warnings == []
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [listen.port for listen in loaded.settings.proxy_listen] == [ports["http"]]
    assert [listen.port for listen in loaded.settings.status_listen] == [ports["status"]]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "configuration"]
    assert mount["mountPath"] == "/etc/proxyd"
    limits = [each for each in loaded.configuration.plugins.values() if each.name == "rate-limiting"]
    (redis,) = {each.config["redis"]["host"] for each in limits}
    assert redis == f"{one('Service', 'redis')['metadata']['name']}.proxyd.svc.cluster.local"


def test_requests_are_finished_before_a_pod_is_killed(pod, container):
    """The grace period holds the pause before the signal, the drain, and what an end takes besides."""
    variables = {each["name"]: each["value"] for each in container["env"]}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(variables["PROXYD_SHUTDOWN_TIMEOUT"].removesuffix("s"))
    assert pod["spec"]["terminationGracePeriodSeconds"] >= pause + drain + STOPPING
    # While it waits, the probe has time to see that the pod is gone from the Service.
    assert pause >= 2 * container["readinessProbe"]["periodSeconds"]


@pytest.mark.parametrize("name", ["proxyd", "redis"])
def test_pods_are_held_to_the_restricted_standard(name):
    """What the namespace label `pod-security.kubernetes.io/enforce: restricted` asks of a pod."""
    spec = one("Deployment", name)["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert {kind for volume in spec.get("volumes", []) for kind in volume.keys() - {"name"}} <= {
        "configMap",
        "emptyDir",
    }
    for each in spec["containers"]:
        context = each["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in each["resources"]["limits"]


def test_selectors_find_the_pods(pod):
    """Services, the budget, the policy and the autoscaler are about the pods of the Deployment, by ports that it has."""
    labels = pod["metadata"]["labels"].items()
    selectors = [
        one("Service")["spec"]["selector"],
        one("Service", "proxyd-status")["spec"]["selector"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one("Deployment")["spec"]["selector"]["matchLabels"],
    ]
    assert [selector for selector in selectors if not selector.items() <= labels] == []
    assert (
        one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"]
        == one("Deployment")["metadata"]["name"]
    )
    for name, deployment in (("proxyd", "proxyd"), ("proxyd-status", "proxyd"), ("redis", "redis")):
        (container,) = one("Deployment", deployment)["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in one("Service", name)["spec"]["ports"]} <= ports


def test_prometheus_finds_the_status_service_under_the_name_that_rules_use():
    """The monitor selects that Service alone, and its job is what the rules call it."""
    monitor = one("ServiceMonitor")["spec"]
    found = [
        each["metadata"]
        for each in DOCUMENTS
        if each["kind"] == "Service"
        and monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]
    assert [each["name"] for each in found] == ["proxyd-status"]
    job = found[0]["labels"][monitor["jobLabel"]]
    rules = "".join(path.read_text() for path in (ROOT / "config").rglob("*.yml"))
    assert f'job="{job}"' in rules
