"""The CRD is upgraded with the chart, outlives it, and is the one that the code means."""

import yaml
from stage import CHART, ROOT, SCENES, Case, of_kind, render


class TheCrdSurvives(Case):
    def test_the_chart_holds_the_crd_of_the_code(self):
        self.assert_committed(CHART / "files/maiinstances.yaml", (ROOT / "crds/maiinstances.yaml").read_text())

    def test_it_is_a_template_so_that_an_upgrade_reaches_it(self):
        self.assertFalse((CHART / "crds").exists(), "Helm never upgrades what is in crds/")
        self.assertIn("crds.yaml", render())

    def test_an_uninstall_keeps_it_whatever_the_values(self):
        against = {"crds": {"annotations": {"helm.sh/resource-policy": "delete", "example.com/kept": "yes"}}}
        for values in [*SCENES.values(), against]:
            crd = of_kind("CustomResourceDefinition", values)["maiinstances.mai.dev"]
            self.assertEqual(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        self.assertEqual(crd["metadata"]["annotations"]["example.com/kept"], "yes")

    def test_what_is_rendered_is_what_the_code_means(self):
        rendered = of_kind("CustomResourceDefinition")["maiinstances.mai.dev"]
        meant = yaml.safe_load((ROOT / "crds/maiinstances.yaml").read_text())
        self.assertEqual(rendered["spec"], meant["spec"])
        self.assertEqual((rendered["apiVersion"], rendered["metadata"]["name"]), (meant["apiVersion"], meant["metadata"]["name"]))

    def test_it_can_be_left_to_somebody_else(self):
        self.assertEqual(of_kind("CustomResourceDefinition", {"crds": {"install": False}}), {})
