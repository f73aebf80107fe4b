//! A client's own key at the upstream is made, limited, rotated, disabled and deleted as its document
//! says, and none is left behind by a reconciler that was killed.

use std::time::Duration;

use serde_json::Value;

use crate::fixtures::account::{Account, MANAGEMENT};
use crate::fixtures::compose::{PERSON, Workspace, http, is_ready, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

/// Returns a document with a key of this account, further fields of `openRouter` and further lines.
fn document(account: &Account, port: u16, fields: &str, more: &str) -> String {
    format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata:\n  name: alpha\nspec:\n  displayName: Alpha\n  openRouter:\n    baseUrl: {}\n    managementKeySecretRef: {{name: management, key: key}}\n    {fields}\n  expose: {{port: {port}}}\n{more}",
        account.base_url()
    )
}

fn hash(key: &Value) -> String {
    key["hash"].as_str().unwrap().to_owned()
}

fn shown_hash(workspace: &Workspace) -> String {
    let status = workspace.status();
    status[0]["status"]["openRouterKey"]["hash"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn key_is_made_limited_disabled_and_deleted() {
    let (workspace, account, port) = (Workspace::new(), Account::open(Duration::ZERO), free_port());
    workspace.write("a.yaml", &document(&account, port, "monthlyLimitUsd: 5", ""));
    let compose = workspace.compose(&[]);
    // Like any Secret that is missing.
    let missing = workspace.wait_for_reason("alpha", "Stalled", "MissingSecret");
    assert!(missing.contains("Secret management is not there"), "{missing}");
    assert!(account.keys().is_empty() && !is_ready(port));

    workspace.write_secret("management", "key", MANAGEMENT);
    wait_ready(port);
    let key = account.wait_for_key("is limited", |key| key["limit"] == 5);
    let status = workspace.status();
    let uid = status[0]["metadata"]["uid"].as_str().unwrap();
    assert_eq!(key["name"], format!("mai default/alpha {uid}"));
    assert_eq!((&key["limit_reset"], &key["include_byok_in_limit"]), (&"monthly".into(), &true.into()));
    assert!(workspace.wait_for_reason("alpha", "KeyHealthy", "KeyReady").contains("5 USD"));
    assert_eq!(shown_hash(&workspace), hash(&key));

    // The server answers with it.
    let (_, person) = http("POST", port, "/api/v1/auths/signup", "", PERSON).unwrap();
    let token = serde_json::from_str::<Value>(&person).unwrap()["token"].as_str().unwrap().to_owned();
    let question =
        r#"{"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}"#;
    let headers = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = http("POST", port, "/api/chat/completions", &headers, question).unwrap();
    assert_eq!(status, 200, "{answer}");
    account.wait_for_key("was used", |key| key["usage_monthly"].as_f64() > Some(0.0));
    let activity = account.try_call("GET", &format!("/activity?api_key_hash={}", hash(&key)), "").unwrap();
    assert_eq!(activity["data"][0]["model"], "openai/gpt-4o-mini");

    // The server, which keeps the limit as well, keeps its key.
    workspace.write("a.yaml", &document(&account, port, "monthlyLimitUsd: 7", ""));
    account.wait_for_key("has the new limit", |key| key["limit"] == 7);
    workspace.write("a.yaml", &document(&account, port, "", ""));
    account.wait_for_key("has no limit", |key| key["limit"].is_null() && key["limit_reset"].is_null());

    workspace.write("a.yaml", &document(&account, port, "", "  suspend: true\n"));
    account.wait_for_key("is disabled", |key| key["disabled"] == true);
    workspace.write("a.yaml", &document(&account, port, "", ""));
    let same = account.wait_for_key("is enabled", |key| key["disabled"] == false);
    wait_ready(port);
    assert_eq!(hash(&same), hash(&key));

    workspace.remove("a.yaml");
    compose.wait_for_line(&["alpha", "gone"]);
    assert_eq!(account.keys(), Vec::<Value>::new());
    assert!(!compose.output().contains("sk-or-v1-"), "{}", compose.output());
    compose.stop();
}

#[test]
fn key_lost_by_a_crash_is_replaced_by_one() {
    let (workspace, account, port) = (Workspace::new(), Account::open(Duration::from_secs(600)), free_port());
    workspace.write_secret("management", "key", MANAGEMENT);
    workspace.write("a.yaml", &document(&account, port, "monthlyLimitUsd: 5", ""));
    let mut compose = workspace.compose(&[]);
    // It is made, and its value is on the way.
    let lost = account.wait_for_key("is made", |_| true);
    compose.kill();
    let mut compose = workspace.compose(&[]);
    wait_ready(port);
    let key = account.wait_for_key("is another", |key| hash(key) != hash(&lost));

    // Two of one name, as two crashes leave them.
    compose.kill();
    let twin = serde_json::json!({"name": key["name"]}).to_string();
    account.try_call("POST", "/keys", &twin).unwrap();
    account.try_call("POST", "/keys", &serde_json::json!({"name": "of somebody else"}).to_string()).unwrap();
    let compose = workspace.compose(&[]);
    wait_until(|| "the twin to be deleted".into(), || (account.keys().len() == 2).then_some(()));
    let names: Vec<Value> = account.keys().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, [Value::from("of somebody else"), key["name"].clone()]);
    assert_eq!(hash(&account.keys()[1]), hash(&key));
    wait_ready(port);
    compose.stop();
}

#[test]
fn rotated_key_serves_before_the_former_one_ends() {
    let (workspace, account, port) = (Workspace::new(), Account::open(Duration::ZERO), free_port());
    workspace.write_secret("management", "key", MANAGEMENT);
    let rotation = "keyRotation: {everyDays: 90, gracePeriod: 1s}";
    workspace.write("a.yaml", &document(&account, port, rotation, ""));
    let compose = workspace.compose(&[]);
    wait_ready(port);
    let first = account.wait_for_key("is made", |_| true);
    workspace.wait_for_reason("alpha", "KeyHealthy", "KeyReady");
    let pid = workspace.pid("alpha");
    let (code, out, err) = workspace.mai("rotate-key", &["alpha"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_ne!(workspace.pid("alpha"), pid, "the server has the former key");
    let second = account.wait_for_key("is another", |key| hash(key) != hash(&first));
    assert!(out.contains(&hash(&second)), "{out}");
    assert_eq!(shown_hash(&workspace), hash(&second));

    // The annotation asks for the same, once for each value.
    let asked = document(&account, port, rotation, "")
        .replace("  name: alpha\n", "  name: alpha\n  annotations: {mai.dev/key-rotation-requested: \"2026-11-30\"}\n");
    workspace.write("a.yaml", &asked);
    let third = account.wait_for_key("is the third", |key| ![hash(&first), hash(&second)].contains(&hash(key)));
    workspace.wait_for_reason("alpha", "KeyHealthy", "KeyReady");
    workspace.write("a.yaml", &asked.replace("Alpha", "Alpha & Sons"));
    wait_until(
        || "the new name".into(),
        || http("GET", port, "/api/config", "", "").ok().filter(|(_, body)| body.contains("Sons")),
    );
    assert_eq!(shown_hash(&workspace), hash(&third), "it was rotated again");
    compose.stop();
}

#[test]
fn refused_management_key_is_told_and_stops_nothing() {
    let (workspace, account, port) = (Workspace::new(), Account::open(Duration::ZERO), free_port());
    workspace.write_secret("management", "key", "sk-or-v1-wrong");
    workspace.write("a.yaml", &document(&account, port, "monthlyLimitUsd: 5", ""));
    let compose = workspace.compose(&[]);
    let message = workspace.wait_for_reason("alpha", "Ready", "ManagementKeyRejected");
    assert!(message.contains("User not found"), "{message}");
    workspace.write_secret("management", "key", MANAGEMENT);
    wait_ready(port);
    workspace.wait_for_reason("alpha", "KeyHealthy", "KeyReady");
    let key = account.wait_for_key("is made", |_| true);
    let pid = workspace.pid("alpha");

    // It is revoked.
    workspace.write_secret("management", "key", "sk-or-v1-revoked");
    let asked = document(&account, port, "monthlyLimitUsd: 5", "")
        .replace("  name: alpha\n", "  name: alpha\n  annotations: {mai.dev/key-rotation-requested: now}\n");
    workspace.write("a.yaml", &asked);
    let message = workspace.wait_for_reason("alpha", "KeyHealthy", "ManagementKeyRejected");
    assert!(message.contains("the instance keeps its key"), "{message}");
    assert_eq!((workspace.condition("alpha", "Ready").unwrap().0, workspace.pid("alpha")), ("True".to_owned(), pid));
    workspace.write_secret("management", "key", MANAGEMENT);
    wait_until(|| "another key".into(), || (shown_hash(&workspace) != hash(&key)).then_some(()));
    workspace.wait_for_reason("alpha", "KeyHealthy", "KeyReady");
    assert!(is_ready(port));
    compose.stop();
}
