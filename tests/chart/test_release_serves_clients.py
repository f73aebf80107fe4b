"""The steps of docs/kubernetes.md with the real operator: three clients, an upgrade, an uninstall, a reinstall."""

import re
import time
import urllib.request

from cluster import Cluster, wait_for
from environment import CHART, ROOT, Case

REPOSITORY = "registry.example.com/mai-production"
CLIENTS = ("brightlabs", "companyabc", "nowakowska")
OPERATOR = ("-n", "mai-system")


class ReleaseServesClients(Case):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(node=True)
        cls.addClassCleanup(cls.cluster.close)
        # The name that the examples use.
        cls.cluster.load_own_image(f"{REPOSITORY}:0.1.0")

    def kubectl(self, *arguments, stdin=None):
        code, output = self.cluster.kubectl(*arguments, stdin=stdin)
        if code != 0:
            seen = [self.cluster.kubectl(*words)[1] for words in (
                ("get", "mai,pods", "-A", "-o", "wide"),
                ("get", "mai", "-A", "-o", "yaml"),
                ("logs", *OPERATOR, "deployment/mai-operator", "--tail=60"),
            )]
            self.fail("\n".join([f"kubectl {' '.join(arguments)}: {output}", *seen]))
        return output

    def install(self):
        with self.cluster.helm() as config:
            config.install(CHART, "mai-operator", {"image": {"repository": REPOSITORY}})
        self.wait_rolled_out()

    def wait_rolled_out(self):
        self.kubectl("rollout", "status", "deployment/mai-operator", *OPERATOR, "--timeout=5m")

    def wait_ready(self):
        self.kubectl("wait", "--for=condition=Ready", "maiinstances", "--all", "--all-namespaces", "--timeout=5m")

    def servers(self):
        """Returns by client the uid and restart count of its pod and the generation of its Deployment."""
        found = {}
        for client in CLIENTS:
            [pod] = self.cluster.get("pods", "-n", f"client-{client}")["items"]
            deployment = self.cluster.get(f"deployment/mai-{client}", "-n", f"client-{client}")
            found[client] = (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"], deployment["metadata"]["generation"])
        return found

    def answers(self, client):
        address = self.cluster.get(f"service/mai-{client}", "-n", f"client-{client}")["spec"]["clusterIP"]
        try:
            with urllib.request.urlopen(f"http://{address}:8080/ready", timeout=30) as answer:
                return answer.status == 200
        except OSError:  # a Service leads to a new pod a moment after that is ready
            return False

    def all_answer(self):
        return wait_for(lambda: all(self.answers(client) for client in CLIENTS))

    def metrics(self):
        """Returns the metrics of each pod of the operator that answers; one may just be going."""
        pods = [pod["metadata"]["name"] for pod in self.cluster.get("pods", *OPERATOR)["items"] if "deletionTimestamp" not in pod["metadata"]]
        answers = {pod: self.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/mai-system/pods/{pod}:8080/proxy/metrics") for pod in pods}
        return {pod: text for pod, (code, text) in answers.items() if code == 0}

    def test_three_clients_survive_upgrade_and_reinstall(self):
        self.kubectl("create", "namespace", "mai-system")
        self.kubectl("label", "namespace", "mai-system", "pod-security.kubernetes.io/enforce=restricted")
        self.install()
        self.kubectl("apply", "-f", str(ROOT / "deploy/examples"))
        self.wait_ready()
        self.assertTrue(self.all_answer())
        self.check_rollback("nowakowska")
        self.check_rotation("companyabc")
        before = self.servers()

        with self.subTest("what it tells Prometheus is what is documented"):
            self.check_metrics()
        with self.subTest("its rights are enough"):
            self.assertNotRegex(self.kubectl("logs", *OPERATOR, "deployment/mai-operator"), "(?i)forbidden|ERROR")

        with self.cluster.helm() as config:
            config.upgrade(CHART, "mai-operator", {"image": {"repository": REPOSITORY}, "replicas": 2, "log": {"filter": "debug"}})
        self.wait_rolled_out()

        def two_with_one_leader():
            metrics = self.metrics()
            leading = [pod for pod, text in metrics.items() if re.search(r"^mai_operator_leader 1$", text, re.M)]
            telling = [pod for pod, text in metrics.items() if "mai_instance_ready{" in text]
            return len(metrics) == 2 and len(leading) == 1 and telling == leading

        self.assertTrue(wait_for(two_with_one_leader), "one leads, and whoever stands by tells nothing of instances")
        self.assertEqual(self.servers(), before, "an upgrade of the operator reached a client")

        claims = lambda: {c["metadata"]["uid"] for c in self.cluster.get("pvc", "-n", "client-companyabc")["items"]}
        kept = claims()
        self.kubectl("delete", "maiinstance/companyabc", "-n", "client-companyabc", "--timeout=5m")
        self.assertTrue(wait_for(lambda: not self.cluster.get("pods", "-n", "client-companyabc")["items"]))
        self.kubectl("apply", "-f", str(ROOT / "deploy/examples/companyabc.yaml"))
        self.wait_ready()
        self.assertEqual((claims(), len(kept)), (kept, 2), "the data is taken up again")
        after = self.servers()
        self.assertEqual({**after, "companyabc": None}, {**before, "companyabc": None})

        with self.cluster.helm() as config:
            config.uninstall("mai-operator")
        self.assertTrue(wait_for(lambda: not self.cluster.get("pods", *OPERATOR)["items"]))
        self.assertTrue(self.all_answer(), "clients go on without the operator")
        self.assertEqual(self.servers(), after)

        self.install()
        seen = lambda text: len(re.findall(r"^mai_instance_ready\{.*\} 1$", text, re.M)) == 3 and "mai_operator_last_reconcile_timestamp_seconds{" in text
        self.assertTrue(wait_for(lambda: any(map(seen, self.metrics().values()))), "the operator looks at all of them again")
        self.kubectl("annotate", "maiinstance/brightlabs", "-n", "client-brightlabs", "touched=now")
        time.sleep(5)
        self.assertEqual(self.servers(), after, "a return of the operator reached a client")

        self.kubectl("delete", "maiinstances", "--all", "--all-namespaces", "--timeout=5m")
        with self.cluster.helm() as config:
            config.uninstall("mai-operator")
        self.kubectl("delete", "crd", "maiinstances.mai.dev", "maibackups.mai.dev", "mairestores.mai.dev")
        self.assertEqual(len(self.cluster.get("pvc", "-A")["items"]), 6, "data outlives everything")
        self.kubectl("delete", "pvc,secret", "--all-namespaces", "-l", "app.kubernetes.io/managed-by=mai-operator", "--timeout=5m")
        left = self.cluster.get("all,pvc,secrets,networkpolicies,ingresses", "-A", "-l", "app.kubernetes.io/managed-by=mai-operator")["items"]
        self.assertEqual([f"{one['kind']}/{one['metadata']['name']}" for one in left], [])

    def check_rollback(self, client):
        """An image that does not start is rolled back, which needs permissions of its own."""
        where = (f"maiinstance/{client}", "-n", f"client-{client}")
        change = lambda tag: self.kubectl("patch", *where, "--type=merge", "-p", f'{{"spec": {{"image": "{REPOSITORY}:{tag}", "health": {{"startPeriod": "10s"}}}}}}')
        change("9.9.9")
        self.kubectl("wait", *where, '--for=jsonpath={.status.conditions[?(@.type=="Stalled")].reason}=RolledBack', "--timeout=5m")
        self.assertTrue(wait_for(lambda: len(self.cluster.get("pods", "-n", f"client-{client}")["items"]) == 1))
        self.kubectl("wait", f"deployment/mai-{client}", "-n", f"client-{client}", "--for=condition=Available", "--timeout=5m")
        self.assertTrue(wait_for(lambda: self.answers(client)), "what ran before runs again")
        change("0.1.0")
        self.wait_ready()

    def check_rotation(self, client):
        """Without the permission to list Secrets a rotation is applied when the document is annotated."""
        namespace = ("-n", f"client-{client}")
        pod = lambda: {one["metadata"]["uid"] for one in self.cluster.get("pods", *namespace)["items"]}
        before = pod()
        self.kubectl("patch", "secret/openrouter", *namespace, "-p", '{"stringData": {"api-key": "sk-or-v1-rotated"}}')
        self.kubectl("annotate", f"maiinstance/{client}", *namespace, "rotated=1", "--overwrite")
        self.assertTrue(wait_for(lambda: len(pod()) == 1 and pod().isdisjoint(before)), "the pod with the old key goes on")
        self.wait_ready()

    def check_metrics(self):
        page = (ROOT / "docs/kubernetes.md").read_text()
        documented = {name: set(filter(None, labels.split(","))) for name, labels in re.findall(r"^\| `(mai_[a-z_]+)(?:\{([a-z,]+)\})?` \|", page, re.M)}
        # Absent until the first failure, and until a client has backups.
        silent = {
            "mai_operator_reconcile_errors_total",
            "mai_operator_watch_errors_total",
            "mai_instance_upgrade_healthy",
            "mai_instance_backup_healthy",
            "mai_instance_last_verified_backup_timestamp_seconds",
            "mai_instance_restore_failed",
            "mai_instance_restore_verified",
            "mai_instance_last_passed_drill_timestamp_seconds",
            "mai_instance_recovery_seconds",
            # No client has a limit or a key of its own.
            "mai_usage_limit_usd",
            "mai_usage_limit_remaining_ratio",
            "mai_usage_key_accepted",
            "mai_usage_key_expiry_timestamp_seconds",
            # So there is no bill to compare with.
            "mai_usage_unattributed_usd",
            "mai_usage_bill_compared_timestamp_seconds",
        }
        whole = lambda: next(iter(self.metrics().values()), "")
        self.assertTrue(wait_for(lambda: 'mai_operator_crd_missing{kind="HTTPRoute"} 1' in whole()), "brightlabs needs a kind that is not there")

        def read():
            served = {}
            for name, labels in re.findall(r"^(mai_[a-z_]+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? [0-9.e+-]+$", whole(), re.M):
                served.setdefault(name, set()).update(set(re.findall(r'(\w+)="', labels)) - {"le"})
            return served

        wait_for(lambda: set(read()) | silent == set(documented), 30)
        served = read()
        self.assertEqual(set(served) | silent, set(documented))
        for name, labels in served.items():
            self.assertEqual(labels, documented[name], name)
