"""An invalid value is refused with its path before anything is installed; the schema covers every value."""

import json

import helm_python as helm
import yaml
from environment import CHART, VALUE_SETS, Case, render

REFUSED = {
    "additional properties 'replica' not allowed": {"replica": 2},
    "at '/replicas': maximum: got 9, want 3": {"replicas": 9},
    "at '/replicas': minimum: got 0, want 1": {"replicas": 0},
    "at '/image/digest'": {"image": {"digest": "abc"}},
    "at '/image/repository'": {"image": {"repository": ""}},
    "at '/image/pullPolicy'": {"image": {"pullPolicy": "Sometimes"}},
    "at '/image': additional properties 'name' not allowed": {"image": {"name": "mai"}},
    "at '/helperImage'": {"helperImage": "Not An Image"},
    "at '/watchNamespaces/0'": {"watchNamespaces": ["Client A"]},
    "at '/watchNamespaces': items at 0 and 1 are equal": {"watchNamespaces": ["a", "a"]},
    "at '/watchNamespaces': got string, want array": {"watchNamespaces": "client-a"},
    "at '/entrances/0'": {"entrances": ["Ingress Nginx"]},
    "invalid propertyName 'host'": {"policy": {"hosts": ["a.example.com"], "host": []}},
    "at '/resync'": {"resync": "five minutes"},
    "at '/log/format'": {"log": {"format": "xml"}},
    "at '/runAsUser': minimum: got 0, want 1": {"runAsUser": 0},
    "at '/rbac/create': got string, want boolean": {"rbac": {"create": "yes"}},
    "at '/notifications/format'": {"notifications": {"format": "xml"}},
    "at '/notifications/after'": {"notifications": {"after": "a minute"}},
    "at '/env/0': missing property 'name'": {"env": [{"value": "x"}]},
    "at '/resources/limits': additional properties 'ram' not allowed": {"resources": {"limits": {"ram": "1Gi"}}},
    "at '/metrics/prometheusRule/disabled/0'": {"metrics": {"prometheusRule": {"disabled": ["MaiUnknown"]}}},
    "at '/networkPolicy/apiServerPorts': minItems": {"networkPolicy": {"apiServerPorts": []}},
}


class ValuesAreValidated(Case):
    def test_invalid_value_is_refused_with_its_path(self):
        for message, values in REFUSED.items():
            with self.subTest(values=values):
                with self.assertRaises(helm.HelmValuesError) as refused:
                    render(values)
                self.assertIn(message, str(refused.exception))

    def test_valid_values_are_accepted(self):
        for case, values in VALUE_SETS.items():
            with self.subTest(case), helm.Chart.load(CHART) as chart:
                chart.validate_schema(values)

    def test_parent_chart_can_pass_globals(self):
        render({"global": {"anything": 1}, "enabled": True})

    def test_schema_and_values_have_the_same_keys(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def compare(path, values, node):
            if not isinstance(values, dict) or "properties" not in node:
                return
            known = set(node["properties"]) - {"global", "enabled"} if not path else set(node["properties"])
            self.assertEqual(set(values), known, path or "top")
            self.assertIs(node["additionalProperties"], False, path)
            for name, value in values.items():
                compare(f"{path}/{name}", value, node["properties"][name])

        values = yaml.safe_load((CHART / "values.yaml").read_text())
        # The defaults set some of the amounts that the schema permits.
        del values["resources"], schema["properties"]["resources"]
        del values["affinity"], schema["properties"]["affinity"]
        compare("", values, schema)
