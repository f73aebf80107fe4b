//! `/metrics` has exactly the documented metrics and labels.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster;
use super::environment::Environment;

/// Returns names and labels from the table in docs/kubernetes.md.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kubernetes.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `mai_")?.split_once('`').map(|(row, _)| format!("mai_{row}")));
    rows.map(|row| {
        let (name, labels) = row.split_once('{').unwrap_or((&row, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (name.to_owned(), labels.map(str::to_owned).collect())
    })
    .collect()
}

/// Metrics that are there only after something happened which does not happen here.
const AFTER_AN_EVENT: [&str; 4] = [
    "mai_operator_watch_errors_total",
    "mai_instance_upgrade_healthy",
    "mai_instance_restore_failed",
    "mai_instance_recovery_seconds",
];

#[test]
fn every_documented_metric_is_served_with_its_labels() {
    let _shared = cluster::shared();
    let env = Environment::new("figures");
    let operator = env.operator();
    env.apply(&env.fixture("abc", "  backup: {schedule: '@yearly'}\n"));
    env.apply("apiVersion: v1\nkind: Service\nmetadata: {name: mai-taken}\nspec: {ports: [{port: 80}]}\n");
    env.apply(&env.fixture("taken", ""));
    env.wait_ready(&operator, "abc");
    env.wait_for_reason(&operator, "taken", "Ready", "NameTaken");
    let labels = |name: &str| format!("{{namespace=\"{}\",name=\"{name}\"}}", env.namespace);
    let ready = |name: &str| operator.figure(&format!("mai_instance_ready{}", labels(name)));
    // Metrics are recorded after the status.
    env.wait_until(
        &operator,
        || format!("the readiness of both: {:?}", (ready("abc"), ready("taken"))),
        || ((ready("abc"), ready("taken")) == (Some(1.0), Some(0.0))).then_some(()),
    );
    let (_, text) = operator.get("/metrics").unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        // A histogram has several series and the label `le`.
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let labels =
            labels.trim_end_matches('}').split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        served.entry(name.to_owned()).or_default().extend(labels.filter(|label| label != "le"));
    }
    let mut documented = documented();
    assert!(documented.len() > 8, "{documented:?}");
    // The fixture does not tell its use.
    let is_optional = |name: &str| AFTER_AN_EVENT.contains(&name) || name.starts_with("mai_usage_");
    documented.retain(|name, _| served.contains_key(name) || !is_optional(name));
    assert_eq!(served, documented);

    let refused = operator.figure("mai_operator_reconcile_errors_total{kind=\"MaiInstance\",reason=\"NameTaken\"}");
    assert!(refused >= Some(1.0), "{refused:?}\n{text}");
}
