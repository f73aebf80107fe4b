"""The operator may do what it needs, by name, and nothing else; the documentation tells exactly that."""

import re

from stage import ROOT, SCENES, Case, objects, of_kind

WRITTEN = {"get", "list", "watch", "create", "patch", "delete"}


def rights(rules):
    """(group, resource) → verbs."""
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
    ("apps", "deployments"): WRITTEN,
    ("apps", "replicasets"): {"get", "list", "watch"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "services"): WRITTEN,
    ("", "serviceaccounts"): WRITTEN,
    ("", "persistentvolumeclaims"): WRITTEN,
    ("", "secrets"): {"get", "create", "patch", "delete"},
    ("events.k8s.io", "events"): {"create", "patch"},
    ("networking.k8s.io", "networkpolicies"): WRITTEN,
    ("networking.k8s.io", "ingresses"): WRITTEN,
    ("policy", "poddisruptionbudgets"): WRITTEN,
    ("gateway.networking.k8s.io", "httproutes"): WRITTEN,
}
LEASE = {
    ("coordination.k8s.io", "leases"): {"create"},
    ("coordination.k8s.io", "leases/mai-operator"): {"get", "update", "patch"},
}


def of_the_operator(values=None):
    """What the operator's service account is bound to: (namespace or None, rights) for each binding."""
    made = objects(values)
    roles = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o["rules"] for o in made if o["kind"] in ("Role", "ClusterRole")}
    [account] = [o["spec"]["template"]["spec"]["serviceAccountName"] for o in made if o["kind"] == "Deployment"]
    bound = []
    for binding in made:
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "mai-system"}]
            namespace = binding["metadata"].get("namespace")
            kind = binding["roleRef"]["kind"]
            bound.append((namespace, rights(roles[kind, namespace if kind == "Role" else None, binding["roleRef"]["name"]])))
    return sorted(bound, key=lambda entry: (entry[0] or "", len(entry[1])))


class TheRightsAreLeast(Case):
    def test_nothing_is_a_wildcard_in_any_scene(self):
        for scene, values in SCENES.items():
            for role in objects(values):
                for rule in role.get("rules", []):
                    with self.subTest(scene, role=role["metadata"]["name"]):
                        self.assertNotIn("*", rule["apiGroups"] + rule["resources"] + rule["verbs"])
                        self.assertFalse({"escalate", "bind", "impersonate"} & set(rule["verbs"]))

    def test_with_all_namespaces_secrets_are_never_listed(self):
        for values in ({}, {"rbac": {"watchSecrets": True}}):
            self.assertEqual(of_the_operator(values), [(None, INSTANCE), ("mai-system", LEASE)])

    def test_with_chosen_namespaces_there_is_no_right_elsewhere(self):
        there = INSTANCE | {("", "secrets"): WRITTEN}
        expected = [("client-a", there), ("client-b", there), ("mai-system", LEASE)]
        self.assertEqual(of_the_operator({"watchNamespaces": ["client-a", "client-b"]}), expected)
        without = {"watchNamespaces": ["client-a"], "rbac": {"watchSecrets": False}}
        self.assertEqual(of_the_operator(without), [("client-a", INSTANCE), ("mai-system", LEASE)])

    def test_what_is_switched_off_takes_its_rights_along(self):
        self.assertEqual(of_the_operator({"rbac": {"create": False}}), [])
        routes = {right for _, table in of_the_operator({"gatewayApi": {"enabled": False}}) for right in table}
        self.assertNotIn(("gateway.networking.k8s.io", "httproutes"), routes)
        alone = of_the_operator({"leaderElection": {"enabled": False}})
        self.assertEqual(alone, [(None, INSTANCE)])

    def test_people_with_the_clusters_roles_may_handle_instances_and_nothing_more(self):
        people = {name: role for name, role in of_kind("ClusterRole").items() if any("aggregate-to" in label for label in role["metadata"]["labels"])}
        granted = {"view": set(), "edit": set(), "admin": set()}
        for role in people.values():
            for to in granted:
                if role["metadata"]["labels"].get(f"rbac.authorization.k8s.io/aggregate-to-{to}") == "true":
                    for (group, resource), verbs in rights(role["rules"]).items():
                        self.assertEqual(group, "mai.dev")
                        granted[to] |= {(resource, verb) for verb in verbs}
        read = {(resource, verb) for resource in ("maiinstances", "maiinstances/status") for verb in ("get", "list", "watch")}
        write = {("maiinstances", verb) for verb in ("create", "update", "patch", "delete")}
        self.assertEqual(granted["view"], read)
        self.assertEqual(granted["edit"], read | write)
        self.assertEqual(granted["admin"], read | write | {("maiinstances", "deletecollection")})
        self.assertFalse([name for name in of_kind("ClusterRole", {"rbac": {"aggregate": False}}) if name.endswith(("-view", "-edit", "-admin"))])

    def test_the_token_is_only_in_the_operators_pod(self):
        self.assertIs(of_kind("ServiceAccount")["mai-operator"]["automountServiceAccountToken"], False)
        self.assertIs(of_kind("Deployment")["mai-operator"]["spec"]["template"]["spec"]["automountServiceAccountToken"], True)

    def test_the_documentation_tells_every_right(self):
        told = {}
        page = (ROOT / "docs/kubernetes.md").read_text()
        for group, resources, verbs in re.findall(r"^\| `(core|[a-z.0-9]+)` \| ((?:`[a-z./-]+`(?:, )?)+) \| ([a-z, ]+) \|", page, re.M):
            for resource in re.findall(r"`([a-z./-]+)`", resources):
                told.setdefault(("" if group == "core" else group, resource), set()).update(verbs.strip().split(", "))
        self.assertEqual(told, INSTANCE | LEASE)
