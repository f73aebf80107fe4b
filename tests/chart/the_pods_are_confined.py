"""The operator's pod keeps the restricted pod security standard, is probed, and never runs twice at once by accident."""

import helm_python as helm
from stage import SCENES, Case, of_kind, render


def deployment(values=None):
    return of_kind("Deployment", values)["mai-operator"]["spec"]


class ThePodsAreConfined(Case):
    def test_restricted_pod_security_in_every_scene(self):
        for scene, values in SCENES.items():
            with self.subTest(scene):
                pod = deployment(values)["template"]["spec"]
                self.assertEqual(pod["securityContext"]["runAsNonRoot"], True)
                self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                for forbidden in ("hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"):
                    self.assertNotIn(forbidden, pod)
                [container] = pod["containers"]
                self.assertEqual(
                    container["securityContext"],
                    {
                        "allowPrivilegeEscalation": False,
                        "privileged": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                )

    def test_its_user_is_that_of_the_image_unless_the_cluster_chooses(self):
        context = deployment()["template"]["spec"]["securityContext"]
        self.assertEqual((context["runAsUser"], context["runAsGroup"]), (65532, 65532))
        context = deployment({"runAsUser": None})["template"]["spec"]["securityContext"]
        self.assertNotIn("runAsUser", context)
        self.assertNotIn("runAsGroup", context)

    def test_it_is_probed_and_limited(self):
        [container] = deployment()["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(ports, {"http": 8080})
        self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/livez", "port": "http"})
        self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "http"})
        self.assertIn("memory", container["resources"]["limits"])

    def test_it_is_told_what_the_values_say(self):
        [container] = deployment(SCENES["everything"])["template"]["spec"]["containers"]
        told = {variable["name"]: variable.get("value") for variable in container["env"]}
        self.assertEqual(
            told,
            {
                "POD_NAME": None,
                "POD_NAMESPACE": None,
                "MAI_NAMESPACES": "client-a",
                "MAI_ENTRANCES": "my-ingress",
                "MAI_LISTEN": "0.0.0.0:8080",
                "MAI_LEADER_ELECTION": "true",
                "MAI_RESYNC": "10m",
                "MAI_LOG_FORMAT": "text",
                "RUST_LOG": "info,kube=debug",
                "HTTPS_PROXY": "http://proxy:3128",
            },
        )
        self.assertEqual(container["args"], ["operator"])
        self.assertEqual(container["image"], "registry.example.com/mai-production@sha256:" + "a" * 64)

    def test_one_replica_is_never_two_and_two_need_an_election(self):
        self.assertEqual((deployment()["replicas"], deployment()["strategy"]), (1, {"type": "Recreate"}))
        self.assertEqual(of_kind("PodDisruptionBudget"), {}, "with one replica it would block every drain")
        two = deployment({"replicas": 2})
        self.assertEqual(two["strategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        self.assertEqual(of_kind("PodDisruptionBudget", {"replicas": 2})["mai-operator"]["spec"]["maxUnavailable"], 1)
        with self.assertRaisesRegex(helm.HelmError, "replicas above 1 needs leaderElection.enabled: .* Set replicas to 1, or"):
            render({"replicas": 2, "leaderElection": {"enabled": False}})

    def test_selectors_find_the_pod(self):
        labels = deployment(SCENES["everything"])["template"]["metadata"]["labels"]
        selectors = [
            deployment(SCENES["everything"])["selector"]["matchLabels"],
            of_kind("Service", SCENES["everything"])["mai-operator-metrics"]["spec"]["selector"],
            of_kind("PodDisruptionBudget", SCENES["everything"])["mai-operator"]["spec"]["selector"]["matchLabels"],
            of_kind("NetworkPolicy", SCENES["everything"])["mai-operator"]["spec"]["podSelector"]["matchLabels"],
        ]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
        monitor = of_kind("ServiceMonitor", SCENES["everything"])["mai-operator"]["spec"]
        service = of_kind("Service", SCENES["everything"])["mai-operator-metrics"]
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        self.assertEqual(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
        self.assertTrue(monitor["endpoints"][0]["honorLabels"], "else the namespace of an instance becomes that of the operator")
