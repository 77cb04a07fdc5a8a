"""What the network policies of an overlay let through, by the rules of Kubernetes.

The network of the test cluster enforces none of them, so nothing else would miss a rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from overlays import render

_DRIVER = {"app.kubernetes.io/part-of": "ubspark", "spark-role": "driver"}
_EXECUTOR = {"app.kubernetes.io/part-of": "ubspark", "spark-role": "executor"}
_MLFLOW = {"app.kubernetes.io/name": "mlflow"}
_OVERLAYS = ["ci", "dev", "prod", "tenants/lmc", "tenants/smc"]


@dataclass(frozen=True)
class Peer:
    """A pod of the namespace, or of one with labels; without any of both a host outside."""

    labels: Mapping[str, str] | None = None
    namespace: Mapping[str, str] | None = None


_OUTSIDE = Peer()
_DNS = Peer(
    labels={"k8s-app": "kube-dns"}, namespace={"kubernetes.io/metadata.name": "kube-system"}
)
_OTHER_GROUP = Peer(labels=_DRIVER, namespace={"kubernetes.io/metadata.name": "elsewhere"})
_PROMETHEUS = Peer(labels={}, namespace={"kubernetes.io/metadata.name": "monitoring"})


def select(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def admit(rule: Mapping[str, Any], peer: Peer) -> bool:
    """Whether a peer of a rule is this one."""
    assert set(rule) <= {"podSelector", "namespaceSelector"}
    if peer.labels is None or not select(rule.get("podSelector", {}), peer.labels):
        return False
    if "namespaceSelector" not in rule:
        return peer.namespace is None
    return peer.namespace is not None and select(rule["namespaceSelector"], peer.namespace)


def is_open(
    overlay: str,
    direction: str,
    pod: Mapping[str, str],
    peer: Peer,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Whether a pod may be talked to by a peer (Ingress), or talk to it (Egress)."""
    found = [d["spec"] for d in render(overlay) if d["kind"] == "NetworkPolicy"]
    chosen = [p for p in found if direction in p["policyTypes"] and select(p["podSelector"], pod)]
    side = {"Ingress": "from", "Egress": "to"}[direction]
    asked = {"protocol": protocol, "port": port}
    return not chosen or any(
        (side not in rule or any(admit(given, peer) for given in rule[side]))
        and ("ports" not in rule or asked in rule["ports"])
        for policy in chosen
        for rule in policy.get(direction.lower(), [])
    )


def reach(overlay: str, source: Mapping[str, str], target: Mapping[str, str], port: int) -> bool:
    """Whether a pod reaches another one of the namespace."""
    out = is_open(overlay, "Egress", source, Peer(labels=target), port)
    return out and is_open(overlay, "Ingress", target, Peer(labels=source), port)


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_pods_of_a_job_reach_one_another_and_mlflow(overlay: str) -> None:
    # Spark's driver, its block managers, and ports that it chooses.
    for port in (7078, 7079, 35_211):
        assert reach(overlay, _DRIVER, _EXECUTOR, port)
        assert reach(overlay, _EXECUTOR, _DRIVER, port)
        assert reach(overlay, _EXECUTOR, _EXECUTOR, port)
    assert reach(overlay, _DRIVER, _MLFLOW, 5000)


@pytest.mark.parametrize("overlay", _OVERLAYS)
@pytest.mark.parametrize("pod", [_DRIVER, _EXECUTOR], ids=["driver", "executor"])
def test_names_the_api_server_and_stores_are_reached(overlay: str, pod: dict[str, str]) -> None:
    for protocol in ("UDP", "TCP"):
        for port in (53, 5353):
            assert is_open(overlay, "Egress", pod, _DNS, port, protocol)
    for port in (443, 6443):
        assert is_open(overlay, "Egress", pod, _OUTSIDE, port)


def test_stores_on_their_own_ports_are_reached_with_the_component() -> None:
    for port in (7070, 9000):
        assert is_open("prod", "Egress", _EXECUTOR, _OUTSIDE, port)
        assert not is_open("dev", "Egress", _EXECUTOR, _OUTSIDE, port)


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_everything_else_is_shut(overlay: str) -> None:
    for pod in (_DRIVER, _EXECUTOR, _MLFLOW):
        for port in (22, 80, 8080):
            assert not is_open(overlay, "Egress", pod, _OUTSIDE, port)
        for port in (4040, 5000, 7078):
            assert not is_open(overlay, "Ingress", pod, _OUTSIDE, port)
            assert not is_open(overlay, "Ingress", pod, _OTHER_GROUP, port)


def test_prometheus_reaches_drivers_only() -> None:
    assert is_open("prod", "Ingress", _DRIVER, _PROMETHEUS, 4040)
    assert not is_open("prod", "Ingress", _DRIVER, _PROMETHEUS, 7078)
    assert not is_open("prod", "Ingress", _EXECUTOR, _PROMETHEUS, 4040)
