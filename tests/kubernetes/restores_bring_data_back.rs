//! A `MaiRestore` brings the data of an instance back and keeps the former, returns to that when the
//! server does not become ready, and `spec.restoreFrom` makes a new instance from another's backup.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::gate::Gate;
use super::images;
use super::operator::Operator;
use super::requests::{self, answer, claim_directory, condition, kube, output, stalled};

use crate::fixtures::compose::pack;
use crate::fixtures::s3::COPIES;

const PERSON: &str = r#"{"name": "Ada", "email": "ada@example.com", "password": "correct horse"}"#;

/// Starts a client with an account and a letter in its data; returns the directory of the data.
fn client(env: &Environment, operator: &Operator, name: &str, more: &str) -> std::path::PathBuf {
    let health = "  health: {interval: 1s, timeout: 1s, startPeriod: 20s}\n";
    env.apply(
        &env.document(name, &format!("  image: {}\n  openRouter: {{mock: true}}\n{health}{more}", images::own())),
    );
    env.wait_ready(operator, name);
    let (status, account) = env.answer(operator, name, "POST", "/api/v1/auths/signup", "", PERSON);
    assert_eq!(status, 200, "{account}");
    let data = claim_directory(env, &format!("mai-{name}-data"));
    std::fs::write(data.join("letter"), "first").unwrap();
    data
}

/// Waits until the person can sign in. The pod that is asked may be one that is just ending.
fn wait_for_sign_in(env: &Environment, operator: &Operator, name: &str) {
    let sign_in = || env.ask(name, "POST", "/api/v1/auths/signin", "", PERSON);
    env.wait_until(
        operator,
        || format!("a sign-in on {name}: {:?}", sign_in()),
        || sign_in().filter(|(status, _)| *status == 200),
    );
}

fn request(name: &str, from: &Value) -> String {
    json!({
        "apiVersion": "mai.dev/v1alpha1", "kind": "MaiRestore", "metadata": {"name": name},
        "spec": {"instance": "abc", "from": from},
    })
    .to_string()
}

