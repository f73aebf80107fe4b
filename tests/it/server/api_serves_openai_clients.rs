//! Clients of OpenAI's API find the errors, paths and operations that they know.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{Server, send};
use crate::fixtures::upstream::{Canned, Mock};

const CHAT: &str = "/v1/chat/completions";

async fn server(upstream: &str, more: &[(&str, &str)]) -> (Server, String) {
    let settings = [&[("OPENAI_API_BASE_URL", upstream), ("OPENAI_API_KEY", "sk-or-v1-test")], more].concat();
    let server = Server::start(&settings).await;
    let token = server.admin().await;
    (server, token)
}

/// An upstream that answers every request with this head and body.
async fn canned(head: &str, body: &str) -> Canned {
    Canned::start(vec![format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()]).await
}

#[tokio::test]
async fn refusal_is_worded_for_openai_clients() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let token = server.admin().await;
    let question = r#"{"model":"openai/gpt-5","messages":[]}"#;
    let invalid = "invalid_request_error";
    for (method, path, token, body, status, kind, code, param) in [
        ("POST", CHAT, Some(&*token), r#"{"model":"no/such"}"#, 400, invalid, json!("model_not_found"), json!("model")),
        ("POST", CHAT, Some(&*token), "{", 400, invalid, json!("invalid_request"), Value::Null),
        ("POST", CHAT, Some(&*token), "", 400, invalid, json!("invalid_request"), Value::Null),
        ("POST", CHAT, Some(&*token), r#"{"stream":1}"#, 400, invalid, json!("invalid_request"), json!("stream")),
        (
            "POST",
            CHAT,
            Some(&*token),
            r#"{"Model":"openai/gpt-5"}"#,
            400,
            invalid,
            json!("invalid_request"),
            json!("model"),
        ),
        ("POST", CHAT, Some("sk-wrong"), question, 401, "authentication_error", json!("invalid_api_key"), Value::Null),
        ("POST", CHAT, None, question, 401, "authentication_error", json!("invalid_api_key"), Value::Null),
        ("POST", "/v1/nothing", Some(&*token), question, 404, invalid, json!("unknown_url"), Value::Null),
        ("GET", "/v1/models/no/such", Some(&*token), "", 404, invalid, json!("model_not_found"), json!("model")),
        ("PUT", CHAT, Some(&*token), question, 405, invalid, json!("method_not_supported"), Value::Null),
        ("GET", "/api/v1/models?refresh=perhaps", Some(&*token), "", 422, invalid, Value::Null, Value::Null),
    ] {
        let mut request = server.request(Method::from_bytes(method.as_bytes()).unwrap(), path).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let (answered, answer) = send(request).await;
        let error = &answer["error"];
        assert_eq!(answered.as_u16(), status, "{method} {path} {body}: {answer}");
        assert_eq!(
            (&error["type"], &error["code"], &error["param"]),
            (&json!(kind), &code, &param),
            "{body}: {answer}"
        );
        assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()), "{answer}");
        assert_eq!(answer["detail"], error["message"]);
    }
}

#[tokio::test]
async fn wrong_key_and_base_url_are_told_with_their_remedy() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let token = server.admin().await;
    for (path, header, key, words) in [
        (CHAT, "authorization", "Bearer sk-0123456789", ["Incorrect API key", "Make a new one on the account page"]),
        ("/api/v1/models", "x-api-key", "sk-0123456789", ["Incorrect API key", "Make a new one on the account page"]),
        (CHAT, "authorization", "Bearer none", ["Incorrect API key", "begin with sk-"]),
        (CHAT, "authorization", "none", ["Incorrect API key", "begin with sk-"]),
    ] {
        let method = if path == CHAT { Method::POST } else { Method::GET };
        let (status, answer) = send(server.request(method, path).header(header, key).body("{}")).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (401, &json!("invalid_api_key")), "{key}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(words.iter().all(|part| message.contains(part)), "{message}");
    }
    for (method, path) in [
        (Method::POST, "/chat/completions"),
        (Method::POST, "/chat/completions/"),
        (Method::POST, "/completions"),
        (Method::POST, "/embeddings"),
        (Method::POST, "/responses"),
        (Method::GET, "/models"),
    ] {
        let (status, answer) = send(server.request(method, path).bearer_auth(&token).body("{}")).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (404, &json!("unknown_url")), "{path}: {answer}");
        let meant = format!("at /v1{}:", path.trim_end_matches('/'));
        assert!(answer["error"]["message"].as_str().unwrap().contains(&meant), "{answer}");
    }
}

