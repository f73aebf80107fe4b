//! `mai prune` lists data that no document uses any more, and removes what is confirmed and nothing
//! else.

use std::path::Path;

use mai_operator::runtime::MaintenanceLock;
use serde_json::Value;

use crate::fixtures::compose::{Workspace, document};
use crate::fixtures::ports::free_port;

/// Returns name, kind and whether it was removed of each item that `mai prune --json` prints.
fn items(workspace: &Workspace, arguments: &[&str]) -> Vec<(String, String, bool)> {
    let (_, out, err) = workspace.mai("prune", &[arguments, &["--json"]].concat());
    let printed: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = printed["items"].as_array().unwrap().iter();
    items.map(|item| (text(&item["name"]), text(&item["kind"]), item["removed"] == true)).collect()
}

fn item(name: &str, kind: &str, removed: bool) -> (String, String, bool) {
    (name.to_owned(), kind.to_owned(), removed)
}

/// Returns a directory of three clients that have run, of which two are gone; one of them had its data
/// in a directory of its own.
fn with_retired(disk: &Path) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("a.yaml", &document("alpha", free_port(), ""));
    workspace.write("b.yaml", &document("beta", free_port(), ""));
    let elsewhere = format!("  storage: {{data: {{hostPath: {}}}}}\n", disk.join("gamma").display());
    workspace.write("c.yaml", &document("gamma", free_port(), &elsewhere));
    let compose = workspace.compose(&[]);
    for name in ["alpha", "beta", "gamma"] {
        compose.wait_for_line(&[name, "ready"]);
    }
    for (file, name) in [("b.yaml", "beta"), ("c.yaml", "gamma")] {
        workspace.remove(file);
        compose.wait_for_line(&[name, "gone"]);
    }
    compose.stop();
    workspace
}

#[test]
fn only_what_no_document_uses_is_removed() {
    let disk = tempfile::tempdir().unwrap();
    let workspace = with_retired(disk.path());
    let home = |name: &str| workspace.state.join("instances").join(name);
    let all = [("beta", "data"), ("beta", "backups"), ("gamma", "data"), ("gamma", "backups")];
    let listed = all.map(|(name, kind)| item(name, kind, false));
    assert_eq!(items(&workspace, &["--dry-run", "--with-backups"]), listed);
    assert_eq!(items(&workspace, &["--dry-run", "beta"]), listed[..2]);
    assert_eq!(items(&workspace, &["--yes", "--older-than", "30d"]), [], "they were used a moment ago");
    let (code, out, err) = workspace.mai("prune", &[]);
    assert!(code == 1 && err.contains("pass --yes") && out.contains("backups, kept"), "{out}{err}");
    assert!(home("beta").join("data/mai.db").exists());

    // Beside what is used lies what a restore replaced.
    let replaced = home("alpha").join("data.before-restore-20251130T020000Z");
    std::fs::create_dir(&replaced).unwrap();
    let inside = home("alpha").join("data/.mai-restore/20251130-020000-1f2e3d/former");
    std::fs::create_dir_all(&inside).unwrap();
    let removed = items(&workspace, &["--yes", "--older-than", "30d"]);
    assert_eq!(removed, [item("alpha", "replaced", true), item("alpha", "replaced", true)]);
    assert!(!replaced.exists() && !inside.exists() && home("alpha").join("data/mai.db").exists());

    let removed = items(&workspace, &["--yes"]);
    let expected =
        [("beta", "backups", false), ("beta", "data", true), ("gamma", "backups", false), ("gamma", "data", true)];
    let mut sorted = removed.clone();
    sorted.sort();
    assert_eq!(sorted, expected.map(|(name, kind, removed)| item(name, kind, removed)));
    assert!(!home("beta").join("data").exists() && home("beta").join("backups").exists());
    assert!(!disk.path().join("gamma").exists());
    let backups = home("beta").join("backups");
    let (code, out, err) = workspace.mai("prune", &["--yes", "--with-backups", "beta"]);
    assert!(code == 0 && out.ends_with(&format!("removed {}\n", backups.display())), "{out}{err}");
    let removed = items(&workspace, &["--yes", "--with-backups"]);
    assert_eq!(removed, [item("gamma", "backups", true)]);
    let (code, out, _) = workspace.mai("prune", &["beta"]);
    assert_eq!((code, out.as_str()), (0, "there is nothing of beta that no document uses\n"));
    assert!(!home("beta").exists() && !home("gamma").exists() && home("alpha").join("data/mai.db").exists());
    let (code, out, _) = workspace.mai("prune", &[]);
    assert_eq!((code, out.as_str()), (0, "there is nothing that no document uses\n"));
}

#[test]
fn data_that_may_be_used_again_is_kept() {
    let disk = tempfile::tempdir().unwrap();
    let workspace = with_retired(disk.path());
    let beta = workspace.data("beta").join("mai.db");

    // The name of a document with an error may be any.
    workspace.write("d.yaml", "kind: MaiInstance\n");
    let (code, out, err) = workspace.mai("prune", &["--yes"]);
    assert!(code == 1 && err.contains("as long as a document has an error") && out.contains("beta"), "{out}{err}");
    assert!(beta.exists());
    workspace.remove("d.yaml");

    // No reconciler has seen these documents yet.
    let uses = format!("  storage: {{data: {{hostPath: {}}}}}\n", disk.path().join("gamma").display());
    workspace.write("d.yaml", &document("delta", free_port(), &uses));
    workspace.write("b.yaml", &document("beta", free_port(), ""));
    assert_eq!(items(&workspace, &["--yes"]), [item("gamma", "backups", false)]);
    assert!(beta.exists() && disk.path().join("gamma/mai.db").exists());
    workspace.remove("b.yaml");

    // A command works on it.
    let lock = MaintenanceLock::acquire(&workspace.state.join("instances/beta"), "mai restore").unwrap();
    let (code, out, err) = workspace.mai("prune", &["--yes", "beta"]);
    assert!(code == 1 && err.contains("works on it") && beta.exists(), "{out}{err}");
    drop(lock);
    assert_eq!(items(&workspace, &["--yes", "beta"])[0], item("beta", "data", true));
}
