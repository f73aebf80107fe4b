"""What the chart promises holds on a real API server: installed, upgraded, uninstalled, installed again, with its rights as they are told."""

import shutil
import tempfile
import time
from pathlib import Path

import yaml
from cluster import Cluster
from stage import CHART, ROOT, SCENES, Case

OPERATOR = "system:serviceaccount:mai-system:mai-operator"
CLIENT = {
    "apiVersion": "mai.dev/v1alpha1",
    "kind": "MaiInstance",
    "metadata": {"name": "companyabc", "namespace": "client-a"},
    "spec": {"displayName": "Company ABC", "openRouter": {"mock": True}},
}


def namespace(name, level="restricted"):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}}}


def eventually(found, seconds=60):
    """The first true answer."""
    until = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < until:
        time.sleep(0.2)
    return answer


class TheReleaseLivesInACluster(Case):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.apply(namespace("mai-system"), namespace("client-a"), namespace("client-b"))

    def install(self, values=None, chart=CHART):
        with self.cluster.helm() as config:
            config.install(chart, "mai-operator", values or {})
        self.addCleanup(self.uninstall)
        self.assertTrue(eventually(lambda: self.cluster.kubectl("get", "maiinstances", "-A")[0] == 0), "the CRD is served")

    def upgrade(self, values=None):
        with self.cluster.helm() as config:
            config.upgrade(CHART, "mai-operator", values or {})

    def uninstall(self):
        with self.cluster.helm() as config:
            config.uninstall("mai-operator", ignore_not_found=True)

    def test_the_pod_is_let_in_where_pods_are_restricted(self):
        for values in ({}, {"replicas": 2}):
            self.install(values)
            pods = eventually(lambda: self.cluster.get("pods", "-n", "mai-system")["items"])
            events = self.cluster.kubectl("get", "events", "-n", "mai-system")[1]
            self.assertTrue(pods, events)
            self.assertNotIn("violates PodSecurity", events)
            self.uninstall()
            self.assertTrue(eventually(lambda: not self.cluster.get("deployment", "-n", "mai-system")["items"]))

    def test_an_api_server_takes_every_scene(self):
        for scene, values in SCENES.items():
            with self.subTest(scene):
                values = dict(values)
                if "metrics" in values:  # the kinds of the Prometheus operator are not there
                    values["metrics"] = {"dashboard": {"enabled": True}}
                self.install(values)
                self.uninstall()

    def test_an_uninstall_takes_no_client_along_and_a_new_install_finds_them(self):
        self.install()
        self.cluster.apply(CLIENT)
        before = self.cluster.get("maiinstance/companyabc", "-n", "client-a")["metadata"]["uid"]
        self.uninstall()
        self.assertIsNone(self.cluster.get("deployment/mai-operator", "-n", "mai-system"))
        self.assertEqual(self.cluster.get("maiinstance/companyabc", "-n", "client-a")["metadata"]["uid"], before)
        self.install()
        self.assertEqual(self.cluster.get("maiinstance/companyabc", "-n", "client-a")["metadata"]["uid"], before)

    def test_an_upgrade_brings_the_new_crd(self):
        with tempfile.TemporaryDirectory() as directory:
            old = Path(shutil.copytree(CHART, Path(directory, "mai-operator")))
            crd = yaml.safe_load((old / "files/maiinstances.yaml").read_text())
            del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["suspend"]
            (old / "files/maiinstances.yaml").write_text(yaml.safe_dump(crd))
            self.install(chart=old)
        explain = ("explain", "maiinstance.spec.suspend")
        self.assertTrue(eventually(lambda: self.cluster.kubectl(*explain)[0] != 0), "the old CRD does not know it")
        self.upgrade()
        self.assertTrue(eventually(lambda: "Stops the workload" in self.cluster.kubectl(*explain)[1]))

    def test_the_rights_are_what_the_api_server_grants(self):
        may = self.cluster.may
        self.install()
        self.assertTrue(may(OPERATOR, "patch", "maiinstances.mai.dev", below="status"))
        self.assertTrue(may(OPERATOR, "create", "deployments.apps"))
        self.assertTrue(may(OPERATOR, "get", "secrets"))
        self.assertTrue(may(OPERATOR, "patch", "events.events.k8s.io"))
        self.assertTrue(may(OPERATOR, "update", "leases/mai-operator", "mai-system"))
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
        self.assertTrue(may(OPERATOR, "list", "secrets", "client-a"))
        self.assertTrue(may(OPERATOR, "create", "deployments.apps", "client-a"))
        for resource in ("secrets", "deployments.apps", "maiinstances.mai.dev"):
            self.assertFalse(may(OPERATOR, "get", resource, "client-b"), resource)
            self.assertFalse(may(OPERATOR, "get", resource), resource)

    def test_people_get_their_rights_with_the_roles_of_the_cluster(self):
        self.install()
        for role in ("view", "edit"):
            self.cluster.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er", "-n", "client-a")
        may = self.cluster.may
        self.assertTrue(eventually(lambda: may("viewer", "get", "maiinstances.mai.dev", "client-a")))
        self.assertFalse(may("viewer", "create", "maiinstances.mai.dev", "client-a"))
        self.assertTrue(eventually(lambda: may("editer", "create", "maiinstances.mai.dev", "client-a")))
        self.assertFalse(may("editer", "patch", "maiinstances.mai.dev", "client-a", below="status"))
        self.assertFalse(may("editer", "get", "maiinstances.mai.dev", "client-b"))

    def test_the_examples_are_taken(self):
        self.install()
        code, said = self.cluster.kubectl("apply", "-f", str(ROOT / "deploy/examples"))
        self.assertEqual(code, 0, said)
        self.assertNotIn("Warning", said)
        shown = self.cluster.kubectl("get", "mai", "--all-namespaces")[1]
        for name in ("brightlabs", "companyabc", "nowakowska"):
            self.assertIn(f"client-{name} ", shown)

    def test_the_kustomize_base_is_taken_too(self):
        code, said = self.cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/kustomize"))
        self.assertEqual(code, 0, said)
        self.assertNotIn("Warning", said)
        self.assertTrue(eventually(lambda: self.cluster.get("pods", "-n", "mai-system")["items"]))
        code, said = self.cluster.kubectl("delete", "clusterrole,clusterrolebinding,role,rolebinding,deployment,service,serviceaccount", "-n", "mai-system", "-l", "app.kubernetes.io/instance=mai-operator")
        self.assertEqual(code, 0, said)
        self.cluster.kubectl("delete", "crd", "maiinstances.mai.dev")
