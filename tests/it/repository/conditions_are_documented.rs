//! `docs/conditions.md` explains exactly the conditions and reasons of the code.

use std::collections::BTreeSet;
use std::path::Path;

use mai_operator::api::{ConditionKind, Reason};
use strum::IntoEnumIterator;

/// Returns the names of all values of an enum.
fn names<T: IntoEnumIterator + AsRef<str>>() -> BTreeSet<String> {
    T::iter().map(|value| value.as_ref().to_owned()).collect()
}

/// Returns the first cells of the tables with these headings.
fn documented(columns: &str) -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conditions.md");
    let page = std::fs::read_to_string(page).unwrap();
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

/// Returns the first cells of the tables below a heading.
fn documented_below(heading: &str) -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conditions.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split(&format!("\n## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let words = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    words.map(str::to_owned).collect()
}

#[test]
fn reasons_documented_as_under_way_are_not_told() {
    let under_way: BTreeSet<String> =
        Reason::iter().filter(|reason| reason.is_under_way()).map(|reason| reason.as_ref().to_owned()).collect();
    let documented = documented_below("Under way");
    assert!(!documented.is_empty() && documented.is_subset(&under_way), "{documented:?} {under_way:?}");
}

#[test]
fn every_condition_and_reason_is_documented() {
    assert_eq!(documented("| condition |"), names::<ConditionKind>());
    assert_eq!(documented("| reason |"), names::<Reason>());
}
