"""The kustomize base equals the chart; the files for Flux and Argo CD and the examples are valid."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import helm_python as helm
import lupa
import yaml
from environment import CHART, ROOT, Case, objects

DEPLOY = ROOT / "deploy"
HEADER = "# Generated from charts/mai-operator; do not edit. UPDATE=1 tests/chart/run target/debug/mai writes it anew.\n"

# Bases are often applied with pruning; a pruned CRD would delete every client.
KEPT = {
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false,ServerSideApply=true",
}
FILES = {
    "crds.yaml": ("CustomResourceDefinition",),
    "rbac.yaml": ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "deployment.yaml": ("Deployment", "Service"),
}


def without_helm(made):
    """Returns an object of the chart without Helm's labels, and without the operator's image in its environment.

    An overlay names the image, and only where a container has it; the operator reads its own there.
    """
    for container in made.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        container["env"] = [one for one in container["env"] if one["name"] != "MAI_HELPER_IMAGE"]
    for metadata in (made["metadata"], made.get("spec", {}).get("template", {}).get("metadata", {})):
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            metadata.get("labels", {}).pop(label, None)
    return made


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


class KustomizeAndGitopsMatch(Case):
    def test_kustomize_base_equals_chart_defaults(self):
        made = [without_helm(one) for one in objects({"crds": {"annotations": KEPT}})]
        for name, kinds in FILES.items():
            chosen = [one for one in made if one["kind"] in kinds]
            text = yaml.safe_dump_all(chosen, sort_keys=False, width=140)
            self.assert_committed(DEPLOY / "kustomize" / name, HEADER + text)
        self.assertEqual({one["kind"] for one in made}, {kind for kinds in FILES.values() for kind in kinds}, "nothing is left out")
        [kustomization] = documents(DEPLOY / "kustomize/kustomization.yaml")
        self.assertEqual(kustomization["resources"], ["namespace.yaml", *FILES])
        [namespace] = documents(DEPLOY / "kustomize/namespace.yaml")
        self.assertEqual({one["metadata"]["namespace"] for one in made if "namespace" in one["metadata"]}, {namespace["metadata"]["name"]})

    def test_examples_are_valid(self):
        with tempfile.TemporaryDirectory() as directory:
            for path in (DEPLOY / "examples").glob("*.yaml"):
                copied = shutil.copy(path, directory)
                os.chmod(copied, 0o600)  # Git does not keep modes, and Secrets that others can read are refused
            ran = subprocess.run([os.environ["MAI"], "validate", directory], capture_output=True, text=True, check=False)
        self.assertEqual((ran.returncode, ran.stdout.strip()), (0, "3 instances in 4 files are valid"), ran.stderr)

    def test_examples_contain_their_references(self):
        made = [one for path in (DEPLOY / "examples").glob("*.yaml") for one in documents(path)]
        namespaces = {one["metadata"]["name"] for one in made if one["kind"] == "Namespace"}
        keys = {(s["metadata"]["namespace"], s["metadata"]["name"], key) for s in made if s["kind"] == "Secret" for key in s["stringData"]}

        def references(node):
            if isinstance(node, dict):
                yield from (value for name, value in node.items() if name.endswith("SecretRef"))
                for value in node.values():
                    yield from references(value)

        for instance in (one for one in made if one["kind"] == "MaiInstance"):
            namespace = instance["metadata"]["namespace"]
            self.assertIn(namespace, namespaces)
            for reference in references(instance["spec"]):
                self.assertIn((namespace, reference["name"], reference["key"]), keys)
            for name in instance["spec"].get("imagePullSecrets", []):
                self.assertIn((namespace, name, ".dockerconfigjson"), keys)

    def test_flux_and_argo_cd_values_are_valid(self):
        [release] = [one for one in documents(DEPLOY / "flux/operator.yaml") if one["kind"] == "HelmRelease"]
        [application] = documents(DEPLOY / "argocd/operator.yaml")
        self.assertEqual(release["spec"]["chart"]["spec"]["chart"], str(CHART.relative_to(ROOT)))
        self.assertEqual(application["spec"]["source"]["path"], str(CHART.relative_to(ROOT)))
        with helm.Chart.load(CHART) as chart:
            for values in (release["spec"]["values"], application["spec"]["source"]["helm"]["valuesObject"]):
                chart.validate_schema(values)

    def test_flux_waits_for_the_clients(self):
        every, one = [d for d in documents(DEPLOY / "flux/clients.yaml") if d["kind"] == "Kustomization"]
        self.assertIs(every["spec"]["wait"], True)
        [check] = one["spec"]["healthChecks"]
        [instance] = [d for d in documents(DEPLOY / "examples/companyabc.yaml") if d["kind"] == "MaiInstance"]
        named = {"name": instance["metadata"]["name"], "namespace": instance["metadata"]["namespace"]}
        self.assertEqual(check, {"apiVersion": instance["apiVersion"], "kind": instance["kind"]} | named)

    def test_argo_cd_config_map_contains_the_health_check(self):
        lua = (DEPLOY / "argocd/health.lua").read_text()
        header = "# Merged into the ConfigMap of Argo CD: kubectl patch configmap argocd-cm -n argocd --patch-file deploy/argocd/argocd-cm.yaml\n"
        indented = "".join(f"    {line}" if line.strip() else line for line in lua.splitlines(keepends=True))
        self.assert_committed(DEPLOY / "argocd/argocd-cm.yaml", f"{header}data:\n  resource.customizations.health.mai.dev_MaiInstance: |\n{indented}")
        [patch] = documents(DEPLOY / "argocd/argocd-cm.yaml")
        self.assertEqual(patch["data"]["resource.customizations.health.mai.dev_MaiInstance"], lua)

    def test_argo_cd_health_follows_the_conditions(self):
        def condition(kind, status, reason="Ready"):
            return {"type": kind, "status": status, "reason": reason, "message": f"{kind} is {status}"}

        ready, unready = condition("Ready", "True"), condition("Ready", "False")
        def with_conditions(*conditions, generation=2):
            return {"observedGeneration": generation, "conditions": list(conditions)}

        table = [
            ("no status yet", None, "Progressing"),
            ("status of an older generation", with_conditions(ready, generation=1), "Progressing"),
            ("ready", with_conditions(ready), "Healthy"),
            ("reconciling", with_conditions(condition("Reconciling", "True"), unready), "Progressing"),
            ("reconciled", with_conditions(condition("Reconciling", "False"), condition("Stalled", "False"), ready), "Healthy"),
            ("stalled", with_conditions(unready, condition("Stalled", "True")), "Degraded"),
            ("not ready", with_conditions(unready), "Degraded"),
            ("unknown", with_conditions(condition("Ready", "Unknown")), "Progressing"),
            ("suspended", with_conditions(condition("Ready", "False", "Suspended")), "Suspended"),
            ("resuming", with_conditions(condition("Ready", "False", "Suspended"), generation=1), "Progressing"),
        ]
        lua = lupa.LuaRuntime()
        health = lua.eval("function(obj) " + (DEPLOY / "argocd/health.lua").read_text() + " end")

        def assess(status, annotations=None):
            metadata = {"generation": 2} | ({"annotations": annotations} if annotations else {})
            instance = {"metadata": metadata, "spec": {}} | ({"status": status} if status else {})
            return health(lua.table_from(instance, recursive=True))

        for case, status, expected in table:
            with self.subTest(case):
                self.assertEqual(assess(status)["status"], expected)
                self.assertTrue(assess(status)["message"])
                self.assertEqual(assess(status, {"mai.dev/paused": "true"})["status"], "Suspended")
                self.assertEqual(assess(status, {"mai.dev/paused": "false"})["status"], expected)
