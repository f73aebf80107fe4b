//! A document becomes a client that chats; edits, a deletion and a recreation keep its accounts and
//! their data.

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::images;

fn children(env: &Environment) -> Vec<String> {
    env.children("abc").into_iter().map(|(name, _)| name).collect()
}

#[test]
fn client_is_created_edited_deleted_and_recreated() {
    let _shared = cluster::shared();
    let env = Environment::new("life");
    let document = env.document("abc", &format!("  image: {}\n  openRouter: {{mock: true}}\n", images::own()));
    let operator = env.operator();
    env.apply(&document);
    env.kubectl(&["wait", "--for=condition=Ready", "mai/abc", "--timeout=3m"]);
    let instance = env.get("mai/abc").unwrap();
    assert_eq!(instance["status"]["address"], json!(format!("http://mai-abc.{}:8080", env.namespace)));
    // The version that the server names, not the tag of its image.
    env.wait_until(
        &operator,
        || "its version".into(),
        || (env.get("mai/abc")?["status"]["version"] == env!("CARGO_PKG_VERSION")).then_some(()),
    );

    // Users connect through the Service.
    let person = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"}).to_string();
    let (status, account) = env.answer(&operator, "abc", "POST", "/api/v1/auths/signup", "", &person);
    assert_eq!(status, 200, "{account}");
    let account: Value = serde_json::from_str(&account).unwrap();
    assert_eq!(account["role"], "admin");
    let bearer = format!("authorization: Bearer {}\r\n", account["token"].as_str().unwrap());
    let question = json!({"model": "openai/gpt-5", "messages": [{"role": "user", "content": "Why is the sky blue?"}]});
    let (status, answer) =
        env.answer(&operator, "abc", "POST", "/api/v1/chat/completions", &bearer, &question.to_string());
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");

    // An edit replaces the server and keeps data and sessions.
    let (pod, session) = (env.pod("abc").unwrap(), env.get("secret/mai-abc-session").unwrap()["data"].clone());
    let still_there = || {
        let (status, body) = env.answer(&operator, "abc", "GET", "/api/v1/auths/", &bearer, "");
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("ada@example.com"), "{body}");
    };
    env.patch("abc", &json!({"displayName": "Company ABC & Sons"}));
    env.wait_ready(&operator, "abc");
    assert_ne!(env.pod("abc").unwrap(), pod);
    assert!(env.answer(&operator, "abc", "GET", "/api/config", "", "").1.contains("Company ABC & Sons"));
    still_there();

    // A deletion stops it and keeps what cannot be recreated.
    env.kubectl(&["delete", "mai/abc", "--timeout=3m"]);
    let kept =
        ["PersistentVolumeClaim/mai-abc-backups", "PersistentVolumeClaim/mai-abc-data", "Secret/mai-abc-session"];
    env.wait_until(&operator, || "only the data to be left".into(), || (children(&env) == kept).then_some(()));
    env.wait_no_pod(&operator, "abc");

    // An instance with the same name uses the data again.
    env.apply(&document);
    env.wait_ready(&operator, "abc");
    assert_eq!(env.get("secret/mai-abc-session").unwrap()["data"], session);
    still_there();

    // The data is deleted only with a deletion policy that says so.
    env.patch("abc", &json!({"deletionPolicy": "Delete"}));
    env.kubectl(&["delete", "mai/abc", "--timeout=3m"]);
    env.wait_until(&operator, || "nothing to be left".into(), || children(&env).is_empty().then_some(()));
}
