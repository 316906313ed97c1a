"""The manifests name what there is: settings, probes, ports, secrets, labels, and times that fit the worker's own."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hub.errors import ConfigurationError
from hub.ops.announce import HEARTBEAT_S
from hub.ops.health import HealthServer
from hub.settings import Settings
from hub.streams import worker
from hub.streams.admin import TIMEOUT_S as TOPICS_S
from hub.streams.placement import TIMEOUT_S as PLACEMENT_S

FOLDER: Final = Path(__file__).parents[3] / "deploy" / "kubernetes"
BASE: Final = FOLDER / "base"


def documents() -> list[dict[str, Any]]:
    """Every object of the base."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {*names, "kustomization.yaml"} == {file.name for file in BASE.glob("*")}, "a file that is not applied"
    return [made for name in names for made in yaml.safe_load_all((BASE / name).read_text())]


def the(kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    [found] = [made for made in documents() if made["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    """What the StatefulSet makes."""
    made: dict[str, Any] = the("StatefulSet")["spec"]["template"]
    return made


def container() -> dict[str, Any]:
    """The worker in it."""
    [made] = pod()["spec"]["containers"]
    found: dict[str, Any] = made
    return found


def given(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings a pod runs under."""
    for name, value in the("ConfigMap")["data"].items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_every_setting_exists_and_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one would be ignored without a word. Values are texts, as a ConfigMap asks for."""
    data = the("ConfigMap")["data"]
    assert all(isinstance(value, str) for value in data.values())
    named = re.findall(r"HUB_[A-Z_]+", "".join(file.read_text() for file in FOLDER.rglob("*") if file.is_file()))
    assert {name.removeprefix("HUB_").lower() for name in named} - Settings.model_fields.keys() == set()
    assert {*data, *(entry["name"] for entry in container()["env"])} <= set(named)
    settings = given(monkeypatch)
    assert (settings.partitions, settings.state, settings.states) == (8, "disk", Path("/var/lib/hub/state"))
    assert pod()["spec"]["enableServiceLinks"] is False, "the service's own HUB_WORKER_PORT would be no number"


def test_ports_are_those_of_the_health_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """In settings, pod, service, policy and the annotation that Prometheus reads."""
    port = given(monkeypatch).worker_port
    assert container()["ports"] == [{"name": "health", "containerPort": port}]
    [served] = the("Service")["spec"]["ports"]
    assert (served["port"], served["targetPort"]) == (port, "health")
    [allowed] = the("NetworkPolicy")["spec"]["ingress"]
    assert [entry["port"] for entry in allowed["ports"]] == ["health"]
    assert pod()["metadata"]["annotations"]["prometheus.io/port"] == str(port)


def test_probes_ask_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the address of the settings, which is beyond loopback and so has to be meant."""
    settings = given(monkeypatch)
    with pytest.raises(ConfigurationError, match="refusing to bind"):
        HealthServer(settings.health_bind, 0, ready=lambda: (False, "restoring"))
    server = HealthServer(settings.health_bind, 0, ready=lambda: (False, "restoring"), exposed=True)
    port = server.url.rpartition(":")[2]
    try:
        status = {path: answer(f"http://127.0.0.1:{port}{path}") for path in ("/live", "/ready", "/metrics", "/no")}
    finally:
        server.close()
    assert status == {"/live": 200, "/ready": 503, "/metrics": 200, "/no": 404}
    asked = {kind: container()[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": {"path": "/live", "port": "health"},
        "livenessProbe": {"path": "/live", "port": "health"},
        "readinessProbe": {"path": "/ready", "port": "health"},
    }
    assert pod()["metadata"]["annotations"]["prometheus.io/path"] == "/metrics"


def answer(url: str) -> int:
    """Status of a GET."""
    try:
        with urllib.request.urlopen(url) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_times_leave_the_worker_its_own() -> None:
    """To look at Kafka before it serves health, and to stop in order."""
    startup = container()["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > 2 * TOPICS_S + PLACEMENT_S
    assert pod()["spec"]["terminationGracePeriodSeconds"] > worker.STOP_S + 2 * HEARTBEAT_S


def test_what_selects_pods_finds_them() -> None:
    """And the budget lets one go at a time."""
    labels = pod()["metadata"]["labels"].items()
    spread = pod()["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    for wanted in (
        the("StatefulSet")["spec"]["selector"]["matchLabels"],
        the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        spread,
    ):
        assert wanted
        assert wanted.items() <= labels
    assert the("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert the("StatefulSet")["spec"]["serviceName"] == the("Service")["metadata"]["name"]


def test_secrets_and_folders_are_where_the_worker_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key file comes from a secret that the README makes, copied with the rights the hub asks for."""
    settings, readme, spec = given(monkeypatch), (FOLDER / "README.md").read_text(), pod()["spec"]
    secrets = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    keys = {
        entry["valueFrom"]["secretKeyRef"]["name"]
        for entry in container()["env"]
        if "secretKeyRef" in entry["valueFrom"]
    }
    assert {*secrets, *keys} == set(re.findall(r"secret generic (\S+)", readme))
    assert {reference["configMapRef"]["name"] for reference in container()["envFrom"]} == {
        the("ConfigMap")["metadata"]["name"]
    }
    [copy] = spec["initContainers"]
    assert copy["command"][1:3] == ["-m", "0600"]
    assert copy["command"][-1] == str(settings.keys)
    volumes = {volume["name"] for volume in spec["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in the("StatefulSet")["spec"]["volumeClaimTemplates"]}
    mounted = {mount["mountPath"]: mount["name"] for each in (copy, container()) for mount in each["volumeMounts"]}
    assert set(mounted.values()) == volumes
    for folder in (settings.keys.parent, settings.states, settings.data_dir):
        assert str(folder) in mounted, f"{folder} lies on the container's own, which is read-only"


def test_nothing_runs_with_more_rights_than_it_needs() -> None:
    """No root, nothing written outside its volumes, memory bounded."""
    assert pod()["spec"]["securityContext"]["runAsNonRoot"] is True
    for each in (*pod()["spec"]["initContainers"], container()):
        context = each["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert each["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in each["resources"]["limits"]
