//! Promise: what the documents say of `/metrics` is there, with those labels and no others.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster;
use super::stage::Stage;

/// Names and labels, as the table in docs/kubernetes.md says them.
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

#[test]
fn each_figure_of_the_documents_is_served_with_its_labels() {
    let _shared = cluster::shared();
    let stage = Stage::new("figures");
    let operator = stage.operator();
    stage.apply(&stage.fixture("abc", ""));
    stage.apply("apiVersion: v1\nkind: Service\nmetadata: {name: mai-taken}\nspec: {ports: [{port: 80}]}\n");
    stage.apply(&stage.fixture("taken", ""));
    stage.wait_ready(&operator, "abc");
    stage.wait_for_reason(&operator, "taken", "Ready", "NameTaken");
    let (_, text) = operator.get("/metrics").unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        // A histogram has several series, and one label of its own.
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let labels =
            labels.trim_end_matches('}').split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        served.entry(name.to_owned()).or_default().extend(labels.filter(|label| label != "le"));
    }
    let mut documented = documented();
    assert!(documented.len() > 8, "{documented:?}");
    // Counted once a watch has failed, which none did.
    if !served.contains_key("mai_operator_watch_errors_total") {
        documented.remove("mai_operator_watch_errors_total");
    }
    assert_eq!(served, documented);

    let place = |name: &str| format!("{{namespace=\"{}\",name=\"{name}\"}}", stage.namespace);
    assert_eq!(operator.figure(&format!("mai_instance_ready{}", place("abc"))), Some(1.0));
    assert_eq!(operator.figure(&format!("mai_instance_ready{}", place("taken"))), Some(0.0));
    let refused = operator.figure("mai_operator_reconcile_errors_total{kind=\"MaiInstance\",reason=\"NameTaken\"}");
    assert!(refused >= Some(1.0), "{refused:?}\n{text}");
}
