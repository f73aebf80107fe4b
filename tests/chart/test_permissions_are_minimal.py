"""The operator has exactly the permissions it needs, and the documentation lists them."""

import re

from environment import ROOT, VALUE_SETS, Case, objects, of_kind

WRITTEN = {"get", "list", "watch", "create", "patch", "delete"}


def permissions(rules):
    """Returns the verbs by (group, resource)."""
    table = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                named = f"{resource}/{rule['resourceNames'][0]}" if "resourceNames" in rule else resource
                table.setdefault((group, named), set()).update(rule["verbs"])
    return table


INSTANCE = {
    ("mai.dev", "maiinstances"): {"get", "list", "watch", "patch"},
    ("mai.dev", "maiinstances/status"): {"get", "patch"},
    ("mai.dev", "maiinstances/finalizers"): {"update"},
    ("mai.dev", "maibackups"): {"get", "list", "watch"},
    ("mai.dev", "maibackups/status"): {"patch"},
    ("mai.dev", "mairestores"): {"get", "list", "watch"},
    ("mai.dev", "mairestores/status"): {"patch"},
    ("apps", "deployments"): WRITTEN,
    ("apps", "replicasets"): {"get", "list", "watch"},
    ("discovery.k8s.io", "endpointslices"): {"get", "list", "watch"},
    ("batch", "jobs"): WRITTEN - {"patch"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "services"): WRITTEN,
    ("", "serviceaccounts"): WRITTEN,
    ("", "persistentvolumeclaims"): WRITTEN,
    ("", "secrets"): {"get", "create", "patch", "delete"},
    ("events.k8s.io", "events"): {"list", "create", "patch"},
    ("networking.k8s.io", "networkpolicies"): WRITTEN,
    ("networking.k8s.io", "ingresses"): WRITTEN,
    ("policy", "poddisruptionbudgets"): WRITTEN,
    ("gateway.networking.k8s.io", "httproutes"): WRITTEN,
}
NOTIFICATIONS = {
    ("", "configmaps"): {"create"},
    ("", "configmaps/mai-operator-notifications"): {"get", "patch"},
}
LEASE = {
    ("coordination.k8s.io", "leases"): {"create"},
    ("coordination.k8s.io", "leases/mai-operator"): {"get", "update", "patch"},
}


def operator_permissions(values=None):
    """Returns (namespace or None, permissions) for each binding of the operator's service account."""
    made = objects(values)
    roles = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o["rules"] for o in made if o["kind"] in ("Role", "ClusterRole")}
    [account] = [o["spec"]["template"]["spec"]["serviceAccountName"] for o in made if o["kind"] == "Deployment"]
    bound = []
    for binding in made:
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "mai-system"}]
            namespace = binding["metadata"].get("namespace")
            kind = binding["roleRef"]["kind"]
            bound.append((namespace, permissions(roles[kind, namespace if kind == "Role" else None, binding["roleRef"]["name"]])))
    return sorted(bound, key=lambda entry: (entry[0] or "", len(entry[1])))


class PermissionsAreMinimal(Case):
    def test_no_rule_has_a_wildcard(self):
        for case, values in VALUE_SETS.items():
            for role in objects(values):
                for rule in role.get("rules", []):
                    with self.subTest(case, role=role["metadata"]["name"]):
                        self.assertNotIn("*", rule["apiGroups"] + rule["resources"] + rule["verbs"])
                        self.assertFalse({"escalate", "bind", "impersonate"} & set(rule["verbs"]))

    def test_secrets_are_not_listed_in_all_namespaces(self):
        for values in ({}, {"rbac": {"watchSecrets": True}}):
            self.assertEqual(operator_permissions(values), [(None, INSTANCE), ("mai-system", LEASE)])

    def test_record_of_webhooks_is_written_only_with_webhooks(self):
        told = operator_permissions({"notifications": {"webhooks": {"secretName": "told"}}})
        self.assertEqual(sorted(told, key=str), sorted([(None, INSTANCE), ("mai-system", LEASE), ("mai-system", NOTIFICATIONS)], key=str))
        self.assertNotIn(("mai-system", NOTIFICATIONS), operator_permissions({"notifications": {"heartbeat": {"secretName": "told"}}}))

    def test_watched_namespaces_limit_all_permissions(self):
        there = INSTANCE | {("", "secrets"): WRITTEN}
        expected = [("client-a", there), ("client-b", there), ("mai-system", LEASE)]
        self.assertEqual(operator_permissions({"watchNamespaces": ["client-a", "client-b"]}), expected)
        without = {"watchNamespaces": ["client-a"], "rbac": {"watchSecrets": False}}
        self.assertEqual(operator_permissions(without), [("client-a", INSTANCE), ("mai-system", LEASE)])

    def test_disabled_features_drop_their_permissions(self):
        self.assertEqual(operator_permissions({"rbac": {"create": False}}), [])
        routes = {right for _, table in operator_permissions({"gatewayApi": {"enabled": False}}) for right in table}
        self.assertNotIn(("gateway.networking.k8s.io", "httproutes"), routes)
        alone = operator_permissions({"leaderElection": {"enabled": False}})
        self.assertEqual(alone, [(None, INSTANCE)])

    def test_aggregated_roles_grant_instances_only(self):
        people = {name: role for name, role in of_kind("ClusterRole").items() if any("aggregate-to" in label for label in role["metadata"]["labels"])}
        granted = {"view": set(), "edit": set(), "admin": set()}
        for role in people.values():
            for to in granted:
                if role["metadata"]["labels"].get(f"rbac.authorization.k8s.io/aggregate-to-{to}") == "true":
                    for (group, resource), verbs in permissions(role["rules"]).items():
                        self.assertEqual(group, "mai.dev")
                        granted[to] |= {(resource, verb) for verb in verbs}
        kinds = ("maiinstances", "maibackups", "mairestores")
        read = {(resource, verb) for kind in kinds for resource in (kind, f"{kind}/status") for verb in ("get", "list", "watch")}
        write = {(kind, verb) for kind in kinds for verb in ("create", "update", "patch", "delete")}
        self.assertEqual(granted["view"], read)
        self.assertEqual(granted["edit"], read | write)
        self.assertEqual(granted["admin"], read | write | {(kind, "deletecollection") for kind in kinds})
        self.assertFalse([name for name in of_kind("ClusterRole", {"rbac": {"aggregate": False}}) if name.endswith(("-view", "-edit", "-admin"))])

    def test_token_is_mounted_in_the_operators_pod_only(self):
        self.assertIs(of_kind("ServiceAccount")["mai-operator"]["automountServiceAccountToken"], False)
        self.assertIs(of_kind("Deployment")["mai-operator"]["spec"]["template"]["spec"]["automountServiceAccountToken"], True)

    def test_documentation_lists_every_permission(self):
        documented = {}
        page = (ROOT / "docs/kubernetes.md").read_text()
        for group, resources, verbs in re.findall(r"^\| `(core|[a-z.0-9]+)` \| ((?:`[a-z./-]+`(?:, )?)+) \| ([a-z, ]+) \|", page, re.M):
            for resource in re.findall(r"`([a-z./-]+)`", resources):
                documented.setdefault(("" if group == "core" else group, resource), set()).update(verbs.strip().split(", "))
        self.assertEqual(documented, INSTANCE | NOTIFICATIONS | LEASE)
