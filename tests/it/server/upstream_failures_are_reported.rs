//! Callers are told the cause and the remedy, in the upstream's words or in a sentence of ours.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{Server, send};
use crate::fixtures::upstream::{KEY, Mock};

const PATH: &str = "/api/chat/completions";

async fn server(mock: &Mock) -> (Server, String) {
    let server = Server::start(&[("OPENAI_API_BASE_URL", &mock.base_url()), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    (server, token)
}

fn ask(server: &Server, token: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    server.request(Method::POST, PATH).bearer_auth(token).header("content-type", "application/json").body(body)
}

fn question(settings: &str) -> String {
    json!({"model": "openai/gpt-5", "stream": true, "messages": [], "metadata": {"mock": settings}}).to_string()
}

#[tokio::test]
async fn upstream_refusals_pass_unchanged() {
    let mock = Mock::start().await;
    let (server, token) = server(&mock).await;
    for (code, message) in [
        (401, "User not found."),
        (402, "Insufficient credits. Add more using https://openrouter.ai/credits"),
        (429, "Rate limit exceeded"),
        (500, "Internal Server Error"),
        (502, "Provider returned error"),
    ] {
        let response = ask(&server, &token, question(&format!("error={code}"))).send().await.unwrap();
        assert_eq!(response.status().as_u16(), code);
        assert_eq!(response.headers().get("retry-after").map(|v| v.to_str().unwrap()), (code == 429).then_some("7"));
        let expected = format!(r#"{{"error":{{"message":"{message}","code":{code}}}}}"#);
        assert_eq!(response.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn unreachable_upstream_is_reported_and_recovers() {
    let mock = Mock::start().await;
    let (server, token) = server(&mock).await;
    assert_eq!(ask(&server, &token, question("chunks=1")).send().await.unwrap().status(), 200);
    let address = mock.stop().await;
    let (status, body) = send(ask(&server, &token, question("chunks=1"))).await;
    assert_eq!(status, 502);
    assert_eq!(
        (&body["error"]["type"], &body["error"]["code"]),
        (&json!("upstream_error"), &json!("upstream_unreachable"))
    );
    let sentence = body["error"]["message"].as_str().unwrap();
    assert!(sentence.starts_with(&format!("The upstream at http://{address} ")), "{sentence}");
    let _mock = Mock::start_at(address).await;
    assert_eq!(ask(&server, &token, question("chunks=1")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn missing_connection_refers_to_the_admin() {
    let server = Server::start(&[]).await;
    let token = server.admin().await;
    let (status, body) = send(ask(&server, &token, question("chunks=1"))).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (503, &json!("no_connection")));
    assert!(body["error"]["message"].as_str().unwrap().contains("Settings → Connection"), "{body}");
}

#[tokio::test]
async fn invalid_request_is_refused_before_the_upstream() {
    let mock = Mock::start().await;
    let (server, token) = server(&mock).await;
    for (body, detail) in [
        ("{\"a\":", "The request is not valid: EOF while parsing a value at line 1 column 5."),
        ("", "The request is not valid: EOF while parsing a value at line 1 column 0."),
        ("{}", "Model not found"),
        (r#"{"model":"nope/none","messages":[]}"#, "Model not found"),
        (r#"{"model":"openai/gpt-5","models":["nope/none"]}"#, "Model not found"),
    ] {
        let (status, answer) = send(ask(&server, &token, body)).await;
        assert_eq!((status.as_u16(), &answer["detail"]), (400, &json!(detail)), "{body}");
    }
    let (status, body) = send(server.request(Method::POST, PATH).body(question(""))).await;
    assert_eq!((status.as_u16(), &body["detail"]), (401, &json!("Not authenticated")));
}

#[tokio::test]
async fn oversized_request_is_refused_without_buffering() {
    let mock = Mock::start().await;
    let (server, token) = server(&mock).await;
    let big = || "x".repeat(50 << 20);
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(
        (0..50).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 1 << 20]))),
    ));
    for body in [reqwest::Body::from(big()), chunked] {
        let (status, body) = send(ask(&server, &token, body)).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (413, &json!(413)), "{body}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(peak < 150_000, "{peak} KiB");
    let nearly = json!({"model": "openai/gpt-5", "messages": ["x".repeat(19 << 20)], "metadata": {"mock": "chunks=1"}});
    assert_eq!(ask(&server, &token, nearly.to_string()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn only_allowed_models_are_listed_and_answered() {
    let mock = Mock::start().await;
    let ollama = format!("http://{}", mock.address);
    let server = Server::start(&[
        ("OPENAI_API_BASE_URL", &mock.base_url()),
        ("OPENAI_API_KEY", KEY),
        ("OLLAMA_BASE_URL", &ollama),
        ("MAI_MODELS", "openai/gpt-5-mini, qwen3:8b,openai/gpt-5-mini:nitro"),
    ])
    .await;
    let token = server.admin().await;
    for path in ["/api/models", "/api/v1/models", "/v1/models"] {
        let models = server.get(path, &token).await.1;
        let ids: Vec<&str> =
            models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["openai/gpt-5-mini", "qwen3:8b", "openai/gpt-5-mini:nitro"]);
        assert_eq!((&models["object"], &models["data"][1]["owned_by"]), (&json!("list"), &json!("ollama")));
    }
    let ask_model = |model: &str| {
        let body = json!({"model": model, "messages": [], "metadata": {"mock": "chunks=3"}});
        ask(&server, &token, body.to_string()).send()
    };
    assert_eq!(ask_model("openai/gpt-5").await.unwrap().status(), 400);
    assert_eq!(ask_model("llama3.2:3b").await.unwrap().status(), 400);
    assert_eq!(ask_model("openai/gpt-5-mini").await.unwrap().status(), 200);
    let local = ask_model("qwen3:8b").await.unwrap();
    assert_eq!(local.status(), 200);
    local.bytes().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    let local = loop {
        let models = server.get("/api/v1/usage/models", &token).await.1["models"].clone();
        match models.as_array().unwrap().iter().find(|row| row["model"] == "qwen3:8b" && row["running"] == 0) {
            Some(row) => break row.clone(),
            None => assert!(Instant::now() < deadline, "{models}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(
        (&local["cost_micro_usd"], &local["unknown_cost"], &local["completion_tokens"]),
        (&json!(0), &json!(0), &json!(3))
    );
}
