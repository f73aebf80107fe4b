//! The privacy that the provider promised is in each call of the upstream, or there is no call.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server, command, wait_failure};
use crate::fixtures::upstream::{Canned, KEY, Mock, Reply};

const RULES: [(&str, &str); 2] = [("MAI_ZDR", "true"), ("MAI_NO_TRAINING", "true")];

#[tokio::test]
async fn rules_are_in_calls_of_pages_and_programs() {
    let upstream = Canned::scripted(|request, _| request.head.starts_with("POST ").then(|| Reply::json("{}"))).await;
    let declared = [("OPENAI_API_BASE_URL", upstream.base_url.as_str()), ("OPENAI_API_KEY", KEY)];
    let server = Server::start(&[RULES, declared].concat()).await;
    let token = server.admin().await;
    let seen = |number: usize| -> Option<Value> {
        let requests = upstream.requests.lock().unwrap();
        Some(serde_json::from_slice::<Value>(&requests.get(number)?.body).unwrap()["provider"].clone())
    };
    let weaker = json!({ "zdr": false, "data_collection": "allow", "only": ["azure"] });
    let mut calls = 0;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"] {
        for (given, only) in [(Value::Null, Value::Null), (weaker.clone(), json!(["azure"]))] {
            let body = json!({ "model": "canned/model", "provider": given, "messages": [], "input": "a" });
            let response = server.request(Method::POST, path).bearer_auth(&token).json(&body).send().await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            let provider = seen(calls).unwrap();
            calls += 1;
            assert_eq!((&provider["zdr"], &provider["data_collection"]), (&json!(true), &json!("deny")), "{path}");
            assert_eq!(provider["only"], only, "{path}");
        }
        let body = json!({ "model": "canned/model", "provider": "azure" });
        let (status, answer) = server.post(path, &token, body).await;
        assert!(status == 400 && answer.to_string().contains("`provider` has to be an object"), "{path}: {answer}");
    }
    ask_in_the_pages(&server, &token).await;
    let deadline = Instant::now() + PATIENCE;
    while seen(calls).is_none() {
        assert!(Instant::now() < deadline, "the page asked nothing");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(seen(calls).unwrap(), json!({ "zdr": true, "data_collection": "deny" }));
}

async fn ask_in_the_pages(server: &Server, token: &str) {
    let request = server.request(Method::POST, "/chat").bearer_auth(token).body("text=hi&model=canned%2Fmodel");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let status = request.send().await.unwrap().status();
    assert!(status.is_success() || status.is_redirection(), "{status}");
}

#[tokio::test]
async fn connection_that_cannot_keep_rules_is_not_asked() {
    let mock = Mock::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[LOCAL_UPSTREAMS]).await;
    let admin = server.admin().await;
    let entered = json!({ "base_url": mock.base_url(), "key": KEY });
    assert_eq!(server.post("/api/v1/connection", &admin, entered).await.0, 200);
    let question = json!({ "model": "openai/gpt-5", "messages": [{ "role": "user", "content": "Why?" }] });
    assert_eq!(server.post("/v1/chat/completions", &admin, question.clone()).await.0, 200);
    server.terminate().await;
    for (rule, place) in
        [(RULES[0], "OpenRouter,"), (RULES[1], "OpenRouter,"), (("MAI_REGION", "EU"), "OpenRouter in the EU,")]
    {
        let mut server = Server::start_in(directory.path(), &[LOCAL_UPSTREAMS, rule]).await;
        let (status, body) = server.post("/v1/chat/completions", &admin, question.clone()).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (503, &json!("not_private")), "{rule:?}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(place), "{body}");
        server.terminate().await;
    }
}

#[tokio::test]
async fn region_needs_a_host_in_it() {
    for (base_url, starts) in [
        ("https://openrouter.ai/api/v1", true),
        ("https://us.openrouter.ai/api/v1", false),
        ("https://llm.example.com/v1", false),
    ] {
        let settings = [("MAI_REGION", "EU"), ("OPENAI_API_BASE_URL", base_url)];
        if starts {
            let server = Server::start(&settings).await;
            let admin = server.admin().await;
            let connection = server.get("/api/v1/connection", &admin).await.1;
            assert_eq!(connection["base_url"], "https://eu.openrouter.ai/api/v1", "{connection}");
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let (code, problem) = wait_failure(command(directory.path(), &settings).spawn().unwrap()).await;
        assert!(code == 2 && problem.contains("use https://eu.openrouter.ai/api/v1"), "{base_url}: {problem}");
    }
}
