"""Alerts fire in their scenario only, each has a runbook, and all queries use documented metrics."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import yaml
from environment import CHART, ROOT, VALUE_SETS, Case, of_kind

ON = {"metrics": {"prometheusRule": {"enabled": True}}}


def rules(values=ON):
    [group] = of_kind("PrometheusRule", values)["mai-operator"]["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panels():
    return json.loads((CHART / "files/dashboard.json").read_text())["panels"]


def promtool(*arguments):
    ran = subprocess.run([os.environ["PROMTOOL"], *arguments], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


class AlertsFireWhenNeeded(Case):
    def test_alerts_fire_in_their_scenario_only(self):
        with tempfile.TemporaryDirectory() as directory:
            spec = of_kind("PrometheusRule", ON)["mai-operator"]["spec"]
            Path(directory, "rules.yaml").write_text(yaml.safe_dump(spec))
            scenarios = (ROOT / "tests/chart/alerts.yaml").read_text()
            Path(directory, "alerts.yaml").write_text(scenarios)
            code, output = promtool("test", "rules", f"{directory}/alerts.yaml")
            self.assertEqual(code, 0, output)
        tested = set(re.findall(r"alertname: (\w+)", scenarios))
        self.assertEqual(tested, set(rules()), "every alert has a scene")

    def test_every_alert_has_a_runbook(self):
        for name, rule in rules().items():
            with self.subTest(name):
                self.assertEqual(rule["annotations"]["runbook_url"], f"docs/runbooks/{name}.md")
                page = (ROOT / f"docs/runbooks/{name}.md").read_text()
                for part in (f"# {name}", "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"):
                    self.assertIn(part, page)
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
        pages = {page.stem for page in (ROOT / "docs/runbooks").glob("Mai*.md")}
        self.assertEqual(pages, set(rules()), "no page without an alert")

    def test_values_configure_the_alerts(self):
        made = rules(VALUE_SETS["everything"])
        self.assertNotIn("MaiWatchErrors", made)
        silent = made["MaiOperatorSilent"]
        self.assertIn("> 1800", silent["expr"])
        self.assertEqual(silent["labels"], {"severity": "critical", "team": "platform"})
        self.assertEqual(silent["annotations"]["runbook_url"], "https://git.example.com/mai/blob/main/docs/runbooks/MaiOperatorSilent.md")
        self.assertNotIn("MaiOperatorNoLeader", rules(ON | {"leaderElection": {"enabled": False}}))
        for rule in made.values():
            self.assertNotRegex(rule["expr"], "JOB|SILENT_SECONDS")

    def test_schema_lists_every_alert(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        disabled = schema["properties"]["metrics"]["properties"]["prometheusRule"]["properties"]["disabled"]
        self.assertEqual(set(disabled["items"]["enum"]), set(rules()))

    def test_dashboard_queries_are_valid(self):
        asked = [target["expr"] for panel in panels() for target in panel["targets"]]
        self.assertGreater(len(asked), 10)
        recorded = [{"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m")} for number, expr in enumerate(asked)]
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "dashboard.yaml")
            path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
            code, output = promtool("check", "rules", str(path))
            self.assertEqual(code, 0, output)

    def test_dashboard_config_map_equals_the_file(self):
        [config] = (made for name, made in of_kind("ConfigMap", VALUE_SETS["everything"]).items() if name.endswith("-dashboard"))
        self.assertEqual(config["metadata"]["namespace"], "monitoring")
        self.assertEqual(config["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(json.loads(config["data"]["mai-operator.json"]), json.loads((CHART / "files/dashboard.json").read_text()))

    def test_queries_use_documented_metrics_and_labels_only(self):
        page = (ROOT / "docs/kubernetes.md").read_text()
        documented = dict(re.findall(r"^\| `(mai_[a-z_]+)(?:\{([a-z,]+)\})?` \|", page, re.M))
        exprs = [rule["expr"] for rule in rules().values()] + [t["expr"] for panel in panels() for t in panel["targets"]]
        for expr in exprs:
            for metric in re.findall(r"\bmai_[a-z_]+", expr):
                self.assertIn(metric.removesuffix("_bucket"), documented, expr)
            known = {"job", "le", *",".join(documented[m.removesuffix("_bucket")] for m in re.findall(r"\bmai_[a-z_]+", expr)).split(",")}
            for labels in re.findall(r"\b(?:by|on) \(([a-z, ]*)\)", expr):
                self.assertLessEqual(set(labels.replace(" ", "").split(",")) - {""}, known, expr)
