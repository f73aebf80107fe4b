//! The chat API forwards answers byte for byte, and requests unchanged except for `user`.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::Server;
use crate::fixtures::upstream::{Canned, Mock};

const PATHS: [&str; 3] = ["/api/chat/completions", "/api/v1/chat/completions", "/v1/chat/completions"];

/// A stream with comments, both kinds of line ends, unusual number formats, non-ASCII text and no
/// final blank line.
const STREAM: &str = ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\r\n\r\nid: 7\nevent: chunk\n\
    data: {\"id\":\"gen-1\", \"model\":\"canned/model\",\"choices\":[{\"delta\":{\"content\":\"zażółć \\u0000 \\\"usage\\\" 🦀\"}}]}\n\n\
    data:{\"id\":\"gen-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\"total_tokens\":16,\"cost\":1.234567890123e-03}}\r\n\r\n\
    data: [DONE]\n\ntrailing rubbish without an end";

/// Waits until `requests` generations have ended; returns the usage summary.
async fn usage(server: &Server, token: &str, requests: u64) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let summary = server.get("/api/v1/usage/summary", token).await.1;
        if summary["requests"] == requests && summary["running"] == 0 {
            return summary;
        }
        assert!(Instant::now() < deadline, "{summary}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn server(upstream: &str) -> (Server, String) {
    let server = Server::start(&[("OPENAI_API_BASE_URL", upstream), ("OPENAI_API_KEY", "sk-or-v1-test")]).await;
    let token = server.admin().await;
    (server, token)
}

fn chunked(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Generation-Id: gen-1\r\nX-Custom: kept\r\n\
        Set-Cookie: token=stolen\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n";
    let mut sent = vec![head.as_bytes().to_vec()];
    for piece in pieces {
        sent.push([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    sent.push(b"0\r\n\r\n".to_vec());
    sent
}

#[tokio::test]
async fn streamed_answer_keeps_its_bytes_for_any_chunking() {
    let bytes = STREAM.as_bytes();
    for size in [1_usize, 2, 7, 100, bytes.len()] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let upstream = Canned::start(chunked(&pieces)).await;
        let (server, token) = server(&upstream.base_url).await;
        let response = server
            .request(Method::POST, PATHS[size % 3])
            .bearer_auth(&token)
            .json(&json!({"model": "canned/model", "stream": true, "messages": []}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["x-generation-id"], "gen-1", "{headers:?}");
        assert!(
            !["set-cookie", "keep-alive", "x-custom"].iter().any(|name| headers.contains_key(*name)),
            "{headers:?}"
        );
        let passed = response.bytes().await.unwrap();
        assert_eq!(Sha256::digest(&passed), Sha256::digest(bytes), "in pieces of {size}");

        let summary = usage(&server, &token, 1).await;
        assert_eq!((&summary["cost_micro_usd"], &summary["total_tokens"]), (&json!(1235), &json!(16)), "{summary}");
    }
}

#[tokio::test]
async fn whole_answer_is_not_reformatted() {
    let body =
        "{ \"id\":\"gen-2\",\n\t\"usage\" : {\"total_tokens\":3, \"cost\":1e-6} ,\"x\":1.0E+2, \"y\":\"\\u00e9\" }\n";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let upstream = Canned::start(vec![head.into_bytes(), body.as_bytes().to_vec()]).await;
    let (server, token) = server(&upstream.base_url).await;
    let request = server.request(Method::POST, PATHS[0]).bearer_auth(&token);
    let response = request.json(&json!({"model": "canned/model"})).send().await.unwrap();
    assert_eq!(response.headers()["content-length"], body.len().to_string().as_str());
    assert_eq!(response.text().await.unwrap(), body);
    assert_eq!(usage(&server, &token, 1).await["cost_micro_usd"], 1);
}

#[tokio::test]
async fn request_is_forwarded_unchanged_except_user() {
    let upstream = Canned::start(chunked(&[b"data: [DONE]\n\n"])).await;
    let (server, token) = server(&upstream.base_url).await;
    let (_, other) = server.user(&token, "user@example.com").await;
    let big = format!(r#"{{"model":"canned/model","user":"x","messages":["{}"]}}"#, "y".repeat(3 << 20));
    let bodies = [
        r#"{ "messages" : [ {"role":"user","content":"zażółć \/ \u017c"} ], "model":"canned\/model", "unknown":{"a":[1.10,2e5]}, "usage":{"include":true} }"#,
        r#"{"user":"admin@example.com","model":"canned/model","provider":{"order":["A"]}}"#,
        big.as_str(),
    ];
    let mut users = Vec::new();
    for (body, token) in [(bodies[0], &token), (bodies[1], &token), (bodies[2], &token), (bodies[0], &other)] {
        let request =
            server.request(Method::POST, PATHS[1]).bearer_auth(token).header("content-type", "application/json");
        let response =
            request.header("x-title", "Mine").header("x-secret", "stays").body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
        let seen = upstream.requests.lock().unwrap().last().unwrap().clone();
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        let user = sent["user"].as_str().unwrap().to_owned();
        let text = String::from_utf8(seen.body).unwrap();
        let expected = match body.find("\"user\":") {
            Some(_) => {
                let theirs = serde_json::from_str::<Value>(body).unwrap()["user"].clone();
                body.replacen(&format!("\"user\":{theirs}"), &format!("\"user\":\"{user}\""), 1)
            }
            None => body.replacen('{', &format!("{{\"user\":\"{user}\","), 1),
        };
        assert!(text == expected, "sent: {:.300}", text);
        let head = seen.head.to_ascii_lowercase();
        assert!(
            head.contains("authorization: bearer sk-or-v1-test\r\n") && head.contains("x-title: mine\r\n"),
            "{head}"
        );
        assert!(
            !head.contains("x-secret") && !head.contains(token.as_str()) && !text.contains("example.com"),
            "{head}"
        );
        users.push(user);
    }
    assert!(users.iter().all(|user| user.starts_with("mai_user_") && user.len() == 25), "{users:?}");
    // This upstream gives every answer the same id; all four are counted nevertheless.
    usage(&server, &token, 4).await;
    assert!(users[0] == users[1] && users[1] == users[2] && users[2] != users[3], "{users:?}");
}

#[tokio::test]
async fn mock_stream_passes_with_comments_usage_and_end() {
    let mock = Mock::start().await;
    let (server, token) = server(&mock.base_url()).await;
    let request = server.request(Method::POST, PATHS[2]).bearer_auth(&token);
    let body = json!({"model": "openai/gpt-5", "stream": true, "messages": [], "metadata": {"mock": "chunks=200"}});
    let text = request.json(&body).send().await.unwrap().text().await.unwrap();
    assert!(
        text.starts_with(": OPENROUTER PROCESSING\n\n") && text.ends_with("\"image_tokens\":0}}}\n\ndata: [DONE]\n\n")
    );
    assert_eq!(text.matches("\"finish_reason\":null").count(), 200);
}
