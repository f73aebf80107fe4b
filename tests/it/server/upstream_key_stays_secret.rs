//! The upstream key is entered once, stored encrypted if the upstream accepts it, and never
//! returned.

use mai_operator::openrouter::mock::{MockOptions, serve};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server};

const KEY: &str = "sk-or-v1-0123456789abcdef0123456789abcdef";
const CONNECTION: &str = "/api/v1/connection";

/// Starts a mock OpenRouter that accepts this key only; returns its base URL.
async fn upstream() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let options = MockOptions { key: Some(KEY.into()), ..MockOptions::default() };
    tokio::spawn(serve(listener, options));
    url
}

async fn save(server: &Server, admin: &str, body: Value) -> (StatusCode, Value) {
    server.post(CONNECTION, admin, body).await
}

#[tokio::test]
async fn valid_key_is_stored_encrypted_and_shown_masked() {
    let directory = tempfile::tempdir().unwrap();
    let url = upstream().await;
    let mut server = Server::start_in(directory.path(), &[LOCAL_UPSTREAMS, ("WEBUI_SECRET_KEY", "the secret")]).await;
    let admin = server.admin().await;
    let (_, before) = server.get(CONNECTION, &admin).await;
    assert_eq!((&before["source"], &before["configured"]), (&json!("environment"), &json!(false)));

    // A trailing slash is accepted.
    let (status, saved) = save(&server, &admin, json!({ "base_url": format!("{url}/"), "key": KEY })).await;
    assert_eq!(status, 200, "{saved}");
    assert_eq!(saved["base_url"], url);
    assert_eq!(saved["key_hint"], "cdef");
    assert_eq!(saved["source"], "database");
    assert_eq!(saved["ok"], true);
    assert!(saved["detail"].as_str().unwrap().contains(" models"), "{saved}");
    assert!(!saved.to_string().contains(KEY));
    server.terminate().await;
    assert!(!server.log().contains(KEY));

    for file in std::fs::read_dir(directory.path()).unwrap() {
        let stored = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!stored.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
    }

    // It survives a restart, takes precedence over the environment, and still works.
    let settings = [LOCAL_UPSTREAMS, ("WEBUI_SECRET_KEY", "the secret"), ("OPENAI_API_KEY", "sk-from-the-environment")];
    let server = Server::start_in(directory.path(), &settings).await;
    let (_, after) = server.get(CONNECTION, &admin).await;
    assert_eq!(
        (&after["source"], &after["key_hint"], &after["ok"]),
        (&json!("database"), &json!("cdef"), &Value::Null)
    );
    let (_, verified) = server.post("/api/v1/connection/verify", &admin, json!({})).await;
    assert_eq!(verified["ok"], true, "{verified}");

    // When it is cleared, the one of the environment applies again.
    let (_, cleared) = server.delete(CONNECTION, &admin).await;
    assert_eq!((&cleared["source"], &cleared["key_hint"]), (&json!("environment"), &json!("ment")));
}

#[tokio::test]
async fn key_refused_by_upstream_is_not_saved() {
    let server = Server::start(&[LOCAL_UPSTREAMS, ("OPENAI_API_KEY", "sk-from-the-environment")]).await;
    let admin = server.admin().await;
    let url = upstream().await;
    let (status, response) = save(&server, &admin, json!({ "base_url": url, "key": "sk-or-v1-wrong-key" })).await;
    assert_eq!(status, 400);
    assert!(response["detail"].as_str().unwrap().contains("User not found."), "{response}");
    assert_eq!(server.get(CONNECTION, &admin).await.1["source"], "environment");
}

#[tokio::test]
async fn invalid_upstream_is_refused_with_a_sentence() {
    let server = Server::start(&[LOCAL_UPSTREAMS]).await;
    let admin = server.admin().await;
    let url = upstream().await;
    let host = url.trim_end_matches("/api/v1");
    for (base_url, key, status, words) in [
        ("http://127.0.0.1:2/v1".to_owned(), KEY, 502, "could not be reached"),
        (format!("{host}/elsewhere"), KEY, 502, "is the base URL right?"),
        (server.url.clone(), KEY, 502, "is the base URL right?"),
        ("openrouter.ai".to_owned(), KEY, 400, "https://openrouter.ai/api/v1"),
        ("file:///etc/passwd".to_owned(), KEY, 400, "https://"),
        ("https://me:secret@example.com/v1".to_owned(), KEY, 400, "no user name"),
        (url.clone(), "sk-or\nv1", 400, "characters"),
    ] {
        let (answered, response) = save(&server, &admin, json!({ "base_url": base_url, "key": key })).await;
        assert_eq!(answered, status, "{base_url}: {response}");
        let detail = response["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words) && !detail.contains("secret"), "{base_url}: {detail}");
    }
    assert_eq!(server.get(CONNECTION, &admin).await.1["source"], "environment");
}

#[tokio::test]
async fn omitted_key_is_kept_for_the_same_url_only() {
    let server = Server::start(&[LOCAL_UPSTREAMS]).await;
    let admin = server.admin().await;
    let url = upstream().await;
    save(&server, &admin, json!({ "base_url": url, "key": KEY })).await;
    let (status, saved) = save(&server, &admin, json!({ "base_url": url })).await;
    assert_eq!((status.as_u16(), &saved["key_hint"]), (200, &json!("cdef")));

    // The mock's Ollama API needs no key.
    let elsewhere = url.replace("/api/v1", "/v1");
    let (status, saved) = save(&server, &admin, json!({ "base_url": elsewhere, "key": "" })).await;
    assert_eq!((status.as_u16(), &saved["key_hint"]), (200, &Value::Null), "a key is never taken to another place");
}

#[tokio::test]
async fn changed_secret_falls_back_to_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let url = upstream().await;
    let mut server = Server::start_in(directory.path(), &[LOCAL_UPSTREAMS, ("WEBUI_SECRET_KEY", "the secret")]).await;
    let admin = server.admin().await;
    save(&server, &admin, json!({ "base_url": url, "key": KEY })).await;
    server.terminate().await;

    let server = Server::start_in(directory.path(), &[("WEBUI_SECRET_KEY", "another secret")]).await;
    assert_eq!(server.get(CONNECTION, &admin).await.1["source"], "environment");
    assert!(server.log().contains("sealed with another WEBUI_SECRET_KEY"), "{}", server.log());
}
