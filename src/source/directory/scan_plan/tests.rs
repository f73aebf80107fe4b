//! The rule as a table: what stood, what the tree holds, what follows.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::source::directory::scan::scan;
use crate::source::directory::secrets::Secrets;
use crate::source::policy::Policy;
use jiff::Timestamp;
use serde_json::json;

fn text(name: &str, display_name: &str) -> String {
    format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: {name}}}\nspec: {{displayName: {display_name}}}\n"
    )
}

fn row(root: &Path, name: &str, file: &str) -> (Key, KnownDocument) {
    let document = json!({
        "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": name, "namespace": "default"},
        "spec": {"displayName": "One"},
    });
    let row = KnownDocument {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
        generation: 1,
        resource_version: 1,
        document: accept(&document, None, None).unwrap(),
        file: Some(root.join(file).display().to_string()),
        problem: None,
        refused: false,
        created_at: Timestamp::UNIX_EPOCH,
        deleted_at: None,
        released_at: None,
        restore: None,
    };
    (("default".to_owned(), name.to_owned()), row)
}

/// Plans without a policy.
fn plan_freely(
    root: &Path,
    known: &BTreeMap<Key, KnownDocument>,
    tree: &Tree,
    missing: &BTreeMap<Key, Instant>,
    now: Instant,
) -> Plan {
    let policy = Arc::new(Policy::unrestricted());
    let secrets = Secrets::new(root, Arc::clone(&policy));
    plan(Provider::new(root, &policy, &secrets, known), root, known, tree, missing, PlatformKind::Process, now)
}

/// Returns the final effect of the plan (after the doubt), as words.
fn outcome(files: &[(&str, String)], change: impl Fn(&mut KnownDocument)) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    let mut known = BTreeMap::from([row(root.path(), "a", "a.yaml"), row(root.path(), "b", "b.yaml")]);
    known.values_mut().filter(|row| row.name == "a").for_each(change);
    let tree = scan(root.path(), &Tree::none());
    let now = Instant::now();
    let first = plan_freely(root.path(), &known, &tree, &BTreeMap::new(), now);
    assert!(first.delete.is_empty(), "nothing is removed at first sight");
    let second = plan_freely(root.path(), &known, &tree, &first.missing, now + BELIEF);
    let mut words: Vec<String> = second.accept.iter().map(|(key, ..)| format!("accept {}", key.1)).collect();
    words.extend(second.keep.iter().map(|(key, _)| format!("keep {}", key.1)));
    words.extend(second.delete.iter().map(|key| format!("delete {}", key.1)));
    if !second.problems.is_empty() {
        words.push("problem".to_owned());
    }
    words
}

/// A situation, the files in it, and what follows.
type Case = (&'static str, Vec<(&'static str, String)>, Vec<&'static str>);

#[test]
fn only_what_can_be_read_changes_anything() {
    let (a, b) = (text("a", "One"), text("b", "One"));
    let b = || ("b.yaml", b.clone());
    let cases: Vec<Case> = vec![
        ("nothing changed", vec![("a.yaml", a.clone()), b()], vec![]),
        ("a new spec", vec![("a.yaml", text("a", "Two")), b()], vec!["accept a"]),
        ("a new instance", vec![("a.yaml", a.clone()), b(), ("c.yaml", text("c", "One"))], vec!["accept c"]),
        ("moved to another file", vec![("z.yaml", a.clone()), b()], vec!["accept a"]),
        ("its file is gone", vec![b()], vec!["delete a"]),
        ("its file holds a comment only", vec![("a.yaml", "# gone\n".to_owned()), b()], vec!["delete a"]),
        ("its file holds another instance", vec![("a.yaml", text("c", "One")), b()], vec!["accept c", "delete a"]),
        ("its file is empty", vec![("a.yaml", String::new()), b()], vec!["keep a", "problem"]),
        ("its file is zeroed", vec![("a.yaml", "\0\0\0\0".to_owned()), b()], vec!["keep a", "problem"]),
        ("its file is cut off in a word", vec![("a.yaml", "apiVers".to_owned()), b()], vec!["keep a", "problem"]),
        ("its file is cut off in the kind", vec![("a.yaml", a[..40].to_owned()), b()], vec!["keep a", "problem"]),
        ("a broken neighbour in its file", vec![("a.yaml", "x: [\n---\n".to_owned() + &a), b()], vec!["problem"]),
        ("a broken file that was another's", vec![("z.yaml", "x: [\n".to_owned()), b()], vec!["delete a", "problem"]),
        (
            "a syntax error in a file that names it",
            vec![("z.yaml", a.replace("{displayName", "{{displayName")), b()],
            vec!["keep a", "problem"],
        ),
        ("doubled", vec![("a.yaml", a.clone()), ("z.yaml", a.clone()), b()], vec!["keep a", "problem"]),
        (
            "doubled and new",
            vec![("a.yaml", a.clone()), b(), ("c.yaml", text("c", "X") + "---\n" + &text("c", "Y"))],
            vec!["problem"],
        ),
        ("an empty directory", vec![], vec!["problem"]),
        ("only a comment anywhere", vec![("x.yaml", "# none\n".to_owned())], vec!["delete a", "delete b"]),
        (
            "somebody else's documents",
            vec![("a.yaml", a.clone()), b(), ("k.yaml", "kind: Kustomization\n".to_owned())],
            vec![],
        ),
        ("something that is no document", vec![("a.yaml", a.clone()), b(), ("k.yaml", "x: 1\n".to_owned())], vec![]),
    ];
    for (what, files, expected) in cases {
        assert_eq!(outcome(&files, |_| {}), expected, "{what}");
    }
}

