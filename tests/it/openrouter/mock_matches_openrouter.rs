//! The mock upstream answers as OpenRouter documents it, and our client reads these answers.

use std::time::{Duration, Instant};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::ports::free_port;
use http::{HeaderMap, StatusCode};
use mai_operator::openrouter::mock::{MockOptions, serve};
use mai_operator::openrouter::{AnswerReader, AnswerSummary, Client, NanoUsd, UpstreamError, client};
use mai_operator::openrouter::{Pool, RequestBody};
use serde_json::{Value, json};

async fn mock(key: Option<&str>) -> (String, Pool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = MockOptions { key: key.map(Into::into), ..MockOptions::default() };
    tokio::spawn(serve(listener, options));
    (format!("http://{address}"), Pool::new())
}

fn client(base: &str, pool: &Pool, key: &str) -> Client {
    Client::new(pool, &format!("{base}/api/v1"), Some(&key.into())).unwrap()
}

fn body(settings: &str, stream: bool) -> RequestBody {
    let body = json!({
        "model": "openai/gpt-4o-mini", "stream": stream, "user": "mai_user_1",
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "metadata": {"mock": settings}
    });
    bytes::Bytes::from(body.to_string()).into()
}

async fn ask(client: &Client, settings: &str, stream: bool) -> (StatusCode, HeaderMap, Result<Vec<u8>, UpstreamError>) {
    let answer = client.chat(HeaderMap::new(), body(settings, stream)).await.unwrap();
    let (head, answer) = answer.into_parts();
    (head.status, head.headers, client::collect(answer, usize::MAX).await.map(Into::into))
}

fn read(bytes: &[u8]) -> AnswerSummary {
    let mut reader = AnswerReader::new(&HeaderMap::new());
    reader.feed(bytes);
    reader.finish(true)
}

#[tokio::test]
async fn stream_has_comments_chunks_usage_and_end() {
    let (base, pool) = mock(None).await;
    let (status, headers, bytes) = ask(&client(&base, &pool, "sk"), "chunks=3", true).await;
    let text = String::from_utf8(bytes.unwrap()).unwrap();
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "text/event-stream");
    assert!(
        text.starts_with(": OPENROUTER PROCESSING\n\ndata: {\"id\":\"gen-") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    let chunks: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: {"))
        .map(|json| serde_json::from_str(&format!("{{{json}")).unwrap())
        .collect();
    assert_eq!(chunks.len(), 5, "three with text, one with the reason, one with the usage");
    assert_eq!(chunks[0]["object"], "chat.completion.chunk");
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[4]["choices"], json!([]));
    for chunk in &chunks {
        assert_eq!(chunk["id"], headers["x-generation-id"].to_str().unwrap());
    }
    let usage = read(text.as_bytes()).usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(12), Some(3)));
    // 12 tokens at $0.15 and 3 at $0.60 a million.
    assert_eq!(usage.cost, Some(NanoUsd::new(3_600)), "3.6 millionths of a dollar");
}