/// Returns the letters in the data and below it.
fn letters(data: &Path) -> Vec<String> {
    let found = Command::new("find").arg(data).args(["-name", "letter", "-type", "f"]).output().unwrap();
    let mut paths: Vec<_> = String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    paths.sort_by_key(|path| path.len());
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn restored_data_is_served_and_the_former_is_kept() {
    let _shared = cluster::shared();
    let env = Environment::new("restore");
    env.kubectl(&["label", "namespace", &env.namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    let operator = requests::operator(&env);
    env.apply(&request("early", &json!({"destination": "nowhere"})));
    let message = stalled(&env, &operator, "mairestore/early");
    assert!(message.contains("no MaiInstance abc") && message.contains("another MaiRestore"), "{message}");

    // A backup that does not exist is reported, and nothing is stopped.
    let data = client(&env, &operator, "abc", "");
    let server = env.pod("abc").unwrap();
    let status = answer(&env, &operator, "mairestore/early");
    assert_eq!((status["phase"].as_str(), condition(&status, "Stalled").as_deref()), (Some("Failed"), Some("True")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("destination nowhere") && message.contains("spec.backup.destinations"), "{message}");
    assert_eq!(env.pod("abc").as_ref(), Some(&server));

    output(&env, &["backup", "abc"]);
    std::fs::write(data.join("letter"), "second").unwrap();
    let refused = kube(&env, &["restore", "abc"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("pass --yes"), "{refused:?}");
    let shown = output(&env, &["restore", "abc", "--yes", "--reason", "a letter was lost"]);
    env.wait_ready(&operator, "abc");
    wait_for_sign_in(&env, &operator, "abc");
    assert_eq!(letters(&data), ["first", "second"], "{shown}");
    let name =
        env.kubectl(&["get", "mairestores", "-o", "jsonpath={.items[?(@.status.phase=='Completed')].metadata.name}"]);
    env.kubectl(&["wait", "--for=condition=Ready", &format!("mairestore/{name}"), "--timeout=10s"]);
    let status = env.get(&format!("mairestore/{name}")).unwrap()["status"].clone();
    let restored = env.get("mai/abc").unwrap()["status"]["restore"].clone();
    for field in ["backup", "safetyBackup", "keptUntil", "takenAt"] {
        assert!(status[field].is_string() && status[field] == restored[field], "{field}: {status} {restored}");
    }
    assert_eq!(status["restore"], restored["id"]);
    assert!(
        shown.contains("the restored data takes its place") && shown.contains(status["message"].as_str().unwrap()),
        "{shown}"
    );

    // A request is a record.
    let changed = request(&name, &json!({"destination": "other"}));
    assert!(env.refusal(&changed).contains("a MaiRestore cannot change; create another one"));
    let version = || env.resource_version(&format!("mairestore/{name}"));
    let before = version();
    let passes = || operator.figure("mai_operator_reconcile_total{kind=\"MaiInstance\",outcome=\"ok\"}").unwrap();
    let counted = passes();
    env.wait_until(&operator, || "some passes".into(), || (passes() >= counted + 3.0).then_some(()));
    assert_eq!((version(), letters(&data)), (before, vec!["first".to_owned(), "second".to_owned()]));
}

#[test]
fn restore_is_carried_on_after_its_operator_was_killed() {
    let _shared = cluster::shared();
    let env = Environment::new("restore-killed");
    let operator = requests::operator(&env);
    let data = client(&env, &operator, "abc", "");
    output(&env, &["backup", "abc"]);
    std::fs::write(data.join("letter"), "second").unwrap();
    env.apply(&request("again", &json!({})));
    let is_answered =
        || env.get("mairestore/again").is_some_and(|request| request["status"]["completedAt"].is_string());
    let step = |status: &Value| match is_answered() {
        true => None,
        false => Some(status["restore"]["step"].as_str().unwrap_or("asked").to_owned()),
    };
    let (operator, steps) = requests::kill_at_each_step(&env, "abc", operator, step);
    for step in ["Unpacking", "BackingUp", "Swapping"] {
        assert!(steps.iter().any(|known| known == step), "{step} is not among {steps:?}");
    }
    let status = env.get("mairestore/again").unwrap()["status"].clone();
    assert_eq!(status["phase"], "Completed", "{status}");
    env.wait_ready(&operator, "abc");
    wait_for_sign_in(&env, &operator, "abc");
    assert_eq!(letters(&data), ["first", "second"], "{steps:?}");
    let archives = std::fs::read_dir(claim_directory(&env, "mai-abc-backups")).unwrap();
    let archives = archives.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tar.gz"));
    assert_eq!(archives.count(), 2, "one was asked for, and one was made of the data that was replaced");
    requests::wait_no_job(&env, &operator, "abc");
}

#[test]
fn restored_data_without_a_ready_server_is_taken_back() {
    let _shared = cluster::shared();
    let env = Environment::new("restore-back");
    let operator = requests::operator(&env);
    let data = client(&env, &operator, "abc", "");
    // The database of a version that is yet to come.
    let future = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(future.path().join("mai.db")).unwrap();
    database.execute_batch("CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL); INSERT INTO _sqlx_migrations VALUES (99999, 'future', 0, 1, x'00', 0); CREATE TABLE user (id TEXT PRIMARY KEY); INSERT INTO user VALUES ('1');").unwrap();
    database.close().unwrap();
    let file = claim_directory(&env, "mai-abc-backups").join("future.tar.gz");
    pack(&file, future.path(), ".");
    let asked = kube(&env, &["restore", "abc", "--file", "future.tar.gz", "--yes", "--timeout", "3m"]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    let error = String::from_utf8_lossy(&asked.stderr);
    assert!(error.contains("did not become ready") && error.contains("newer version"), "{error}");
    env.wait_ready(&operator, "abc");
    wait_for_sign_in(&env, &operator, "abc");
    assert_eq!(letters(&data), ["first"]);
}

#[test]
fn new_instance_gets_the_data_of_another_ones_backup() {
    let _shared = cluster::shared();
    let env = Environment::new("restore-new");
    let gate = Gate::to_bucket(&env);
    let operator = requests::operator(&env);
    client(&env, &operator, "abc", &gate.destination(COPIES));
    output(&env, &["backup", "abc"]);
    let from = |instance: &str| {
        let more =
            format!("{}  restoreFrom: {{destination: offsite, instance: {instance}}}\n", gate.destination(COPIES));
        env.document("new", &format!("  image: {}\n  openRouter: {{mock: true}}\n{more}", images::own()))
    };
    // Without such a backup its server is not started, and the document can be corrected.
    env.apply(&from("xyz"));
    let message = env.wait_for_reason(&operator, "new", "Ready", "RestoreFailed");
    assert!(message.contains("xyz"), "{message}");
    assert!(env.pod("new").is_none());
    env.apply(&from("abc"));
    env.wait_ready(&operator, "new");
    wait_for_sign_in(&env, &operator, "new");
    let data = claim_directory(&env, "mai-new-data");
    assert_eq!(letters(&data), ["first"]);

    // It is not read again, does not change, and may go.
    let (pod, refusal) = (env.pod("new").unwrap(), env.refusal(&from("xyz")));
    assert!(refusal.contains("spec.restoreFrom was used and cannot change"), "{refusal}");
    env.patch("new", &json!({"restoreFrom": null}));
    env.wait_ready(&operator, "new");
    assert_eq!(env.pod("new").as_ref(), Some(&pod));
    let refusal = env.refusal(&from("abc"));
    assert!(refusal.contains("restoreFrom cannot be added to an instance that exists"), "{refusal}");

    // A new instance of the name finds the data of the former, and keeps it.
    std::fs::write(data.join("letter"), "second").unwrap();
    env.kubectl(&["delete", "mai/new", "--timeout=60s"]);
    env.apply(&from("abc"));
    env.wait_ready(&operator, "new");
    assert_eq!(letters(&data), ["second"]);
    let restore = env.get("mai/new").unwrap()["status"]["restore"].clone();
    assert_eq!(restore["step"], "Skipped", "{restore}");
    assert!(restore["message"].as_str().unwrap().contains("data was there already and is kept"), "{restore}");
}
