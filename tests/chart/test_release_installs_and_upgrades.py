"""On a real API server the chart installs, upgrades, uninstalls and reinstalls, with the documented permissions."""

import shutil
import tempfile
from pathlib import Path

import yaml
from cluster import Cluster, wait_for
from environment import CHART, ROOT, VALUE_SETS, Case

OPERATOR = "system:serviceaccount:mai-system:mai-operator"
CLIENT = {
    "apiVersion": "mai.dev/v1alpha1",
    "kind": "MaiInstance",
    "metadata": {"name": "companyabc", "namespace": "client-a"},
    "spec": {"displayName": "Company ABC", "openRouter": {"mock": True}},
}


def namespace(name, level="restricted"):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}}}


class ReleaseInstallsAndUpgrades(Case):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.apply(namespace("mai-system"), namespace("client-a"), namespace("client-b"))

    def install(self, values=None, chart=CHART):
        with self.cluster.helm() as config:
            config.install(chart, "mai-operator", values or {})
        self.addCleanup(self.uninstall)
        self.assertTrue(wait_for(lambda: self.cluster.kubectl("get", "maiinstances", "-A")[0] == 0), "the CRD is served")

    def upgrade(self, values=None):
        with self.cluster.helm() as config:
            config.upgrade(CHART, "mai-operator", values or {})

    def uninstall(self):
        with self.cluster.helm() as config:
            config.uninstall("mai-operator", ignore_not_found=True)

    def test_restricted_namespace_admits_the_pod(self):
        for values in ({}, {"replicas": 2}):
            self.install(values)
            pods = wait_for(lambda: self.cluster.get("pods", "-n", "mai-system")["items"])
            events = self.cluster.kubectl("get", "events", "-n", "mai-system")[1]
            self.assertTrue(pods, events)
            self.assertNotIn("violates PodSecurity", events)
            self.uninstall()
            self.assertTrue(wait_for(lambda: not self.cluster.get("deployment", "-n", "mai-system")["items"]))

    def test_api_server_accepts_all_values(self):
        for case, values in VALUE_SETS.items():
            with self.subTest(case):
                values = dict(values)
                if "metrics" in values:  # the Prometheus operator's kinds do not exist there
                    values["metrics"] = {"dashboard": {"enabled": True}}
                self.install(values)
                self.uninstall()

    def test_uninstall_keeps_clients_for_the_next_install(self):
        self.install()
        self.cluster.apply(CLIENT)
        before = self.cluster.get("maiinstance/companyabc", "-n", "client-a")["metadata"]["uid"]
        self.uninstall()
        self.assertIsNone(self.cluster.get("deployment/mai-operator", "-n", "mai-system"))
        self.assertEqual(self.cluster.get("maiinstance/companyabc", "-n", "client-a")["metadata"]["uid"], before)
        self.install()
        self.assertEqual(self.cluster.get("maiinstance/companyabc", "-n", "client-a")["metadata"]["uid"], before)

    def test_upgrade_applies_the_new_crd(self):
        with tempfile.TemporaryDirectory() as directory:
            old = Path(shutil.copytree(CHART, Path(directory, "mai-operator")))
            crd = yaml.safe_load((old / "files/maiinstances.yaml").read_text())
            del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["suspend"]
            (old / "files/maiinstances.yaml").write_text(yaml.safe_dump(crd))
            self.install(chart=old)
        explain = ("explain", "maiinstance.spec.suspend")
        self.assertTrue(wait_for(lambda: self.cluster.kubectl(*explain)[0] != 0), "the old CRD does not know it")
        self.upgrade()
        self.assertTrue(wait_for(lambda: "Stops the workload" in self.cluster.kubectl(*explain)[1]))

    def test_operator_has_exactly_its_permissions(self):
        may = self.cluster.may
        self.install()
        # The API server applies roles and bindings with a delay; the Lease has the last of them.
        self.assertTrue(wait_for(lambda: may(OPERATOR, "update", "leases/mai-operator", "mai-system")))
        self.assertTrue(wait_for(lambda: may(OPERATOR, "patch", "maiinstances.mai.dev", below="status")))
        self.assertTrue(may(OPERATOR, "create", "deployments.apps"))
        self.assertTrue(may(OPERATOR, "get", "secrets"))
        self.assertTrue(may(OPERATOR, "patch", "events.events.k8s.io"))
        self.assertTrue(may(OPERATOR, "patch", "deployments.apps"))
        for verb, resource, where in (
            ("list", "secrets", "client-a"),
            ("update", "maiinstances.mai.dev", "client-a"),
            ("update", "deployments.apps", "client-a"),
            ("delete", "pods", "client-a"),
            ("update", "leases/another", "mai-system"),
            ("create", "leases", "client-a"),
            ("create", "roles", "client-a"),
            ("get", "customresourcedefinitions/maiinstances.mai.dev", None),
            ("list", "nodes", None),
        ):
            self.assertFalse(may(OPERATOR, verb, resource, where), (verb, resource, where))
        self.assertFalse(may(OPERATOR, "create", "pods", "client-a", below="exec"))
        self.assertFalse(may(OPERATOR, "create", "serviceaccounts", "client-a", below="token"))
        self.upgrade({"watchNamespaces": ["client-a"]})
        self.assertTrue(wait_for(lambda: may(OPERATOR, "list", "secrets", "client-a")))
        self.assertTrue(wait_for(lambda: not may(OPERATOR, "get", "secrets")))
        self.assertTrue(may(OPERATOR, "create", "deployments.apps", "client-a"))
        for resource in ("secrets", "deployments.apps", "maiinstances.mai.dev"):
            self.assertFalse(may(OPERATOR, "get", resource, "client-b"), resource)
            self.assertFalse(may(OPERATOR, "get", resource), resource)

    def test_users_get_permissions_by_aggregated_roles(self):
        self.install()
        for role in ("view", "edit"):
            self.cluster.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er", "-n", "client-a")
        may = self.cluster.may
        self.assertTrue(wait_for(lambda: may("viewer", "get", "maiinstances.mai.dev", "client-a")))
        self.assertFalse(may("viewer", "create", "maiinstances.mai.dev", "client-a"))
        self.assertTrue(wait_for(lambda: may("editer", "create", "maiinstances.mai.dev", "client-a")))
        self.assertFalse(may("editer", "patch", "maiinstances.mai.dev", "client-a", below="status"))
        self.assertFalse(may("editer", "get", "maiinstances.mai.dev", "client-b"))

    def test_examples_are_accepted(self):
        self.install()
        code, output = self.cluster.kubectl("apply", "-f", str(ROOT / "deploy/examples"))
        self.assertEqual(code, 0, output)
        self.assertNotIn("Warning", output)
        shown = self.cluster.kubectl("get", "mai", "--all-namespaces")[1]
        for name in ("brightlabs", "companyabc", "nowakowska"):
            self.assertIn(f"client-{name} ", shown)

    def test_kustomize_base_is_accepted(self):
        code, output = self.cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/kustomize"))
        self.assertEqual(code, 0, output)
        self.assertNotIn("Warning", output)
        self.assertTrue(wait_for(lambda: self.cluster.get("pods", "-n", "mai-system")["items"]))
        code, output = self.cluster.kubectl("delete", "clusterrole,clusterrolebinding,role,rolebinding,deployment,service,serviceaccount", "-n", "mai-system", "-l", "app.kubernetes.io/instance=mai-operator")
        self.assertEqual(code, 0, output)
        self.cluster.kubectl("delete", "crd", "maiinstances.mai.dev", "maibackups.mai.dev", "mairestores.mai.dev")