#[tokio::test]
async fn whole_answer_is_one_document_with_usage() {
    let (base, pool) = mock(None).await;
    let (status, _, bytes) = ask(&client(&base, &pool, "sk"), "chunks=3", false).await;
    let answer: Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
    assert_eq!(status, 200);
    assert_eq!(answer["choices"][0]["message"]["content"], "word0   word1   word2   ");
    assert_eq!(answer["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn generation_is_available_half_a_second_after_its_end() {
    let (base, pool) = mock(None).await;
    let client = client(&base, &pool, "sk");
    let asked = Instant::now();
    let (_, headers, _) = ask(&client, "chunks=5", true).await;
    let id = headers["x-generation-id"].to_str().unwrap();
    let found = loop {
        if let Some(found) = client.generation(id).await.unwrap() {
            break found;
        }
        assert!(asked.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(asked.elapsed() >= Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!((found.native_tokens_completion, found.cancelled), (Some(5), Some(false)));
    assert_eq!(found.usage().cost, Some(NanoUsd::new(4_800)), "4.8 millionths of a dollar");
    assert_eq!(client.key().await.unwrap().usage, Some(NanoUsd::new(4_800)));
}

#[tokio::test]
async fn abandoned_answer_is_cancelled_and_recorded() {
    let (base, pool) = mock(None).await;
    let client = client(&base, &pool, "sk");
    let answer = client.chat(HeaderMap::new(), body("chunks=1000 delay=20 store=0", true)).await.unwrap();
    let id = answer.headers()["x-generation-id"].to_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(answer);
    let left = Instant::now();
    let found = loop {
        if let Some(found) = client.generation(&id).await.unwrap() {
            break found;
        }
        assert!(left.elapsed() < PATIENCE, "it is not recorded");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(found.cancelled, Some(true));
    assert!(found.native_tokens_completion.unwrap() < 500, "the mock went on for nobody");
}

#[tokio::test]
async fn stream_can_fail_or_break_midway() {
    let (base, pool) = mock(None).await;
    let client = client(&base, &pool, "sk");
    let (status, _, bytes) = ask(&client, "chunks=9 fail=2", true).await;
    let seen = read(&bytes.unwrap());
    assert_eq!((status, seen.usage, seen.finished), (StatusCode::OK, None, false));
    let error = seen.error.unwrap();
    assert_eq!((error.code, error.message.as_str()), (Some(502), "Provider disconnected unexpectedly"));
    let (status, _, bytes) = ask(&client, "chunks=9 cut=2", true).await;
    assert_eq!(status, 200);
    assert!(matches!(bytes, Err(UpstreamError::ConnectionLost { .. })), "{bytes:?}");
}

#[tokio::test]
async fn refusals_have_openrouter_format() {
    let (base, pool) = mock(Some("sk-or-v1-right")).await;
    let right = client(&base, &pool, "sk-or-v1-right");
    for code in [400, 401, 402, 403, 429, 500, 502, 503] {
        let (status, headers, bytes) = ask(&right, &format!("error={code}"), true).await;
        let error: Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
        assert_eq!((status.as_u16(), &error["error"]["code"]), (code, &json!(code)));
        assert_eq!(headers.contains_key("retry-after"), code == 429);
    }
    let wrong = client(&base, &pool, "sk-or-v1-wrong").key().await.unwrap_err();
    assert!(
        matches!(&wrong, UpstreamError::Refused { status, message, .. } if *status == 401 && message == "User not found.")
    );
    let none = Client::new(&pool, &format!("{base}/api/v1"), None).unwrap().key().await.unwrap_err();
    assert!(none.to_string().contains("Missing Authentication header"), "{none}");
    assert_eq!(right.models().await.unwrap().len(), 12);
    assert_eq!(right.models().await.unwrap()[0].prices(), Some(("0.000003", "0.000015")));
}

#[tokio::test]
async fn v1_path_answers_like_ollama() {
    let (base, pool) = mock(Some("sk-or-v1-right")).await;
    let ollama = Client::new(&pool, &format!("{base}/v1"), None).unwrap();
    let models: Vec<String> = ollama.models().await.unwrap().into_iter().map(|model| model.id).collect();
    assert_eq!(models, ["llama3.2:3b", "qwen3:8b"]);
    let asked = json!({"model": "qwen3:8b", "stream": true, "messages": [], "metadata": {"mock": "chunks=2"}});
    let answer = ollama.chat(HeaderMap::new(), bytes::Bytes::from(asked.to_string()).into()).await.unwrap();
    assert!(!answer.headers().contains_key("x-generation-id"));
    let seen = read(&client::collect(answer.into_body(), usize::MAX).await.unwrap());
    let usage = seen.usage.unwrap();
    assert_eq!((usage.completion_tokens, usage.cost), (Some(2), None));
}

#[tokio::test]
async fn connections_are_reused_and_replaced_when_closed() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, MockOptions::default()));
    let pool = Pool::new();
    let client = client(&format!("http://{address}"), &pool, "sk");
    for stream in [true, false, true, false] {
        ask(&client, "chunks=20", stream).await.2.unwrap();
    }
    assert_eq!(pool.idle(), 1, "four calls one after the other need one connection");
    serving.abort();
    let _ = serving.await;
    tokio::spawn(serve(tokio::net::TcpListener::bind(address).await.unwrap(), MockOptions::default()));
    ask(&client, "chunks=2", true).await.2.unwrap();
    assert_eq!(pool.idle(), 1, "the dead connection is not kept");
}