#[test]
fn what_was_deleted_comes_back_with_its_document_and_only_then() {
    let deleted = |row: &mut KnownDocument| row.deleted_at = Some(Timestamp::UNIX_EPOCH);
    let released = |row: &mut KnownDocument| {
        row.deleted_at = Some(Timestamp::UNIX_EPOCH);
        row.released_at = Some(Timestamp::UNIX_EPOCH);
    };
    let b = || ("b.yaml", text("b", "One"));
    let good = || ("a.yaml", text("a", "One"));
    let wrong = || ("a.yaml", text("a", "''"));
    let broken = || ("a.yaml", "x: [\n".to_owned());
    assert_eq!(outcome(&[good(), b()], deleted), ["accept a"]);
    assert_eq!(outcome(&[wrong(), b()], deleted), ["keep a", "problem"]);
    assert_eq!(outcome(&[broken(), b()], deleted), ["problem"]);
    assert_eq!(outcome(&[b()], deleted), [""; 0]);
    assert_eq!(outcome(&[good(), b()], released), ["accept a"]);
    assert_eq!(outcome(&[wrong(), b()], released), ["problem"]);
    assert_eq!(outcome(&[b()], released), [""; 0]);
}

#[test]
fn an_annotation_repeats_three_sentences_and_counts_the_rest() {
    let sentences: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
    assert_eq!(repeated(&sentences), "1; 2; 3; and 2 more");
    assert_eq!(repeated(&sentences[..3]), "1; 2; 3");
}

#[test]
fn former_default_language_is_kept_until_one_is_declared() {
    let former = accept(
        &json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": "a", "namespace": "default"},
            "spec": {"displayName": "One", "server": {"locale": "en"}},
        }),
        None,
        None,
    )
    .unwrap();
    let root = tempfile::tempdir().unwrap();
    let scan_after = |row: Value, text: &str| {
        fs::write(root.path().join("a.yaml"), text).unwrap();
        let (key, mut known) = row_of(root.path(), row);
        let tree = scan(root.path(), &Tree::none());
        known.file = Some(root.path().join("a.yaml").display().to_string());
        let known = BTreeMap::from([(key, known)]);
        let plan = plan_freely(root.path(), &known, &tree, &BTreeMap::new(), Instant::now());
        plan.accept.into_iter().next().map(|(_, document, _)| document)
    };
    let mut stored = former.clone();
    stored["spec"]["upgrade"] = json!({"backupFirst": true, "rollback": true});
    let accepted = scan_after(stored, &text("a", "One")).unwrap();
    assert_eq!(accepted["spec"]["server"]["locale"], "en");
    assert_eq!(scan_after(accepted.clone(), &text("a", "One")), None, "the next scan changes nothing");
    let edited = scan_after(accepted.clone(), &text("a", "Two")).unwrap();
    assert_eq!(edited["spec"]["server"]["locale"], "en", "another change keeps it");
    let polish = text("a", "One").replace("displayName: One", "displayName: One, server: {locale: pl}");
    let declared = scan_after(accepted, &polish).unwrap();
    assert_eq!(declared["spec"]["server"]["locale"], "pl");
    let undeclared = scan_after(declared, &text("a", "One")).unwrap();
    assert_eq!(undeclared["spec"]["server"]["locale"], Value::Null, "a removed declaration takes effect");
    let withdrawn = scan_after(former, &text("a", "One")).unwrap();
    assert_eq!(withdrawn["spec"]["server"]["locale"], Value::Null);
}

fn row_of(root: &Path, document: Value) -> (Key, KnownDocument) {
    let (key, known) = row(root, "a", "a.yaml");
    (key, KnownDocument { document, ..known })
}
