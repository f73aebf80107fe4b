"""The chart rendered by Helm's own SDK and read as objects, without a cluster or a network."""

import os
import unittest
from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/mai-operator"
UPDATE = bool(os.environ.get("UPDATE"))

# Values for each way in which the chart is used.
VALUE_SETS = {
    "default": {},
    "namespaced": {"watchNamespaces": ["client-a", "client-b"]},
    "two-replicas": {"replicas": 2},
    "everything": {
        "commonLabels": {"team": "platform"},
        "image": {"repository": "registry.example.com/mai-production", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
        "helperImage": "registry.example.com/mai-helper:0.1.0",
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 3,
        "watchNamespaces": ["client-a"],
        "entrances": ["my-ingress"],
        "policy": {"hosts": ["*.example.com"], "secretsNeedReaders": True, "authors": [{"namespace": "client-a", "volumes": ["archive"]}]},
        "resync": "10m",
        "log": {"format": "text", "filter": "info,kube=debug"},
        "notifications": {"webhooks": {"secretName": "told"}, "heartbeat": {"secretName": "told", "key": "beat", "interval": "1m"}, "name": "production"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "crds": {"annotations": {"example.com/kept": "yes"}},
        "rbac": {"watchSecrets": False},
        "gatewayApi": {"enabled": False},
        "serviceAccount": {"name": "mai", "annotations": {"example.com/role": "mai"}},
        "podAnnotations": {"example.com/note": "pod"},
        "podLabels": {"example.com/label": "pod"},
        "runAsUser": None,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": 1, "memory": "512Mi"}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 60,
        "networkPolicy": {"enabled": True, "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}], "apiServerPorts": [6443]},
        "metrics": {
            "service": {"annotations": {"prometheus.io/scrape": "true"}},
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {
                "enabled": True,
                "labels": {"release": "prometheus"},
                "runbookBaseUrl": "https://git.example.com/mai/blob/main/docs/runbooks/",
                "alertLabels": {"team": "platform"},
                "disabled": ["MaiWatchErrors"],
                "silentAfterSeconds": 1800,
            },
            "dashboard": {"enabled": True, "namespace": "monitoring", "annotations": {"grafana_folder": "mAI"}},
        },
    },
}


def render(values=None, name="mai-operator"):
    """Returns the rendered text by template, of a release in the namespace mai-system."""
    with helm.Chart.load(CHART) as chart:
        rendered = chart.render(values or {}, name=name, namespace="mai-system")
    return {path.removeprefix("mai-operator/templates/"): text for path, text in sorted(rendered.items()) if text.strip()}


def objects(values=None, name="mai-operator"):
    """Returns the rendered objects."""
    texts = [text for path, text in render(values, name).items() if path != "NOTES.txt"]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def of_kind(kind, values=None):
    """Returns the rendered objects of a kind, by name."""
    return {made["metadata"]["name"]: made for made in objects(values) if made["kind"] == kind}


class Case(unittest.TestCase):
    """A test that compares with committed files, or regenerates them."""

    maxDiff = None

    def assert_committed(self, path, text):
        if UPDATE:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        committed = path.read_text() if path.exists() else ""
        hint = f"{path.relative_to(ROOT)} is stale; run: UPDATE=1 tests/chart/run target/debug/mai, and look at the difference"
        self.assertEqual(committed, text, hint)