#[tokio::test]
async fn api_path_is_served_in_any_spelling() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true")]).await;
    let token = server.admin().await;
    for (path, status) in [
        ("/v1/models/", 200),
        ("//v1/models", 200),
        ("/v1//models?refresh=false", 200),
        ("/api/v1/users", 200),
        ("/api/v1/auths", 200),
        ("/api/v1/chats//", 200),
        ("/v1", 404),
        ("/v1/", 404),
        ("/api", 404),
        ("/api/", 404),
        ("/V1/models", 404),
        ("/v1/v1/models", 404),
        ("/v1/models/%ff", 404),
        ("/v1/chat/completions", 405),
    ] {
        let response = server.request(Method::GET, path).bearer_auth(&token).send().await.unwrap();
        let kind = response.headers()[header::CONTENT_TYPE].clone();
        assert_eq!((response.status().as_u16(), kind.to_str().unwrap()), (status, "application/json"), "{path}");
        response.json::<Value>().await.unwrap();
    }
    let head = server.request(Method::HEAD, "/v1/models").bearer_auth(&token).send().await.unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn model_is_described_by_its_id() {
    let server = Server::start(&[("MAI_MOCK_UPSTREAM", "true"), ("MAI_MODELS", "openai/gpt-5")]).await;
    let token = server.admin().await;
    for path in ["/v1/models/openai/gpt-5", "/v1/models/openai%2Fgpt-5", "/api/v1/models/openai/gpt-5/"] {
        let (status, model) = server.get(path, &token).await;
        assert_eq!((status, &model["id"], &model["object"]), (StatusCode::OK, &json!("openai/gpt-5"), &json!("model")));
    }
    assert_eq!(server.get("/v1/models/anthropic/claude-sonnet-4.5", &token).await.0, 404, "it is not allowed");
}

#[tokio::test]
async fn embeddings_and_responses_pass_and_are_counted() {
    let body = r#"{"id":"gen-9", "usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"cost":0.000004}}"#;
    let upstream = canned("HTTP/1.1 200 OK\r\ncontent-type: application/json", body).await;
    let (server, token) = server(&upstream.base_url, &[]).await;
    for (path, upstream_path, identity) in [
        ("/v1/embeddings", "POST /v1/embeddings ", "user"),
        ("/api/v1/embeddings", "POST /v1/embeddings ", "user"),
        ("/v1/responses", "POST /v1/responses ", "safety_identifier"),
    ] {
        let request = server.request(Method::POST, path).bearer_auth(&token);
        let asked = json!({ "model": "canned/model", "input": "text", "user": "ada@example.com" });
        let response = request.json(&asked).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), body);
        let seen = upstream.requests.lock().unwrap().last().unwrap().clone();
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert!(seen.head.starts_with(upstream_path), "{}", seen.head);
        assert!(sent[identity].as_str().unwrap().starts_with("mai_user_"), "{sent}");
        assert!(!sent.to_string().contains("example.com"), "{sent}");
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let summary = server.get("/api/v1/usage/summary", &token).await.1;
        if summary["requests"] == 3 && summary["total_tokens"] == 27 {
            break;
        }
        assert!(Instant::now() < deadline, "{summary}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn compressed_request_reaches_the_upstream_unpacked() {
    let upstream = canned("HTTP/1.1 200 OK\r\ncontent-type: application/json", "{}").await;
    let (server, token) = server(&upstream.base_url, &[]).await;
    let question = r#"{"user":"","model":"canned/model","messages":[]}"#;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(question.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let ask = |coding: &'static str| {
        server
            .request(Method::POST, CHAT)
            .bearer_auth(&token)
            .header(header::CONTENT_ENCODING, coding)
            .body(packed.clone())
    };
    assert_eq!(ask("gzip").send().await.unwrap().status(), 200);
    let seen = upstream.requests.lock().unwrap().last().unwrap().clone();
    let sent: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(sent["model"], "canned/model");
    assert!(!seen.head.to_ascii_lowercase().contains("content-encoding"), "{}", seen.head);

    let (status, refusal) = send(ask("br")).await;
    assert_eq!(status, 415);
    assert!(refusal["error"]["message"].as_str().unwrap().contains("gzip"), "{refusal}");
    assert_eq!(upstream.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn upload_that_waits_to_be_asked_for_is_answered_first() {
    let mock = Mock::start().await;
    let (server, token) = server(&mock.base_url(), &[]).await;
    let address = server.url.strip_prefix("http://").unwrap();
    for (token, length, expected) in
        [(&*token, 200, "HTTP/1.1 100 "), (&*token, 900 << 20, "HTTP/1.1 413 "), ("wrong", 200, "HTTP/1.1 401 ")]
    {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\
             expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), expected, "{length} bytes");
    }
}

