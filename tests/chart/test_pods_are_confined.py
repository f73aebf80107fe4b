"""The operator's pod meets the restricted pod security standard, has probes, and does not run twice unintentionally."""

import helm_python as helm
from environment import VALUE_SETS, Case, of_kind, render


def deployment(values=None):
    return of_kind("Deployment", values)["mai-operator"]["spec"]


class PodsAreConfined(Case):
    def test_pods_meet_the_restricted_standard_for_all_values(self):
        for case, values in VALUE_SETS.items():
            with self.subTest(case):
                pod = deployment(values)["template"]["spec"]
                self.assertEqual(pod["securityContext"]["runAsNonRoot"], True)
                self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                for forbidden in ("hostNetwork", "hostPID", "hostIPC", "initContainers"):
                    self.assertNotIn(forbidden, pod)
                self.assertEqual([volume["name"] for volume in pod.get("volumes", [])], ["policy"] if values.get("policy") else [])
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

    def test_user_is_of_the_image_unless_unset(self):
        context = deployment()["template"]["spec"]["securityContext"]
        self.assertEqual((context["runAsUser"], context["runAsGroup"]), (65532, 65532))
        context = deployment({"runAsUser": None})["template"]["spec"]["securityContext"]
        self.assertNotIn("runAsUser", context)
        self.assertNotIn("runAsGroup", context)

    def test_pod_has_probes_and_limits(self):
        [container] = deployment()["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(ports, {"http": 8080})
        self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/livez", "port": "http"})
        self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "http"})
        self.assertIn("memory", container["resources"]["limits"])

    def test_values_become_arguments_and_environment(self):
        [container] = deployment(VALUE_SETS["everything"])["template"]["spec"]["containers"]
        environment = {variable["name"]: variable.get("value") for variable in container["env"]}
        self.assertEqual(
            environment,
            {
                "POD_NAME": None,
                "POD_NAMESPACE": None,
                "MAI_NAMESPACES": "client-a",
                "MAI_ENTRANCES": "my-ingress",
                "MAI_LISTEN": "0.0.0.0:8080",
                "MAI_LEADER_ELECTION": "true",
                "MAI_RESYNC": "10m",
                "MAI_POLICY": "/etc/mai/policy/policy.yaml",
                "MAI_LOG_FORMAT": "text",
                "RUST_LOG": "info,kube=debug",
                "MAI_NOTIFY_URL": None,
                "MAI_NOTIFY_FORMAT": "auto",
                "MAI_NOTIFY_AFTER": "1m",
                "MAI_NOTIFY_REMINDER": "24h",
                "MAI_NOTIFY_NAME": "production",
                "MAI_HEARTBEAT_URL": None,
                "MAI_HEARTBEAT_INTERVAL": "1m",
                "HTTPS_PROXY": "http://proxy:3128",
                "MAI_HELPER_IMAGE": "registry.example.com/mai-helper:0.1.0",
            },
        )
        self.assertEqual(container["args"], ["operator"])
        self.assertEqual(container["image"], "registry.example.com/mai-production@sha256:" + "a" * 64)

    def test_several_replicas_need_leader_election(self):
        self.assertEqual((deployment()["replicas"], deployment()["strategy"]), (1, {"type": "Recreate"}))
        self.assertEqual(of_kind("PodDisruptionBudget"), {}, "with one replica it would block every drain")
        two = deployment({"replicas": 2})
        self.assertEqual(two["strategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        self.assertEqual(of_kind("PodDisruptionBudget", {"replicas": 2})["mai-operator"]["spec"]["maxUnavailable"], 1)
        with self.assertRaisesRegex(helm.HelmError, "replicas above 1 needs leaderElection.enabled: .* Set replicas to 1, or"):
            render({"replicas": 2, "leaderElection": {"enabled": False}})

    def test_selectors_match_the_pod(self):
        labels = deployment(VALUE_SETS["everything"])["template"]["metadata"]["labels"]
        selectors = [
            deployment(VALUE_SETS["everything"])["selector"]["matchLabels"],
            of_kind("Service", VALUE_SETS["everything"])["mai-operator-metrics"]["spec"]["selector"],
            of_kind("PodDisruptionBudget", VALUE_SETS["everything"])["mai-operator"]["spec"]["selector"]["matchLabels"],
            of_kind("NetworkPolicy", VALUE_SETS["everything"])["mai-operator"]["spec"]["podSelector"]["matchLabels"],
        ]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
        monitor = of_kind("ServiceMonitor", VALUE_SETS["everything"])["mai-operator"]["spec"]
        service = of_kind("Service", VALUE_SETS["everything"])["mai-operator-metrics"]
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        self.assertEqual(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
        self.assertTrue(monitor["endpoints"][0]["honorLabels"], "else the namespace of an instance becomes that of the operator")
