"""Helm accepts the chart, packs it completely, and renders the committed snapshots."""

import tempfile

import helm_python as helm
import yaml
from environment import CHART, ROOT, VALUE_SETS, Case, objects, render

VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]


class ChartRendersValidObjects(Case):
    def test_helm_lint_reports_nothing(self):
        for case, values in VALUE_SETS.items():
            with self.subTest(case):
                report = helm.lint(CHART, values, strict=True)
                findings = [message for message in report["messages"] if message["severity"] > 1]
                self.assertEqual((report["errors"], findings), ([], []))

    def test_packed_chart_renders_the_same(self):
        with tempfile.TemporaryDirectory() as directory:
            archive = helm.package(CHART, destination=directory)
            self.assertTrue(archive.endswith(f"/mai-operator-{VERSION}.tgz"), archive)
            with helm.Chart.load(archive) as packed, helm.Chart.load(CHART) as chart:
                values = VALUE_SETS["everything"]
                self.assertEqual(packed.render(values, name="a", namespace="b"), chart.render(values, name="a", namespace="b"))
                self.assertIn("README.md", [file["name"] for file in packed.files])

    def test_rendered_objects_equal_the_snapshots(self):
        for case, values in VALUE_SETS.items():
            with self.subTest(case):
                texts = render(values)
                # Both are files of the chart and compared as such.
                del texts["crds.yaml"]
                texts.pop("dashboard.yaml", None)
                text = "".join(f"# {path}\n{text.strip()}\n\n" for path, text in texts.items())
                self.assert_committed(ROOT / f"tests/chart/snapshots/{case}.yaml", text)

    def test_every_object_has_its_labels_and_one_owner(self):
        for case, values in VALUE_SETS.items():
            made = objects(values, name="prod")
            names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in made]
            self.assertEqual(len(names), len(set(names)), case)
            for one in made:
                with self.subTest(case, kind=one["kind"], name=one["metadata"]["name"]):
                    self.assertEqual(one["metadata"]["labels"]["app.kubernetes.io/instance"], "prod")
                    self.assertEqual(one["metadata"]["labels"]["helm.sh/chart"], f"mai-operator-{VERSION}")

    def test_chart_and_operator_have_the_crate_version(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertIn(f'version = "{chart["appVersion"]}"', (ROOT / "Cargo.toml").read_text().split("[workspace.package]")[1].split("\n\n")[0])
