//! Promise: whatever a condition can be called is explained, and nothing else is.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The words that the code gives out, from where it names each of them.
fn words(of: &str) -> BTreeSet<String> {
    let code = read("src/api/condition.rs");
    let body = code.split(&format!("impl {of} {{")).nth(1).unwrap().split("\n}\n").next().unwrap();
    let words =
        body.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1)).map(str::to_owned);
    words.collect()
}

/// The first cells of the tables below these headings.
fn explained(columns: &str) -> BTreeSet<String> {
    let page = read("docs/conditions.md");
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        inside = line.starts_with(columns) || (inside && line.starts_with('|'));
        if let (true, Some(word)) = (inside, line.strip_prefix("| `").and_then(|line| line.split('`').next())) {
            found.insert(word.to_owned());
        }
    }
    found
}

#[test]
fn every_condition_and_every_reason_has_its_line_in_the_page() {
    let (kinds, reasons) = (words("ConditionKind"), words("Reason"));
    assert!(kinds.len() > 5 && reasons.len() > 25, "they are not found in the code: {kinds:?} {reasons:?}");
    assert_eq!(explained("| condition |"), kinds);
    assert_eq!(explained("| reason |"), reasons);
}
