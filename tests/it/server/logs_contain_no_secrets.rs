//! The log contains no password, token, key, question or answer at any level.

use std::{
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{PASSWORD, Server, command, send_sigterm, wait_exit};

#[tokio::test]
async fn trace_log_contains_no_secrets() {
    const SECRET: &str = "a secret for the seal";
    const UPSTREAM_KEY: &str = "sk-or-v1-a-key-nobody-takes";
    let settings = [
        ("RUST_LOG", "trace"),
        ("MAI_MOCK_UPSTREAM", "true"),
        ("WEBUI_SECRET_KEY", SECRET),
        ("OPENAI_API_KEY", UPSTREAM_KEY),
    ];
    let server = Server::start(&settings).await;
    let admin = server.admin().await;
    let (_, user) = server.user(&admin, "user@example.com").await;
    let (_, key) = server.post("/api/v1/auths/api_keys", &user, json!({ "name": "laptop" })).await;
    let key = key["api_key"].as_str().unwrap().to_owned();
    let cookie = format!("token={admin}");
    server.request(Method::GET, "/api/v1/auths/").header(header::COOKIE, &cookie).send().await.unwrap();
    let (_, connection) = server.get("/api/v1/connection", &admin).await;
    let refused = json!({ "base_url": connection["base_url"], "key": UPSTREAM_KEY });
    assert_eq!(server.post("/api/v1/connection", &admin, refused).await.0, 400);
    let (_, models) = server.get("/api/models", &key).await;
    let question = json!({
        "model": models["data"][0]["id"],
        "messages": [{ "role": "user", "content": "what nobody else may read" }],
    });
    let (status, answer) = server.post("/api/chat/completions", &key, question).await;
    assert_eq!(status, 200, "{answer}");

    let deadline = Instant::now() + PATIENCE;
    let log = loop {
        let log = server.log();
        if log.contains("/api/chat/completions") && log.contains("status=400") {
            break log;
        }
        assert!(Instant::now() < deadline, "requests are logged: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let answered = answer["choices"][0]["message"]["content"].as_str().unwrap().lines().next().unwrap();
    for secret in
        [PASSWORD, SECRET, UPSTREAM_KEY, "sk-or-v1-mock", &admin, &user, &key, "what nobody else may read", answered]
    {
        if let Some(line) = log.lines().find(|line| line.contains(secret)) {
            panic!("{secret:?} is in the log: {line}");
        }
    }
}

#[tokio::test]
async fn json_log_has_one_object_per_line() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = command(directory.path(), &[("MAI_LOG_FORMAT", "json")]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        seen.push(object["message"].as_str().unwrap().to_owned());
        if object["message"] == "ready" {
            break;
        }
    }
    assert!(seen.iter().any(|message| message == "listening"), "{seen:?}");
    send_sigterm(&child);
    assert_eq!(wait_exit(&mut child).await.code(), Some(0));
    for line in lines {
        serde_json::from_str::<Value>(&line).unwrap();
    }
}
