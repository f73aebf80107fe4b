//! `docs/conditions.md` explains exactly the conditions and reasons of the code.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the names that an enum of the code is displayed as.
fn names(of: &str) -> BTreeSet<String> {
    let code = read("src/api/condition.rs");
    let body = code.split(&format!("impl {of} {{")).nth(1).unwrap().split("\n}\n").next().unwrap();
    let names =
        body.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1)).map(str::to_owned);
    names.collect()
}

/// Returns the first cells of the tables with these headings.
fn documented(columns: &str) -> BTreeSet<String> {
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
fn every_condition_and_reason_is_documented() {
    let (kinds, reasons) = (names("ConditionKind"), names("Reason"));
    assert!(kinds.len() > 5 && reasons.len() > 25, "they are not found in the code: {kinds:?} {reasons:?}");
    assert_eq!(documented("| condition |"), kinds);
    assert_eq!(documented("| reason |"), reasons);
}