#[tokio::test]
async fn answer_that_is_no_json_becomes_a_502() {
    for (head, words) in [
        ("HTTP/1.1 200 OK\r\ncontent-type: text/html", "answered with text/html instead of JSON (HTTP 200)"),
        ("HTTP/1.1 503 No\r\ncontent-type: text/html; charset=utf-8", "answered with text/html"),
        ("HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/", "redirected to https://elsewhere.example/"),
    ] {
        let upstream = canned(head, "<script>alert(1)</script>").await;
        let (server, token) = server(&upstream.base_url, &[]).await;
        let request = server.request(Method::POST, CHAT).bearer_auth(&token);
        let (status, answer) = send(request.json(&json!({ "model": "canned/model" }))).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (502, &json!("upstream_answer")), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
        assert!(!answer.to_string().contains("script"), "{answer}");
    }
}

#[tokio::test]
async fn preset_is_refused_where_models_are_limited() {
    let upstream = canned("HTTP/1.1 200 OK\r\ncontent-type: application/json", "{}").await;
    for (models, expected) in [("", 200), ("canned/model", 400)] {
        let (server, token) = server(&upstream.base_url, &[("MAI_MODELS", models)]).await;
        let request = server.request(Method::POST, CHAT).bearer_auth(&token);
        let (status, answer) = send(request.json(&json!({ "model": "canned/model", "preset": "other" }))).await;
        assert_eq!(status.as_u16(), expected, "{answer}");
    }
}

#[tokio::test]
async fn other_models_come_in_by_no_field_where_limited() {
    let upstream = canned("HTTP/1.1 200 OK\r\ncontent-type: application/json", "{}").await;
    let (open, token) = server(&upstream.base_url, &[]).await;
    let (limited, limited_token) = server(&upstream.base_url, &[("MAI_MODELS", "canned/model,openrouter/auto")]).await;
    for (path, more, is_allowed) in [
        (CHAT, json!({}), true),
        (CHAT, json!({ "models": ["canned/model"] }), true),
        (CHAT, json!({ "models": ["canned/model", "other/model"] }), false),
        (CHAT, json!({ "model": "canned/model:online" }), false),
        (CHAT, json!({ "model": "canned/model@preset/cheap" }), false),
        (CHAT, json!({ "model": "~canned/latest" }), false),
        (CHAT, json!({ "fallbacks": ["other/model"] }), false),
        (CHAT, json!({ "tools": [{ "type": "function", "function": { "name": "f" } }] }), true),
        (CHAT, json!({ "tools": [{ "type": "openrouter:web_search", "parameters": {} }] }), true),
        (CHAT, json!({ "tools": [{ "type": "openrouter:fusion", "parameters": { "models": ["b"] } }] }), false),
        (CHAT, json!({ "plugins": [{ "id": "file-parser" }] }), true),
        (CHAT, json!({ "plugins": [{ "id": "auto-router", "allowed_models": ["b"] }] }), false),
        ("/v1/responses", json!({ "tools": [{ "type": "image_generation", "model": "b" }] }), false),
        ("/v1/embeddings", json!({ "plugins": [{ "id": "fusion" }] }), false),
    ] {
        let mut body = json!({ "model": "canned/model" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let before = upstream.requests.lock().unwrap().len();
        let (status, answer) = limited.post(path, &limited_token, body.clone()).await;
        assert_eq!(status, if is_allowed { 200 } else { 400 }, "{body}: {answer}");
        assert_eq!(upstream.requests.lock().unwrap().len() - before, usize::from(is_allowed), "{body}");
        if body["model"] == "canned/model" && body.get("models").is_none() {
            assert_eq!(open.post(path, &token, body.clone()).await.0, 200, "{body}");
        }
    }
}
