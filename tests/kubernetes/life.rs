//! Promise: one document becomes a client that chats; an edit, a deletion and a second beginning keep its people and their data.

use serde_json::{Value, json};

use super::cluster;
use super::images;
use super::stage::Stage;

fn children(stage: &Stage) -> Vec<String> {
    stage.children("abc").into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_client_is_created_chats_is_edited_deleted_and_taken_up_again() {
    let _shared = cluster::shared();
    let stage = Stage::new("life");
    let document = stage.document("abc", &format!("  image: {}\n  openRouter: {{mock: true}}\n", images::own()));
    let operator = stage.operator();
    stage.apply(&document);
    stage.kubectl(&["wait", "--for=condition=Ready", "mai/abc", "--timeout=120s"]);
    let instance = stage.get("mai/abc").unwrap();
    assert_eq!(instance["status"]["address"], json!(format!("http://mai-abc.{}:8080", stage.namespace)));
    assert_eq!(instance["status"]["version"], "test", "the tag of its image");

    // People come in by the Service.
    let person = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"}).to_string();
    let (status, account) = stage.ask("abc", "POST", "/api/v1/auths/signup", "", &person).unwrap();
    assert_eq!(status, 200, "{account}");
    let account: Value = serde_json::from_str(&account).unwrap();
    assert_eq!(account["role"], "admin");
    let bearer = format!("authorization: Bearer {}\r\n", account["token"].as_str().unwrap());
    let question = json!({"model": "openai/gpt-5", "messages": [{"role": "user", "content": "Why is the sky blue?"}]});
    let (status, answer) =
        stage.ask("abc", "POST", "/api/v1/chat/completions", &bearer, &question.to_string()).unwrap();
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");

    // An edit replaces the server; its data and its sessions stay.
    let (pod, session) = (stage.pod("abc").unwrap(), stage.get("secret/mai-abc-session").unwrap()["data"].clone());
    let still_there = || {
        let (status, body) = stage.ask("abc", "GET", "/api/v1/auths/", &bearer, "").unwrap();
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("ada@example.com"), "{body}");
    };
    stage.patch("abc", &json!({"displayName": "Company ABC & Sons"}));
    stage.wait_ready(&operator, "abc");
    assert_ne!(stage.pod("abc").unwrap(), pod);
    assert!(stage.read("abc", "/api/config").unwrap().contains("Company ABC & Sons"));
    still_there();

    // A deletion stops it, and keeps what cannot be made again.
    stage.kubectl(&["delete", "mai/abc", "--timeout=60s"]);
    let kept =
        ["PersistentVolumeClaim/mai-abc-backups", "PersistentVolumeClaim/mai-abc-data", "Secret/mai-abc-session"];
    stage.wait_until(&operator, || "only the data to be left".into(), || (children(&stage) == kept).then_some(()));
    assert!(stage.pod("abc").is_none());

    // The same name takes it up again.
    stage.apply(&document);
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.get("secret/mai-abc-session").unwrap()["data"], session);
    still_there();

    // Only who says so loses the data with the document.
    stage.patch("abc", &json!({"deletionPolicy": "Delete"}));
    stage.kubectl(&["delete", "mai/abc", "--timeout=60s"]);
    stage.wait_until(&operator, || "nothing to be left".into(), || children(&stage).is_empty().then_some(()));
}
