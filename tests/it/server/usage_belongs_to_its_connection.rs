//! The cost of an answer is looked up over the connection it was sent over, and by its own id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server};
use crate::fixtures::upstream::{Canned, KEY, Reply};

async fn summary(server: &Server, token: &str) -> Value {
    server.get("/api/v1/usage/summary", token).await.1
}

/// Returns why costs are unknown, row by row.
async fn unknown_reasons(server: &Server) -> Vec<Option<String>> {
    let path = server.data_dir().join("mai.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let rows = sqlx::query_scalar("SELECT unknown_reason FROM generation ORDER BY id").fetch_all(&pool).await;
    rows.unwrap()
}

/// Starts an upstream whose answers lack usage, and notes which records are requested of it. `record`
/// is the one it has for every id.
async fn without_usage(record: impl Fn() -> Option<String> + Send + Sync + 'static) -> (Canned, Arc<AtomicUsize>) {
    let lookups: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&lookups);
    let upstream = Canned::scripted(move |request, _| {
        if request.head.starts_with("POST ") {
            return Some(Reply::json(r#"{"id":"gen-7","choices":[{"message":{"content":"x"}}]}"#));
        }
        if request.target().contains("/generation?id=gen-7") {
            counted.fetch_add(1, Ordering::Relaxed);
            return record().map(Reply::json);
        }
        None
    })
    .await;
    (upstream, lookups)
}

#[tokio::test]
async fn usage_is_looked_up_over_its_own_connection() {
    const RECORD: &str = r#"{"data":{"id":"gen-7","native_tokens_prompt":100,"total_cost":0.001}}"#;
    const OTHER: &str = r#"{"data":{"id":"gen-7","native_tokens_prompt":9,"total_cost":9.99}}"#;
    let is_known = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&is_known);
    let (own, _) = without_usage(move || known.load(Ordering::Relaxed).then(|| RECORD.to_owned())).await;
    let (other, lookups) = without_usage(|| Some(OTHER.to_owned())).await;
    let server = Server::start(&[LOCAL_UPSTREAMS]).await;
    let token = server.admin().await;
    let connect = async |upstream: &Canned, key: &str| {
        let body = json!({ "base_url": upstream.base_url, "key": key });
        assert_eq!(server.post("/api/v1/connection", &token, body).await.0, 200);
    };
    connect(&own, "sk-or-v1-first-key").await;
    let body = json!({ "model": "canned/model", "messages": [] });
    assert_eq!(server.post("/v1/chat/completions", &token, body).await.0, 200);

    // Neither another upstream is asked, nor the same one with another key.
    for (upstream, key) in [(&other, "sk-or-v1-first-key"), (&own, "sk-or-v1-other-key")] {
        connect(upstream, key).await;
        is_known.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let summary = summary(&server, &token).await;
            assert_eq!((&summary["cost_nano_usd"], &summary["unknown_cost"]), (&json!(0), &json!(1)));
            if summary["unknown_cost_former_connection"] == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "{summary}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(lookups.load(Ordering::Relaxed), 0);
    assert_eq!(unknown_reasons(&server).await, [Some("connection_changed".to_owned())]);
    let page = server.request(Method::GET, "/usage").bearer_auth(&token).header("accept-language", "en");
    let html = page.send().await.unwrap().text().await.unwrap();
    assert!(html.contains("1 request used a connection that has been changed or removed since"), "{html}");

    connect(&own, "sk-or-v1-first-key").await;
    let deadline = Instant::now() + PATIENCE;
    while summary(&server, &token).await["cost_micro_usd"] != 1000 {
        assert!(Instant::now() < deadline, "{}", summary(&server, &token).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(summary(&server, &token).await["unknown_cost"], 0);
    assert_eq!(unknown_reasons(&server).await, [None]);
}

#[tokio::test]
async fn id_of_another_answer_is_not_looked_up() {
    let (upstream, lookups) = without_usage(|| None).await;
    let server = Server::start(&[("OPENAI_API_BASE_URL", &upstream.base_url), ("OPENAI_API_KEY", KEY)]).await;
    let token = server.admin().await;
    for _ in 0..2 {
        let body = json!({ "model": "canned/model", "messages": [] });
        assert_eq!(server.post("/v1/chat/completions", &token, body).await.0, 200);
        summary(&server, &token).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while unknown_reasons(&server).await != [None, Some("id_of_another".to_owned())] {
        assert!(Instant::now() < deadline, "{:?}", unknown_reasons(&server).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(lookups.load(Ordering::Relaxed) < 10, "the record is requested over and over");
}
