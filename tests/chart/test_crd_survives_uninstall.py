"""The CRD is upgraded with the chart, survives its removal, and equals that of the code."""

import yaml
from environment import CHART, ROOT, VALUE_SETS, Case, of_kind, render


class CrdSurvivesUninstall(Case):
    def test_chart_crd_equals_the_committed_crd(self):
        self.assert_committed(CHART / "files/maiinstances.yaml", (ROOT / "crds/maiinstances.yaml").read_text())

    def test_crd_is_a_template_and_upgraded(self):
        self.assertFalse((CHART / "crds").exists(), "Helm never upgrades what is in crds/")
        self.assertIn("crds.yaml", render())

    def test_uninstall_keeps_the_crd_for_all_values(self):
        against = {"crds": {"annotations": {"helm.sh/resource-policy": "delete", "example.com/kept": "yes"}}}
        for values in [*VALUE_SETS.values(), against]:
            crd = of_kind("CustomResourceDefinition", values)["maiinstances.mai.dev"]
            self.assertEqual(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        self.assertEqual(crd["metadata"]["annotations"]["example.com/kept"], "yes")

    def test_rendered_crd_equals_the_code(self):
        rendered = of_kind("CustomResourceDefinition")["maiinstances.mai.dev"]
        meant = yaml.safe_load((ROOT / "crds/maiinstances.yaml").read_text())
        self.assertEqual(rendered["spec"], meant["spec"])
        self.assertEqual((rendered["apiVersion"], rendered["metadata"]["name"]), (meant["apiVersion"], meant["metadata"]["name"]))

    def test_crd_can_be_disabled(self):
        self.assertEqual(of_kind("CustomResourceDefinition", {"crds": {"install": False}}), {})
