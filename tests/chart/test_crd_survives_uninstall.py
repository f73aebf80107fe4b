"""The CRDs are upgraded with the chart, survive its removal, and equal those of the code."""

import yaml
from environment import CHART, ROOT, VALUE_SETS, Case, of_kind, render

KINDS = ("maiinstances", "maibackups", "mairestores")


class CrdSurvivesUninstall(Case):
    def test_chart_crd_equals_the_committed_crd(self):
        for kind in KINDS:
            self.assert_committed(CHART / f"files/{kind}.yaml", (ROOT / f"crds/{kind}.yaml").read_text())

    def test_crd_is_a_template_and_upgraded(self):
        self.assertFalse((CHART / "crds").exists(), "Helm never upgrades what is in crds/")
        self.assertIn("crds.yaml", render())

    def test_uninstall_keeps_the_crd_for_all_values(self):
        against = {"crds": {"annotations": {"helm.sh/resource-policy": "delete", "example.com/kept": "yes"}}}
        for values in [*VALUE_SETS.values(), against]:
            crds = of_kind("CustomResourceDefinition", values)
            self.assertEqual(set(crds), {f"{kind}.mai.dev" for kind in KINDS})
            for crd in crds.values():
                self.assertEqual(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        for crd in crds.values():
            self.assertEqual(crd["metadata"]["annotations"]["example.com/kept"], "yes")

    def test_rendered_crd_equals_the_code(self):
        for kind in KINDS:
            rendered = of_kind("CustomResourceDefinition")[f"{kind}.mai.dev"]
            meant = yaml.safe_load((ROOT / f"crds/{kind}.yaml").read_text())
            self.assertEqual(rendered["spec"], meant["spec"])
            self.assertEqual((rendered["apiVersion"], rendered["metadata"]["name"]), (meant["apiVersion"], meant["metadata"]["name"]))

    def test_crd_can_be_disabled(self):
        self.assertEqual(of_kind("CustomResourceDefinition", {"crds": {"install": False}}), {})
